# SPDX-License-Identifier: GPL-3.0-or-later
"""The leaky rectifier of StyleGAN 3: up, bend, down, each way through a filter, so that no frequency folds back.

Paper: Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, https://arxiv.org/abs/2106.12423,
section 3.2 and figure 4.

The map between the two filters has four times as many values as the layer gives (and up to sixteen times as many as it
reads), and all of it at once is what makes the original take more than ten gigabytes. Here one *tile*, some rows of
some channels, goes through all steps while it fits into the processor's cache, and only what comes out is kept.

Inside a tile a filter is a matrix product. Along one direction, every block of outputs reads a window of inputs through
one and the same small matrix that holds shifted copies of the taps: upsampling by two, row r has the taps that do not
meet an inserted zero. The windows overlap, so they are a strided view, and one batched product does all blocks. A view
with its directions exchanged costs such a product nothing, therefore the directions of a tile take turns and are never
moved by themselves. Six taps become a product with eleven columns, and still it was five to ten times faster than a
convolution with one channel per group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import LRELU_GAIN, LRELU_SLOPE

BLOCK = 12  # outputs per block: fewer make smaller products than a processor likes, more have more zeros in them
TILE_VALUES = 1 << 20  # of the upsampled map in a tile: 4 MB
HALF_HEADROOM = 16  # in half precision no filter's sum may leave the range: about what two of them can add up to
RADIAL_CHANNELS = 16  # one vector register of single precision; convolutions over separate channels want multiples


@dataclass(frozen=True)
class Resampling:
    """One filtered rectifier: what happens to a map between a layer's convolution and its output.

    Attributes
    ----------
    up, down : int
        Factors.
    pad_before, pad_after : int
        Zeros at either end of both directions, on the upsampled grid; negative ones cut.
    slope : float
        Of the rectifier below zero; 1 is none.
    gain : float
        Factor after the rectifier.
    clamp : float or None
        The largest magnitude after the rectifier.
    """

    up: int
    down: int
    pad_before: int
    pad_after: int
    slope: float = LRELU_SLOPE
    gain: float = LRELU_GAIN
    clamp: float | None = None

    def inner_size(self, size: int, up_taps: int) -> int:
        """The upsampled and filtered size of a map."""
        return size * self.up + self.pad_before + self.pad_after - up_taps + 1

    def size(self, size: int, up_taps: int, down_taps: int) -> int:
        """The size in which a map leaves."""
        return (self.inner_size(size, up_taps) - down_taps) // self.down + 1


def taps_of(kernel: Tensor | None) -> int:
    """The length of a filter; none is one tap of one."""
    return 1 if kernel is None else kernel.shape[0]


def rectify(x: Tensor, resampling: Resampling) -> Tensor:
    """The rectifier without its gain, which the filter before it has; in place if nothing is recorded."""
    slope, clamp = resampling.slope, resampling.clamp
    if x.requires_grad:
        x = F.leaky_relu(x, slope) if slope != 1 else x
        return x if clamp is None else x.clamp(-clamp, clamp)
    if slope != 1:
        F.leaky_relu_(x, slope)
    return x if clamp is None else x.clamp_(-clamp, clamp)


def filtered_lrelu(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    resampling: Resampling,
) -> Tensor:
    """Scale and bias, upsample, leaky rectifier and clamp, downsample.

    Parameters
    ----------
    x : Tensor
        [batch, channels, h, w].
    scale : Tensor
        [batch, channels], the demodulation.
    bias : Tensor
        [channels]; like the scale in the precision of x.
    up_filter, down_filter : Tensor or None
        [taps], for either direction, or [taps, taps] (down only); None: no filter.
    resampling : Resampling
        The rest.

    Returns
    -------
    Tensor
        [batch, channels, h', w'] by `Resampling.size`.
    """
    if up_filter is None and down_filter is None and resampling == no_resampling(resampling):
        x = torch.addcmul(bias[:, None, None], x, scale[:, :, None, None]) * resampling.gain
        return rectify(x, resampling)
    recorded = torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad)
    if recorded or x.device.type != "cpu" or x.dtype != torch.float32:
        return filtered_lrelu_whole(x, scale, bias, up_filter, down_filter, resampling)
    return filtered_lrelu_tiled(x, scale, bias, up_filter, down_filter, resampling)


def no_resampling(resampling: Resampling) -> Resampling:
    """The same rectifier on the map as it is."""
    return Resampling(1, 1, 0, 0, resampling.slope, resampling.gain, resampling.clamp)


# Whole maps: for other devices, and where gradients are wanted.


def filtered_lrelu_whole(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    resampling: Resampling,
) -> Tensor:
    """`filtered_lrelu` as convolutions of whole maps."""
    x = torch.addcmul(bias[:, None, None], x, scale[:, :, None, None])
    if x.dtype in (torch.float16, torch.bfloat16):
        limit = torch.finfo(x.dtype).max / HALF_HEADROOM
        x = x.clamp(-limit, limit)
    up_filter = x.new_ones(1) if up_filter is None else up_filter.to(x.dtype)
    down_filter = x.new_ones(1) if down_filter is None else down_filter.to(x.dtype)
    channels, taps, up = x.shape[1], up_filter.shape[0], resampling.up
    row = up_filter * up  # a transposed convolution is a true one: the taps are not turned round
    x = F.conv_transpose2d(x, row.view(1, 1, 1, -1).expand(channels, 1, 1, -1), stride=(1, up), groups=channels)
    row = row * resampling.gain
    x = F.conv_transpose2d(x, row.view(1, 1, -1, 1).expand(channels, 1, -1, 1), stride=(up, 1), groups=channels)
    # It begins at the first tap that meets a value and ends up - 1 zeros early.
    before, after = resampling.pad_before - taps + 1, resampling.pad_after - taps + up
    x = rectify(F.pad(x, (before, after, before, after)), resampling)
    down = resampling.down
    if down_filter.ndim == 2:
        kernel = down_filter.flip(0, 1).expand(channels, 1, -1, -1)
        return F.conv2d(x, kernel, stride=down, groups=channels)
    row = down_filter.flip(0)
    x = F.conv2d(x, row.view(1, 1, 1, -1).expand(channels, 1, 1, -1), stride=(1, down), groups=channels)
    return F.conv2d(x, row.view(1, 1, -1, 1).expand(channels, 1, -1, 1), stride=(down, 1), groups=channels)


# Tiles: without gradients, on the CPU.


@dataclass(frozen=True)
class Band:
    """One filter along one direction: block b of outputs is ``matrix @ inputs[start + b * step :][:window]``.

    Attributes
    ----------
    matrix : Tensor
        [outputs, window].
    step : int
        How far the window moves from one block to the next.
    start : int
        The first input of the first window; negative in the zeros before the map.
    """

    matrix: Tensor
    step: int
    start: int

    @property
    def outputs(self) -> int:
        return self.matrix.shape[0]

    @property
    def window(self) -> int:
        return self.matrix.shape[1]

    def blocks(self, size: int) -> int:
        """Blocks that make at least so many outputs."""
        return -(-size // self.outputs)

    def reach(self, size: int) -> int:
        """Inputs that the blocks for so many outputs read."""
        return (self.blocks(size) - 1) * self.step + self.window


def taps_at(kernel: Tensor | None, places: Tensor) -> Tensor:
    """The taps at these places, turned round for a true convolution; nought where there is none."""
    taps = torch.ones(1) if kernel is None else kernel.detach().flip(0)
    inside = (places >= 0) & (places < len(taps))
    return taps[places.clamp(0, len(taps) - 1)] * inside


def up_band(kernel: Tensor | None, up: int, pad_before: int, gain: float) -> Band:
    """Insert zeros, pad or cut, filter: output o is the sum of ``taps[t] * inserted[o + t - pad_before]``."""
    outputs = up * -(-BLOCK // up)
    start = -(pad_before // up)  # the first input at or after the first output's first tap
    window = (outputs + taps_of(kernel) - 2 - up * start - pad_before) // up + 1
    places = up * (start + torch.arange(window)) + pad_before - torch.arange(outputs)[:, None]
    return Band(taps_at(kernel, places) * (up * gain), outputs // up, start)


def down_band(kernel: Tensor | None, down: int) -> Band:
    """Filter and keep one of so many: output o is the sum of ``taps[t] * inputs[down * o + t]``."""
    places = torch.arange((BLOCK - 1) * down + taps_of(kernel)) - down * torch.arange(BLOCK)[:, None]
    return Band(taps_at(kernel, places), BLOCK * down, 0)


class Scratch:
    """Room for the maps of one tile, taken once and used for all tiles of a layer; it begins as zeros.

    Blocks are whole, so they also give outputs that nobody needs, from whatever lies beyond a map. That has to be
    numbers, for nought times NaN is NaN.
    """

    def __init__(self) -> None:
        self.rooms: dict[str, Tensor] = {}

    def room(self, name: str, *shape: int) -> Tensor:
        """A contiguous tensor of this shape, which holds what its last use left."""
        values = math.prod(shape)
        if name not in self.rooms or self.rooms[name].numel() < values:
            self.rooms[name] = torch.zeros(values)
        return self.rooms[name][:values].view(shape)


def along_first(x: Tensor, band: Band, blocks: int, out: Tensor) -> Tensor:
    """Filter [size, rest] along its first direction, into out [blocks * outputs, rest]."""
    windows = x.as_strided((blocks, band.window, x.shape[1]), (band.step * x.stride(0), x.stride(0), 1))
    torch.bmm(band.matrix.expand(blocks, -1, -1), windows, out=out.view(blocks, band.outputs, x.shape[1]))
    return out


def along_last(x: Tensor, band: Band, blocks: int, out: Tensor) -> Tensor:
    """Filter [rest, size] along its last direction, which then comes first: into out [blocks * outputs, rest]."""
    windows = x.as_strided((blocks, band.window, x.shape[0]), (band.step, 1, x.stride(0)))
    torch.bmm(band.matrix.expand(blocks, -1, -1), windows, out=out.view(blocks, band.outputs, x.shape[0]))
    return out


class Tiles:
    """How one layer's maps of one size are cut into tiles, and the matrices and the room that a tile needs."""

    def __init__(
        self,
        shape: torch.Size,
        up_filter: Tensor | None,
        down_filter: Tensor | None,
        resampling: Resampling,
    ) -> None:
        _, self.channels, self.height, self.width = shape
        self.resampling = resampling
        self.radial = down_filter is not None and down_filter.ndim == 2
        up_taps, self.down_taps = taps_of(up_filter), taps_of(down_filter)
        self.rows, self.columns = (resampling.size(size, up_taps, self.down_taps) for size in shape[2:])
        # The gain goes into the filter before the rectifier, which does not mind: lrelu(g * x) == g * lrelu(x), g > 0.
        self.up = up_band(up_filter, resampling.up, resampling.pad_before, math.sqrt(resampling.gain))
        self.down = down_band(None if self.radial else down_filter, resampling.down)
        self.inner_columns = self.up.blocks(self.inner(self.columns))
        self.tile_channels = 1
        if self.radial:
            assert down_filter is not None
            self.tile_channels = RADIAL_CHANNELS
            self.kernel = down_filter.flip(0, 1).repeat(RADIAL_CHANNELS, 1, 1, 1)
        line = self.inner_columns * self.up.outputs * resampling.down * self.tile_channels  # inner values of a row
        # A tile's first row has to meet the inserted zeros as the first row of all does.
        self.tile_rows = min(self.rows, max(1, TILE_VALUES // (line * self.up.outputs)) * self.up.outputs)
        if not self.radial:
            self.tile_channels = max(1, min(self.channels, TILE_VALUES // (line * self.tile_rows)))
        self.scratch = Scratch()

    def inner(self, outputs: int) -> int:
        """How much of the upsampled map so many outputs read."""
        if self.radial:
            return (outputs - 1) * self.resampling.down + self.down_taps
        return self.down.reach(outputs)

    def filled(self, x: Tensor, scale: Tensor, bias: Tensor, row: int, rows: int) -> Tensor:
        """A tile's input, scaled and with bias, amid zeros: [tile channels, rows and more, columns and more]."""
        blocks = self.up.blocks(self.inner(rows))
        # So many rows that one channel's windows end in the next one's rows and all windows are evenly spaced.
        height = (blocks - 1 + -(-self.up.window // self.up.step)) * self.up.step
        width = (self.inner_columns - 1) * self.up.step + self.up.window
        tile = self.scratch.room("input", self.tile_channels, height, width)
        first = self.up.start + row * self.resampling.down // self.resampling.up  # of the map's rows in the tile
        top, bottom = max(0, first), max(0, min(self.height, first + height))
        left, right = max(0, self.up.start), max(0, min(self.width, self.up.start + width))
        tile[:, : top - first] = 0
        tile[:, max(0, bottom - first) :] = 0
        if top < bottom and left < right:
            inside = tile[: len(x), top - first : bottom - first, left - self.up.start : right - self.up.start]
            torch.addcmul(bias[:, None, None], x[:, top:bottom, left:right], scale[:, None, None], out=inside)
        return tile

    def separable(self, tile: Tensor, rows: int) -> Tensor:
        """Both filters along one direction after the other -> [rows and more, columns and more, channels]."""
        up, down, room = self.up, self.down, self.scratch.room
        channels, height, width = tile.shape
        blocks = height // up.step
        inner_rows, inner_columns = blocks * up.outputs, self.inner_columns * up.outputs
        # Every channel by itself along its rows: [channels, inner rows, width]. The last windows read beyond the tile.
        windows = channels * blocks - (-(-up.window // up.step) - 1)
        x = room("tall", channels * inner_rows, width)
        along_first(tile.view(-1, width), up, windows, x[: windows * up.outputs])
        x = along_last(x, up, self.inner_columns, room("inner", inner_columns, channels * inner_rows))
        x = rectify(x, self.resampling)
        blocks = down.blocks(self.columns)
        x = along_first(x, down, blocks, room("narrow", blocks * down.outputs, channels * inner_rows))
        across = blocks * down.outputs
        blocks = down.blocks(rows)
        x = along_last(
            x.view(across * channels, inner_rows),
            down,
            blocks,
            room("output", blocks * down.outputs, across * channels),
        )
        return x.view(-1, across, channels)

    def around(self, tile: Tensor, rows: int) -> Tensor:
        """The second filter in both directions at once -> [rows, columns and more, channels]."""
        up, room = self.up, self.scratch.room
        channels, height, width = tile.shape
        inner_columns = self.inner_columns * up.outputs
        x = room("wide", inner_columns, channels * height)
        x = along_last(tile.view(-1, width), up, self.inner_columns, x)
        blocks = up.blocks(self.inner(rows))
        x = room("inner", blocks * up.outputs, inner_columns * channels)
        along_last(self.scratch.room("wide", inner_columns * channels, height), up, blocks, x)
        x = rectify(x, self.resampling)
        x = x[: self.inner(rows)].view(1, -1, inner_columns, channels).permute(0, 3, 1, 2)  # channels last in memory
        return F.conv2d(x, self.kernel, stride=self.resampling.down, groups=channels)[0].permute(1, 2, 0)

    def run(self, x: Tensor, scale: Tensor, bias: Tensor, out: Tensor) -> None:
        """One sample: x [channels, h, w], scale [channels], into out [channels, rows, columns]."""
        for channel in range(0, self.channels, self.tile_channels):
            part = slice(channel, min(channel + self.tile_channels, self.channels))
            for row in range(0, self.rows, self.tile_rows):
                rows = min(self.tile_rows, self.rows - row)
                tile = self.filled(x[part], scale[part], bias[part], row, rows)
                y = self.around(tile, rows) if self.radial else self.separable(tile, rows)
                out[part, row : row + rows] = y[:rows, : self.columns, : part.stop - channel].permute(2, 0, 1)


def filtered_lrelu_tiled(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    resampling: Resampling,
) -> Tensor:
    """`filtered_lrelu` in tiles, each sample of a batch by itself."""
    tiles = Tiles(x.shape, up_filter, down_filter, resampling)
    result = x.new_empty(len(x), tiles.channels, tiles.rows, tiles.columns)
    for index in range(len(x)):
        tiles.run(x[index], scale[index], bias, result[index])
    return result
