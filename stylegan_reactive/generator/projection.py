# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection: the ws of which a network paints a picture that an artist has.

After Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, appendix D: gradient descent on
w from the average with a learning rate that rises and falls, here on one w for all layers first and then on one for
each (w+, Abdal et al., "Image2StyleGAN", ICCV 2019). Two things differ.

No network that judges likeness is needed: pictures are compared by their Laplacian pyramids (Burt and Adelson, 1983),
so that coarse shapes and fine ones are pulled alike, and by the strength of their edges.

The search is in the axes of w's own distribution: w = w_avg + u S Vᵀ with the principal components V and their standard
deviations S of many random w. A step is then as long in each direction as latents differ there, and |u|² says how
unlikely a w is, which keeps it where the network paints well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Generator
from .directions import seeded_ws

LEARNING_RATE = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps
COMMON = 0.4  # share of the steps with one w for all layers
STAY = 2e-3  # how much a usual distance from the average costs, beside a mean difference of 1 in the picture
APART = 2e-3  # the same for the layers' distance from each other
EDGES = 0.5  # how much edges count beside the pyramid
LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709


@dataclass(frozen=True, eq=False)
class ProjectionState:
    """Where a projection is.

    Attributes
    ----------
    step, steps : int
        1 to steps.
    loss, best_loss : float
        Of this step, and the lowest so far.
    picture : Tensor
        [channels, h, w], what this step painted.
    """

    step: int
    steps: int
    loss: float
    best_loss: float
    picture: Tensor


@dataclass(frozen=True, eq=False)
class Projection:
    """What was found.

    Attributes
    ----------
    ws : Tensor
        [1, num_ws, w_dim]
    loss : float
        How far the picture is from the one that was wanted, 0 for the same.
    picture : Tensor
        [1, channels, h, w], painted from ws.
    finished : bool
        False if it was stopped before the last step; ws are then the best until that.
    """

    ws: Tensor
    loss: float
    picture: Tensor
    finished: bool


def project(
    generator: Generator,
    picture: Tensor,
    *,
    steps: int = 300,
    seed: int = 0,
    candidates: int = 32,
    layers: tuple[int, int] | None = None,
    progress: Callable[[ProjectionState], object] | None = None,
) -> Projection:
    """Find ws of which the generator paints a picture.

    The same arguments give the same ws on the same device. Nothing in the generator is changed.

    Parameters
    ----------
    picture : Tensor
        [1, 3 or 4, h, w] or without the first dimension, -1 to 1, any size; its middle is used, in the network's size.
    steps : int
        Each paints one picture and finds its gradient, about four times the work of a picture.
    seed : int
        Any whole number: of the random latents that the start is the best of.
    candidates : int
        How many they are, beside the average w.
    layers : (first, last) or None
        The only ws that may leave the common one; None: all may.
    progress : callable or None
        Called after each step. If it returns True, the projection ends with the best until then.

    Raises
    ------
    ValueError
        If the picture has another shape or values that are not finite.
    """
    if steps < 1:
        raise ValueError(f"a projection takes at least 1 step, not {steps}")
    wanted = fitted(picture, generator.img_channels, generator.resolution).to(generator.device)
    first, last = (0, generator.num_ws - 1) if layers is None else layers
    if not 0 <= first <= last < generator.num_ws:
        raise ValueError(f"layers {first} to {last}: this network has the ws 0 to {generator.num_ws - 1}")
    target = describe(wanted)
    space = Space.of(generator, seed)
    common = space.inwards(start(generator, target, candidates, seed)).requires_grad_()  # u of all, [1, 1, w_dim]
    apart = torch.zeros(1, last - first + 1, generator.w_dim, device=generator.device, requires_grad=True)
    optimiser = torch.optim.Adam([{"params": [common]}, {"params": [apart]}], betas=(0.9, 0.99))
    best_loss, best_ws = math.inf, None
    for step in range(1, steps + 1):
        separate = step > COMMON * steps
        rate = LEARNING_RATE * ramp((step - 1) / steps)
        optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"] = rate, rate if separate else 0.0
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad():
            u = common + F.pad(apart, (0, 0, first, generator.num_ws - 1 - last)) if separate else common
            ws = space.outwards(u.expand(-1, generator.num_ws, -1))
            painted = generator.synthesis(ws)
            difference = distance(describe(painted), target)
            loss = difference + STAY * u.square().mean() + APART * apart.square().mean()
            if bool(loss.isfinite()):
                loss.backward()
        value = float(difference.detach())
        if best_ws is None or value < best_loss:
            best_loss, best_ws = value, ws.detach().clone()
        if bool(loss.isfinite()):
            optimiser.step()
        state = ProjectionState(step, steps, value, best_loss, painted.detach()[0])
        if progress is not None and progress(state) is True and step < steps:
            break
    assert best_ws is not None
    with torch.no_grad():  # again, as any other picture is painted: with a gradient the last digits can differ
        return Projection(best_ws, best_loss, generator.synthesis(best_ws), step == steps)


