# SPDX-License-Identifier: GPL-3.0-or-later
"""A StyleGAN2's picture on a CPU, in horizontal strips: the same as `StyleGAN2Synthesis.paint`, but quicker.

A strip is taken through everything that happens at one resolution (upsampling convolution, filter, noise, bias,
activation, second convolution, colours) while it is in the cache, and only the block's result is written as a whole
map. Where a bend or the canvas needs a layer's whole map, the chain is broken there. Batches are painted one by one, so
a picture is the same to the last bit whether alone or not; a CPU gains nothing from larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import Canvas
from .controls import Controls
from .convolution import Modulation, Ready, as_map, as_rows
from .layers import LRELU_GAIN, LRELU_SLOPE, upsample
from .plan import LayerShape, Plan, PreparedWeights, ready
from .workspace import Workspace, Workspaces

if TYPE_CHECKING:
    from .stylegan2 import StyleGAN2Synthesis, SynthesisBlock, SynthesisLayer, ToRGB


@dataclass(frozen=True)
class PictureLayer:
    """A layer with all that one picture's w, noise and rewrites make of it."""

    shape: LayerShape
    ready: Ready
    modulation: Modulation
    noise: Tensor | None  # [height, width, 1], strength and gain included
    limit: float | None  # of the activations
    kernel: Tensor | None  # of the filter after upsampling, [channels_out, 1, taps, taps], demodulation included

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what it gives."""
        scale = 2 if self.shape.kind == "up" else 1
        return self.shape.height * scale, self.shape.width * scale

    def finish(self, strip: Tensor, start: int, out: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        """Noise and activation of a strip whose first row is `start`, then times scale, into out or in place."""
        target = strip if out is None or scale is not None else out
        if self.noise is not None:
            torch.add(strip, self.noise[start : start + len(strip)], out=target)
        elif target is not strip:
            target.copy_(strip)
        F.leaky_relu_(target, LRELU_SLOPE)
        if self.limit is not None:
            target.clamp_(-self.limit, self.limit)
        if scale is not None:
            target = torch.mul(target, scale, out=strip if out is None else out)
        return target

    def upsampled(self, x: Tensor, start: int, stop: int, room: Workspace) -> Tensor:
        """Rows start to stop of the output, before noise and activation, from the whole map x.  [.., 2w, channels]"""
        assert self.kernel is not None
        taps = self.kernel.shape[-1]
        before, after = (taps + 1) // 2 - 1, (taps - 2) // 2
        # Rows first to last of the transposed convolution; it has a row 2i from x[i] and x[i - 1], 2i + 1 from x[i].
        first, last = start - before, stop - 1 - before + taps - 1
        top, bottom = max((first - 1) // 2, 0), min(last // 2, len(x) - 1)
        strip = x[top : bottom + 1]
        if self.ready.scale is not None:
            strip = torch.mul(strip, self.ready.scale, out=room.take("scaled", *strip.shape))
        doubled = self.ready.run(strip)
        first, last = first - 2 * top, last - 2 * top
        above, below = max(-first, 0), max(last + 1 - len(doubled), 0)
        doubled = doubled[max(first, 0) : last + 1]
        padding = (0, before)
        if before != after:
            doubled = as_rows(F.pad(as_map(doubled), (before, after, above, below)))
            padding = (0, 0)
        elif above == below:
            padding = (above, before)
        else:
            doubled = as_rows(F.pad(as_map(doubled), (0, 0, above, below)))
        filtered = F.conv2d(
            as_map(doubled), self.kernel, self.modulation.offset, padding=padding, groups=len(self.kernel)
        )
        return as_rows(filtered)


@dataclass(frozen=True)
class Colours:
    """A toRGB layer for one picture."""

    weight: Tensor  # [img_channels, channels]
    bias: Tensor
    limit: float | None

    def of(self, strip: Tensor) -> Tensor:
        """[rows, width, channels] -> [rows, width, img_channels]"""
        colours = F.linear(strip, self.weight, self.bias)
        return colours if self.limit is None else colours.clamp_(-self.limit, self.limit)


def run_up(layer: PictureLayer, x: Tensor, out: Tensor, room: Workspace) -> Tensor:
    """An upsampling layer by itself, from whole map to whole map."""
    height, rows = len(out), layer.shape.strip_rows
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        layer.finish(layer.upsampled(x, start, stop, room), start, out[start:stop])
    return out


def run_same(
    up: PictureLayer | None,
    same: PictureLayer,
    colours: Colours | None,
    x: Tensor,
    out: Tensor | None,
    image: Tensor | None,
    room: Workspace,
) -> None:
    """The second layer of a block, with the first (x is the block's input) or without (x is the first one's output).

    What it gives goes to `out`, its colours to `image`; either may be None.
    """
    (height, width), channels, rows = same.size, same.shape.channels_in, same.shape.strip_rows
    rows = min(rows, height)
    scale = same.ready.scale
    padded = room.take("padded", rows + 2, width + 2, channels)
    padded[:, 0].zero_()
    padded[:, -1].zero_()
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        # Row i of the strip is row start - 1 + i of the map.
        below = min(stop + 1, height)
        if start == 0:
            padded[0].zero_()
            above = 0
        elif up is not None:  # two rows are there from the strip before
            padded[:2].copy_(padded[rows : rows + 2])
            above = start + 1
        else:
            above = start - 1
        if above < below:
            inside = padded[above - start + 1 : below - start + 1, 1:-1]
            if up is not None:
                up.finish(up.upsampled(x, above, below, room), above, inside, scale)
            elif scale is not None:
                torch.mul(x[above:below], scale, out=inside)
            else:
                inside.copy_(x[above:below])
        if stop == height:
            padded[stop - start + 1].zero_()
        strip = same.ready.run(padded[: stop - start + 2])
        strip = same.finish(strip, start, None if out is None else out[start:stop])
        if colours is not None and image is not None:
            image[start:stop] = colours.of(strip)


class StripPainter:
    """Paints a network's pictures, and keeps what it prepares from the weights and the memory it works in."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.prepared = PreparedWeights()
        self.rooms = Workspaces()

    def paint(
        self,
        synthesis: StyleGAN2Synthesis,
        ws: Tensor,
        noise: list[Tensor | None],
        controls: Controls,
        canvas: Canvas | None,
        stop: int | None,
    ) -> Tensor:
        """The pictures of a batch; see `StyleGAN2Synthesis.paint`."""
        room = self.rooms.borrow()
        try:
            if len(ws) == 1:
                return PictureInStrips(self, synthesis, ws, noise, controls, canvas, room).paint(stop)
            pictures, features = [], []
            for index in range(len(ws)):
                alone = controls.sample(index)
                maps = [m if m is None or len(m) == 1 else m[index : index + 1] for m in noise]
                one = PictureInStrips(self, synthesis, ws[index : index + 1], maps, alone, canvas, room)
                pictures.append(one.paint(stop))
                features.append(alone.features)
            if features:
                for layer in features[0]:
                    controls.features[layer] = torch.cat([kept[layer] for kept in features])
            return torch.cat(pictures)
        finally:
            self.rooms.give_back(room)


