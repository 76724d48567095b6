# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the latents and the noise of a layer come from, as a patch describes it. `latents` and `noise` do the work."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import ClassVar

from . import checks
from .schema import Fixed, Optional, Part, Several, choice, declared, flag, number, text, whole
from .seeds import LARGEST_SEED, Latents, absolute_path, latents
from .signals import NO_LIMIT, Signal, envelope_name, signal

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MOST_BINS = 256
LOOP_METHODS = ("spline", "gaussian", "geodesic")
LOOP_SPACES = ("w", "z")
DIRECTIONS = ("sefa", "file")
MASKS = ("none", "disc", "edges", "linear", "radial", "checker", "image")


# Latents


@dataclass(frozen=True, kw_only=True)
class StaticLatent:
    """One latent, or a place between some that a curve chooses.

    Attributes
    ----------
    latents
        One, or several in a row.
    position
        Which of them: 0 is the first, 1.5 half way from the second to the third; after the last comes the first.
    """

    kind: ClassVar[str] = "static"
    latents: Latents = latents()
    position: Signal = signal(0.0, low=-NO_LIMIT, high=NO_LIMIT)


@dataclass(frozen=True, kw_only=True)
class LoopLatent:
    """A loop through latents, one turn through all of them while its phase counts on by `bars`.

    The loop runs at the same speed all the way round, so a latent that is far from its neighbours takes longer to
    reach; at phase 0 it is at the first one. Two latents are gone between there and back. (Paper, appendix B.)

    Attributes
    ----------
    method
        "spline": a closed cubic spline in W, through each latent. "gaussian": the latents smoothed by a Gaussian, their
        spread restored; it passes them by. "geodesic": great circles in Z, from one latent to the next, their corners
        rounded.
    space
        Where a "gaussian" loop runs: "w" or "z".
    smoothness
        Standard deviation of that Gaussian, in latents.
    bars
        Length of one turn.
    phase
        Where the loop is, in bars.
    """

    kind: ClassVar[str] = "loop"
    latents: Latents = latents()
    method: str = choice("spline", LOOP_METHODS)
    space: str = choice("w", LOOP_SPACES)
    smoothness: float = number(0.7, low=0.4, high=16.0)
    bars: float = number(8.0, low=1e-3, high=1e6)
    phase: Signal = signal(1.0, low=-NO_LIMIT, high=NO_LIMIT, envelope="audio_bars")


@dataclass(frozen=True, kw_only=True)
class ChromaLatent:
    """A palette: one latent for each bin of a chromagram, mixed by how much of each sounds (paper, appendix C).

    Attributes
    ----------
    latents
        In the order of the envelopes; where they are fewer, they begin again.
    envelopes
        One for each bin, any number of them; as a rule the twelve pitch classes, C first.
    """

    kind: ClassVar[str] = "chroma"
    latents: Latents = latents()
    envelopes: tuple[str, ...] = declared(
        Several(Fixed(envelope_name), longest=MOST_BINS, shortest=1),
        tuple(f"audio_chroma_{name}" for name in PITCH_CLASSES),
    )


@dataclass(frozen=True, kw_only=True)
class DirectionLatent:
    """What is below, moved along a direction of W.

    Attributes
    ----------
    method
        "sefa": a direction that the network's own weights suggest for the layer's range, the strongest first. "file":
        a row of a file (``.npy``, ``.npz``, ``.safetensors``), [directions, w_dim] or [directions, num_ws, w_dim].
    index
        Which one, from 0.
    file
        Absolute path, for "file".
    amount
        How far, in standard deviations of the network's latents along a SeFa direction, else in lengths of the
        file's own vector.
    """

    kind: ClassVar[str] = "direction"
    method: str = choice("sefa", DIRECTIONS)
    index: int = whole(0, low=0, high=4095)
    file: str = declared(Fixed(lambda value, path: value if value == "" else absolute_path(value, path)), "")
    amount: Signal = signal(1.0, low=-1000.0, high=1000.0)


# Noise


def _seed() -> int:
    seed: int = whole(1, low=0, high=LARGEST_SEED)
    return seed


@dataclass(frozen=True, kw_only=True)
class OwnNoise:
    """The noise that the network was saved with."""

    kind: ClassVar[str] = "own"


