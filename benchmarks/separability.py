# SPDX-License-Identifier: GPL-3.0-or-later
"""Which envelope moves what: where in the picture, and at which scale; and which two move the same thing.

The paper (section 3, "Mixing") asks that different reactive components can be told apart, because they are mapped to
different parts of the latent and noise hierarchies and of the picture. This measures it. One envelope after the other
is moved from 0 to 1 while all others stay where they are, at some moments; what changes in the picture is split into
octaves (a Laplacian pyramid), into nine regions, and into lightness and colour.

Two envelopes are alike as far as their changes lie in the same octaves, regions and channels, and, at scales at which
an eye follows forms and colours, as far as these changes go the same way. 1 is the same reaction.

    PYTHONPATH=. python benchmarks/separability.py [preset ...] [--network FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylegan_reactive.choreography import Choreographer, Patch, load_preset, preset_names
from stylegan_reactive.choreography.sources import PITCH_CLASSES
from stylegan_reactive.generator import Generator, builtin_checkpoint, load_generator

SIZE = 128  # pixels that are compared: what is finer is not told apart in a film either
OCTAVES = 6
REGIONS = 3  # in each direction
FORMS = 4  # of the octaves, the coarsest: an eye sees which form moves, in the finer ones only that it shimmers
CHANNELS = ("lightness", "red-green", "yellow-blue")
ALIKE = 0.9  # from here on two envelopes are taken for one
DEAD = 0.015  # root mean square of the change, of the picture's full range: below it nothing is seen in a film
CHROMA, SECTION = "audio_chroma_", "audio_section_"
CLOCKS = ("audio_bars", "audio_seconds")


@dataclass(frozen=True)
class Reaction:
    """What an envelope does to the picture.

    Attributes
    ----------
    strength
        Root mean square of the change, in the picture's full range.
    energy
        Its share by octave (coarsest first), region (row by row) and channel: float64 [octaves, regions, 3], sum 1.
    forms
        The change itself, octave by octave, each of unit length or zero: float32 [numbers].
    """

    strength: float
    energy: np.ndarray
    forms: tuple[np.ndarray, ...]

    def octave(self) -> int:
        """The octave in which most changes."""
        return int(self.energy.sum(axis=(1, 2)).argmax())

    def region(self) -> int:
        """The region in which most changes, 0 to 8."""
        return int(self.energy.sum(axis=(0, 2)).argmax())


def opponent(picture: Tensor) -> Tensor:
    """Lightness and two opponent colours of pictures in -1..1, at `SIZE` pixels.  [b, 3, h, w] -> [b, 3, s, s]"""
    small = functional.interpolate(picture, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    small = (small.clamp(-1, 1) + 1) / 2
    small = small.expand(-1, 3, -1, -1) if small.shape[1] == 1 else small[:, :3]
    red, green, blue = small.unbind(dim=1)
    return torch.stack([0.3 * red + 0.6 * green + 0.1 * blue, red - green, (red + green) / 2 - blue], dim=1)


def pyramid(change: Tensor) -> list[Tensor]:
    """The octaves of pictures, coarsest first; each is as large as it needs to be."""
    octaves = []
    here = change
    for _ in range(OCTAVES - 1):
        below = functional.avg_pool2d(here, 2)
        octaves.append(here - functional.interpolate(below, here.shape[-2:], mode="bilinear", align_corners=False))
        here = below
    return [*reversed([*octaves, here])]


def reaction(changes: Tensor) -> Reaction:
    """What some changes of the picture, [moments, 3, s, s], have in common."""
    energy, forms = [], []
    for octave in pyramid(changes):
        # A coarse octave has fewer pixels, each of which is a larger piece of the picture.
        squares = functional.adaptive_avg_pool2d(octave.square().mean(dim=0, keepdim=True), REGIONS)[0]
        energy.append(squares.flatten(1).T.double().numpy())
        flat = octave.flatten().numpy()
        forms.append(flat / max(float(np.linalg.norm(flat)), 1e-12))
    share = np.stack(energy)
    return Reaction(float(changes.square().mean().sqrt()), share / max(float(share.sum()), 1e-12), tuple(forms))


def alikeness(one: Reaction, other: Reaction) -> float:
    """How far two reactions are the same, 0 to 1."""
    total = 0.0
    for octave in range(OCTAVES):
        first, second = one.energy[octave], other.energy[octave]
        shared = float(np.sqrt(first * second).sum())  # Bhattacharyya's coefficient, of this octave
        total += shared * (max(0.0, float(one.forms[octave] @ other.forms[octave])) if octave < FORMS else 1.0)
    return min(total, 1.0)


def envelopes_moved(patch: Patch) -> tuple[str, ...]:
    """The envelopes of a patch that stand for something in the music; clocks run by themselves."""
    return tuple(name for name in patch.envelopes if name not in CLOCKS)


def resting(patch: Patch, moment: int) -> dict[str, float]:
    """Values of all envelopes at one of some made-up moments: half loud, a chord, the clocks somewhere."""
    values = dict.fromkeys(patch.envelopes, 0.0)
    values["audio_bars"], values["audio_seconds"] = 2.3 + 5.1 * moment, 4.7 + 9.7 * moment
    values["audio_rms"] = 0.5
    for step in (0, 4, 7):
        name = f"{CHROMA}{PITCH_CLASSES[(step + 5 * moment) % 12]}"
        if name in values:
            values[name] = 1 / 3
    sections = sorted(name for name in values if name.startswith(SECTION))
    if sections:
        values[sections[moment % len(sections)]] = 1.0
    return values


def moved(values: Mapping[str, float], name: str) -> tuple[dict[str, float], dict[str, float]]:
    """The values before and after an envelope goes from 0 to 1.

    A note sounds out of silence, where the palette shows its average: from another chord, all notes would have in
    common that the chord goes. A section takes the place of all others.
    """
    before, after = {**values, name: 0.0}, {**values, name: 1.0}
    for family in (CHROMA, SECTION):
        if name.startswith(family):
            others = [other for other in values if other.startswith(family) and other != name]
            share = 1.0 / max(len(others), 1) if family == SECTION else 0.0
            before |= dict.fromkeys(others, share)
            after |= dict.fromkeys(others, 0.0)
    return before, after


def reactions(patch: Patch, generator: Generator, moments: int = 3) -> dict[str, Reaction]:
    """What each envelope of a patch does, on the average of some moments."""
    choreographer = Choreographer(patch, generator)
    painted: dict[tuple[tuple[str, float], ...], Tensor] = {}  # many envelopes begin at the same picture

    def picture(values: Mapping[str, float]) -> Tensor:
        key = tuple(sorted(values.items()))
        if key not in painted:
            with torch.inference_mode():
                painted[key] = opponent(choreographer.inputs(values).paint(generator)).cpu()
        return painted[key]

    return {
        name: reaction(
            torch.cat(
                [
                    picture(after) - picture(before)
                    for before, after in (moved(resting(patch, moment), name) for moment in range(moments))
                ]
            )
        )
        for name in envelopes_moved(patch)
    }


def too_alike(found: Mapping[str, Reaction]) -> list[tuple[str, str, float]]:
    """Pairs of envelopes that move the same thing, the most alike first."""
    names = list(found)
    pairs = [(one, other, alikeness(found[one], found[other])) for i, one in enumerate(names) for other in names[:i]]
    return sorted((pair for pair in pairs if pair[2] >= ALIKE), key=lambda pair: -pair[2])


def unseen(found: Mapping[str, Reaction]) -> list[str]:
    """Envelopes whose change nobody sees."""
    return [name for name, one in found.items() if one.strength < DEAD]


def report(name: str, found: Mapping[str, Reaction]) -> list[str]:
    """The lines of the table of one preset."""
    places = [f"{row} {column}".strip() for row in ("top", "", "bottom") for column in ("left", "", "right")]
    lines = [f"{name}: {'envelope':<20}strength  by octave, coarse to fine     where most   most like"]
    for one, its in found.items():
        octaves = " ".join(f"{100 * share:3.0f}" for share in its.energy.sum(axis=(1, 2)))
        others = [(alikeness(its, other), what) for what, other in found.items() if what != one]
        like = f"{max(others)[1].removeprefix('audio_')} {max(others)[0]:.2f}" if others else ""
        where = places[its.region()] or "middle"
        lines.append(f"  {one.removeprefix('audio_'):<28}{its.strength:.3f}  {octaves}   {where:<13}{like}")
    for one, other, how_much in too_alike(found):
        lines.append(f"  TOO ALIKE: {one} and {other}, {how_much:.2f}")
    for one in unseen(found):
        lines.append(f"  NOT SEEN: {one}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", help="which; all that are shipped, where none is named")
    parser.add_argument("--network", type=Path, default=builtin_checkpoint())
    asked = parser.parse_args(arguments)
    generator = load_generator(asked.network, device="cuda" if torch.cuda.is_available() else "cpu")
    worst = 0.0
    for name in asked.presets or preset_names():
        found = reactions(load_preset(name), generator)
        print("\n".join(report(name, found)))
        pairs = [alikeness(found[a], found[b]) for a in found for b in found if a < b]
        worst = max([worst, *pairs])
    print(f"most alike of all pairs: {worst:.2f} (from {ALIKE} on two are taken for one)")


if __name__ == "__main__":
    main()