class PictureInStrips:
    """One picture in the making."""

    def __init__(
        self,
        painter: StripPainter,
        synthesis: StyleGAN2Synthesis,
        ws: Tensor,
        noise: list[Tensor | None],
        controls: Controls,
        canvas: Canvas | None,
        room: Workspace,
    ) -> None:
        self.painter, self.synthesis, self.controls, self.canvas = painter, synthesis, controls, canvas
        self.ws, self.noise, self.room = ws, noise, room
        self.index = 0  # of the next convolution
        self.maps = 0  # whole maps so far; two buffers take turns

    def whole(self, layer: str) -> bool:
        """Whether a layer's output is looked at or changed as a whole map."""
        here = self.canvas is not None and layer in (self.canvas.layer, self.canvas.shrink_at)
        return here or layer in self.controls.keep or (layer, "output") in self.controls.bends

    def entered(self, layer: str, x: Tensor) -> Tensor:
        """What the layer reads; x is [rows, width, channels]."""
        return as_rows(self.controls.enter(layer, as_map(x))) if (layer, "input") in self.controls.bends else x

    def left(self, layer: str, x: Tensor) -> Tensor:
        """What is taken for the layer's output."""
        if not self.whole(layer):
            return x
        return as_rows(self.synthesis.laid_out(layer, self.controls.leave(layer, as_map(x)), self.canvas))

    def empty_map(self, layer: PictureLayer, layer_name: str) -> Tensor:
        """Room for a layer's output; new memory if somebody may keep it, or else one of two buffers."""
        shape = (*layer.size, layer.shape.channels_out)
        if self.whole(layer_name):
            return torch.empty(shape)
        self.maps += 1
        return self.room.take(f"map {self.maps % 2}", *shape)

    def layer(self, name: str, layer: SynthesisLayer, size: tuple[int, int], gain: float = 1.0) -> PictureLayer:
        """The next convolution, for a map of this size."""
        w, noise = self.ws[:, self.index], self.noise[self.index] if self.noise else None
        self.index += 1
        gain *= LRELU_GAIN
        prepared, rewritten = self.painter.prepared, self.controls.rewritten(name)
        weight = self.controls.weight(name, layer.weight).float()
        power = squared(weight) if rewritten else prepared.get(name, "power", weight, squared)
        styles = layer.affine(w)[0]
        factor = layer.demodulation(styles[None], power)[0] * gain
        modulation = Modulation(styles, factor, layer.bias * gain)
        channels_out, channels_in = weight.shape[:2]
        shape = LayerShape("up" if layer.up else "same", channels_in, channels_out, *size)
        algorithm = "direct" if rewritten else self.painter.plan.algorithm(shape)
        kernel = None
        if layer.up:
            kernel = (4 * layer.kernel.flip(0, 1)) * modulation.factor[:, None, None, None]
        if noise is not None:
            noise = noise[0, 0, :, :, None].to(torch.float32) * (layer.noise_strength * gain)
        return PictureLayer(
            shape,
            ready(algorithm, name, weight, shape, modulation, prepared, self.room),
            modulation,
            noise,
            None if layer.clamp is None else layer.clamp * gain / LRELU_GAIN,
            kernel,
        )

    def colours(self, name: str, torgb: ToRGB) -> Colours:
        """The toRGB layer that comes before the next convolution."""
        weight = self.controls.weight(name, torgb.weight)[:, :, 0, 0]
        styles = torgb.affine(self.ws[:, self.index]) * torgb.style_gain
        return Colours(weight * styles, torgb.bias, torgb.clamp)

    def paint(self, stop: int | None) -> Tensor:
        """The picture.  [1, img_channels, height, width]"""
        synthesis = self.synthesis
        x = self.left("input", as_rows(synthesis.blocks[0].const.detach()[None]))
        image: Tensor | None = None
        for resolution, block in zip(synthesis.config.block_resolutions, synthesis.blocks, strict=True):
            last = resolution in (stop, synthesis.config.resolution)
            x, colours = self.block(f"b{resolution}", block, x, last)
            if colours is not None:
                if image is not None:
                    image = synthesis.fitted(upsample(image, synthesis.kernel), colours, self.canvas)
                    colours = colours + image if self.whole(f"b{resolution}.torgb") else colours.add_(image)
                image = colours
            if last:
                break
        assert image is not None
        return image

    def block(self, name: str, block: SynthesisBlock, x: Tensor, last: bool) -> tuple[Tensor, Tensor | None]:
        """All that happens at one resolution: its map [rows, width, channels] and its colours [1, .., rows, width]."""
        controls, room = self.controls, self.room
        first, second, rgb = f"{name}.conv0", f"{name}.conv1", f"{name}.torgb"
        around: Tensor | None = None
        if hasattr(block, "skip"):
            where = f"{name}.skip"
            around = block.skip(controls.enter(where, as_map(x)), controls.weight(where, block.skip.weight))
            around = controls.leave(where, around)
        up: PictureLayer | None = None
        if hasattr(block, "conv0"):
            x = self.entered(first, x)
            up = self.layer(first, block.conv0, (x.shape[0], x.shape[1]))
            if self.whole(first) or (second, "input") in controls.bends:
                x = self.left(first, run_up(up, x, torch.empty(*up.size, up.shape.channels_out), room))
                up = None
        if up is None:
            x = self.entered(second, x)
        size = (x.shape[0], x.shape[1]) if up is None else up.size
        same = self.layer(second, block.conv1, size, 1.0 if around is None else 0.5**0.5)
        wanted = self.colours(rgb, block.torgb) if hasattr(block, "torgb") else None
        inline = wanted is not None and around is None and controls.untouched(rgb) and not self.whole(second)
        image = torch.empty(*size, len(wanted.bias)) if wanted is not None and inline else None
        out = None if last and inline else self.empty_map(same, second)
        run_same(up, same, wanted if inline else None, x, out, image, room)
        if image is not None:
            return x if out is None else out, as_map(image)
        assert out is not None
        x = self.left(second, out)
        if around is not None:
            x = x + as_rows(self.synthesis.fitted(around, as_map(x), self.canvas))
        if wanted is None:
            return x, None
        return x, controls.leave(rgb, as_map(wanted.of(self.entered(rgb, x))))


def squared(weight: Tensor) -> Tensor:
    """The power of each pair of channels, for the demodulation.  [channels_out, channels_in]"""
    return weight.square().sum(dim=(2, 3))