@dataclass(frozen=True, kw_only=True)
class FixedNoise:
    """White noise of a seed that stays as it is."""

    kind: ClassVar[str] = "fixed"
    seed: int = _seed()


@dataclass(frozen=True, kw_only=True)
class EvolvingNoise:
    """White noise that changes steadily: after `seconds` of its clock it is half correlated with itself."""

    kind: ClassVar[str] = "evolving"
    seed: int = _seed()
    seconds: float = number(0.5, low=1e-3, high=1e6)
    clock: Signal = signal(1.0, low=-NO_LIMIT, high=NO_LIMIT, envelope="audio_seconds")


@dataclass(frozen=True, kw_only=True)
class LoopNoise:
    """White noise that comes back after `bars` of its clock, by way of some independent patterns.

    Attributes
    ----------
    patterns
        How many: half correlated with itself after about ``bars / patterns``.
    """

    kind: ClassVar[str] = "loop"
    seed: int = _seed()
    bars: float = number(4.0, low=1e-3, high=1e6)
    patterns: int = whole(8, low=4, high=1024)
    clock: Signal = signal(1.0, low=-NO_LIMIT, high=NO_LIMIT, envelope="audio_bars")


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """Clouds: Perlin's gradient noise in space and time, whose edges fit together.

    Attributes
    ----------
    cells
        Fields of the lattice along the picture's shorter side; a cloud is about one of them wide.
    seconds
        After so much of its clock it is half correlated with itself.
    """

    kind: ClassVar[str] = "gradient"
    seed: int = _seed()
    cells: int = whole(4, low=2, high=256)
    seconds: float = number(1.0, low=1e-3, high=1e6)
    clock: Signal = signal(1.0, low=-NO_LIMIT, high=NO_LIMIT, envelope="audio_seconds")


@dataclass(frozen=True, kw_only=True)
class MaskImage:
    """A grey picture: width and height in pixels, and its bytes row by row from the top, as base64."""

    width: int = whole(1, low=1, high=512)
    height: int = whole(1, low=1, high=512)
    pixels: str = text("AA==", longest=4 * (512 * 512 // 3 + 1))

    def grey_bytes(self, path: str = "image") -> bytes:
        """The pixels; raises `checks.Misfit` if they are damaged or not as many as they should be."""
        try:
            grey = base64.b64decode(self.pixels, validate=True)
        except ValueError:
            raise checks.Misfit(f"{path}.pixels", "found text that is not base64; choose the picture again.") from None
        if len(grey) != self.width * self.height:
            raise checks.Misfit(
                f"{path}.pixels",
                f"found {len(grey)} bytes, expected {self.width} x {self.height}, one for each pixel; "
                "choose the picture again.",
            )
        return grey


class _CheckedImage(Part):
    """A grey picture whose bytes are as many as its pixels."""

    def read(self, value: object, path: str) -> MaskImage:
        image: MaskImage = super().read(value, path)
        image.grey_bytes(path)
        return image


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Where in the picture a noise layer is, 0 to 1. Lengths are fractions of the picture's shorter side.

    Attributes
    ----------
    shape
        "none" (everywhere), "disc", "edges", "linear", "radial", "checker" or "image".
    x, y
        Its middle: 0.5, 0.5 is the picture's, 1, 1 its upper right corner.
    size
        Radius of a disc or a radial ramp, depth of the edges, length of a linear ramp, side of a checker's field.
    softness
        Width of the soft rim of a disc, the edges and a checker's fields; ramps have none.
    angle
        Of a linear ramp, which is 1 on the right at 0 and at the top at 90, and a checker; degrees, counter-clockwise.
    invert
        The rest of the picture instead: the two together are 1 everywhere.
    image
        The grey picture of "image", stretched over the whole; until one is chosen, the layer is everywhere.
    """

    shape: str = choice("none", MASKS)
    x: float = number(0.5, low=-10.0, high=10.0)
    y: float = number(0.5, low=-10.0, high=10.0)
    size: Signal = signal(0.35, low=0.0, high=100.0)
    softness: float = number(0.1, low=0.0, high=10.0)
    angle: float = number(0.0, low=-1e6, high=1e6)
    invert: bool = flag(False)
    image: MaskImage | None = declared(Optional(_CheckedImage(MaskImage)), None)