def ramp(share: float) -> float:
    """The learning rate's factor after a share of the steps: up in a line, down along a cosine.  0 to 1 -> 0 to 1"""
    down = min(1.0, (1 - share) / RAMP_DOWN)
    return min(1.0, (share + 0.01) / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * down))


@dataclass(frozen=True, eq=False)
class Space:
    """The axes in which w is searched: w = centre + u @ axes."""

    centre: Tensor  # [w_dim]
    axes: Tensor  # [w_dim, w_dim], rows at right angles, each as long as w's standard deviation along it

    @classmethod
    def of(cls, generator: Generator, seed: int) -> Space:
        """The principal components of many random w."""
        ws = seeded_ws(generator, 2048, seed)[:, 0].cpu().double()  # other devices may know no such numbers
        ws = ws - ws.mean(dim=0)
        values, vectors = torch.linalg.eigh(ws.T @ ws / len(ws))
        # What never varies may vary a little: a picture from elsewhere can need it.
        spread = values.clamp(min=0).sqrt().clamp(min=1e-2 * float(values[-1].clamp(min=1e-20)) ** 0.5)
        return cls(generator.w_avg.float(), (vectors * spread).T.float().to(generator.device))

    def outwards(self, u: Tensor) -> Tensor:
        """u to w.  [..., w_dim]"""
        return self.centre + u @ self.axes

    def inwards(self, w: Tensor) -> Tensor:
        """w to u.  [..., w_dim]"""
        return (w - self.centre) @ self.axes.T / self.axes.square().sum(dim=1)


def start(generator: Generator, target: Sequence[Tensor], candidates: int, seed: int) -> Tensor:
    """The average w, or the best of some random ones, drawn half towards it.  [1, 1, w_dim]"""
    average = generator.w_avg.expand(1, generator.num_ws, -1)
    best, lowest = average, math.inf
    drawn = seeded_ws(generator, candidates, seed).lerp(average, 0.3) if candidates else average[:0]
    with torch.no_grad():
        for ws in (average, *drawn.split(1)):
            value = float(distance(describe(generator.synthesis(ws)), target))
            if value < lowest:
                best, lowest = ws, value
    return best[:, :1].clone()


def fitted(picture: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """The middle of a picture in the network's size and channels.  [1, channels, h, w]

    What is missing of transparency is opaque, what is surplus is laid over black; grey is the luminance.
    """
    picture = picture[None] if picture.ndim == 3 else picture
    if picture.ndim != 4 or len(picture) != 1 or picture.shape[1] not in (1, 3, 4) or 0 in picture.shape:
        raise ValueError(f"a picture to project has shape {list(picture.shape)}, not [1, 1, 3 or 4, h, w]")
    picture = picture.detach().float()
    if not bool(picture.isfinite().all()):
        raise ValueError("a picture to project has values that are not finite numbers")
    height, width = picture.shape[-2:]
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    picture = picture[..., top : top + rows, left : left + columns].clamp(-1, 1)
    if (rows, columns) != tuple(size):
        picture = F.interpolate(picture, size=size, mode="bilinear", align_corners=False, antialias=True)
    alpha = picture[:, 3:] if picture.shape[1] == 4 else torch.ones_like(picture[:, :1])
    colours = picture[:, :3].expand(-1, 3, -1, -1) if picture.shape[1] == 1 else picture[:, :3]
    if channels == 4:
        return torch.cat([colours, alpha], dim=1)
    colours = (colours + 1) * (alpha + 1) / 2 - 1
    if channels == 1:
        return (colours * colours.new_tensor(LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)
    return colours


def describe(picture: Tensor) -> list[Tensor]:
    """The Laplacian pyramid of a picture, finest first, its last level what is left; then the edges of each level.

    [1, channels, h, w] -> one tensor each
    """
    seen = picture.clamp(-1, 1)
    picture = seen + 0.1 * (picture - seen)  # what is brighter than white looks no other, but must find its way back
    levels, edges = [], []
    while min(picture.shape[-2:]) > 4:
        smaller = F.avg_pool2d(picture, 2)
        larger = F.interpolate(smaller, size=picture.shape[-2:], mode="bilinear", align_corners=False)
        levels.append(picture - larger)
        down, across = (
            picture.diff(dim=dim)[..., : picture.shape[-2] - 1, : picture.shape[-1] - 1] for dim in (-2, -1)
        )
        edges.append((down.square() + across.square() + 1e-6).sqrt())
        picture = smaller
    return [*levels, picture, *edges]


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """How much two descriptions differ: the mean absolute differences of all levels, added up."""
    levels = (len(one) + 1) // 2
    total = one[0].new_zeros([])
    for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        total = total + (mine - theirs).abs().mean() * (1.0 if index < levels else EDGES)
    return total
