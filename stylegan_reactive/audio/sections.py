# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of a song, the markers that an artist moves to change them, and an envelope for each kind of section."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ..errors import PatchError

TOUCHES = 1e-9
"""Seconds: a boundary this close to a frame's end is rounding, and belongs to the next frame."""


@dataclass(frozen=True)
class Section:
    """A part of the song.

    Attributes
    ----------
    start, end
        Seconds; the next section starts where this one ends.
    label
        What kind of section it is: the same for a verse and for its repeat. Those that are found are named A, B, C in
        the order in which they are first heard.
    """

    start: float
    end: float
    label: str


def letters(number: int) -> str:
    """A to Z, then AA, AB and so on."""
    return ("" if number < 26 else letters(number // 26 - 1)) + chr(ord("A") + number % 26)


def sections_from_markers(times: Sequence[float], labels: Sequence[str], duration: float) -> tuple[Section, ...]:
    """Make sections of the markers at which they start.

    The first one reaches back to the song's start, wherever its marker is. Markers need not be in order. Those behind
    the song's end are left out; of several at one time, the last one counts.

    Parameters
    ----------
    times
        Seconds.
    labels
        As many names. What is named alike is one kind of section.
    duration
        Of the song, in seconds.

    Returns
    -------
    tuple of Section
        The whole song without gaps; one section, A, where there are no markers.

    Raises
    ------
    PatchError
        A marker has no name or no time.
    """
    if len(times) != len(labels):
        raise PatchError(f"There are {len(times)} section markers and {len(labels)} names. Name each marker once.")
    starts: dict[float, str] = {}
    for time, label in sorted(zip(times, labels, strict=True), key=lambda marker: float(marker[0])):
        if not math.isfinite(time):
            raise PatchError(f"The section marker “{label}” is at {time}. Move it to a time in the song.")
        if not label.strip():
            raise PatchError(f"The section marker at {float(time):.2f} s has no name. Name it, as A, B, or verse.")
        starts[max(0.0, float(time))] = label.strip()
    inside = [(time, label) for time, label in starts.items() if time == 0.0 or time < duration]
    if not inside:
        inside = [(0.0, next(iter(starts.values()), "A"))]
    edges = [0.0, *(time for time, _ in inside[1:]), float(duration)]
    return tuple(Section(start, end, label) for (start, end), (_, label) in zip(pairwise(edges), inside, strict=True))


def section_envelopes(
    sections: Sequence[Section],
    fps: Fraction,
    frames: int,
    crossfade_seconds: float | Sequence[float] | np.ndarray = 0.0,
    kinds: int | None = None,
) -> dict[str, np.ndarray]:
    """Draw an envelope for each kind of section: 1 while it is heard, 0 elsewhere.

    A cross-fade starts at the boundary and never before it, so that nothing is seen of a section before it sounds;
    the first frame that moves is the one in which the boundary lies. Each section reaches 1: in one that is shorter
    than the cross-fade, the fade is as short as the section.

    Parameters
    ----------
    sections
        In order and without gaps.
    fps, frames
        The video's rate, and its length in frames.
    crossfade_seconds
        Length of the fade from one section to the next, in the shape of half a cosine: the same everywhere, or one for
        the beginning of each section. 0: from one frame to the next.
    kinds
        How many envelopes there shall be; where the song has more kinds of section, they begin again, and envelopes
        that no section is left for stay 0. None: one for each kind.

    Returns
    -------
    dict
        Label, in order of first appearance → float32 [frames]. At every frame the envelopes sum to one. With ``kinds``
        the labels are A, B, C.
    """
    fades = np.broadcast_to(np.asarray(crossfade_seconds, np.float64), len(sections))
    if kinds is not None:
        order = {label: number for number, label in enumerate(dict.fromkeys(part.label for part in sections))}
        names = [letters(number) for number in range(kinds)]
        sections = [replace(part, label=names[order[part.label] % kinds]) for part in sections]
    ends = np.arange(1, frames + 1, dtype=np.int64) * fps.denominator / fps.numerator
    envelopes: dict[str, np.ndarray] = {} if kinds is None else {name: np.zeros(frames) for name in names}
    arrived = np.ones(frames)  # how much of the section is there; all of the first one
    for section, after, length in zip(sections, [*sections[1:], None], [*fades[1:], 0.0], strict=True):
        following = np.zeros(frames)
        if after is not None:
            passed = ends - after.start
            fade = min(length, after.end - after.start)
            share = np.clip(passed / fade, 0.0, 1.0) if fade > 0.0 else np.ones(frames)
            following = np.where(passed > TOUCHES, 0.5 - 0.5 * np.cos(np.pi * share), 0.0)
        envelope = envelopes.setdefault(section.label, np.zeros(frames))
        envelope += arrived - following
        arrived = following
    return {label: np.clip(envelope, 0.0, 1.0).astype(np.float32) for label, envelope in envelopes.items()}
