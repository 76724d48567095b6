# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats, bars and sections as markers on the timeline, in sets of their own that are known by their names.

``Beat 3.2``, ``Bar 3`` and ``§ A``: markers that are named otherwise belong to the artist and are never touched. Where
a section begins there is no marker of the bar, and where a bar begins none of the beat. Section markers may be moved,
renamed (``§ Chorus``), deleted and added, also as ``Section Chorus``; see `section_markers`.
"""

import json
import re

import bpy

from ..engine.protocol import Analysed
from .timing import first_frame_of_song, fps_of

SECTION = re.compile(r"^(?:§|Section\s)\s*(\S.*)$")
OWN_SECTION = re.compile(r"^§")
BAR = re.compile(r"^Bar -?\d+$")
BEAT = re.compile(r"^Beat -?\d+\.\d+$")


def section_markers(scene: bpy.types.Scene) -> list[list[float | str]]:
    """Where sections begin by the markers on the timeline: seconds of the song and label, in order of time."""
    first, fps = first_frame_of_song(scene), float(fps_of(scene))
    found = [
        (marker.frame, match[1].strip()) for marker in scene.timeline_markers if (match := SECTION.match(marker.name))
    ]
    return [[(frame - first) / fps, label] for frame, label in sorted(found)]


def sections_edited(scene: bpy.types.Scene) -> bool:
    """Whether the artist has moved, renamed, added or deleted section markers since they were made."""
    now = sorted([marker.frame, marker.name] for marker in scene.timeline_markers if OWN_SECTION.match(marker.name))
    made = scene.stylegan_reactive.hearing.marked_sections
    return bool(now) and now != (json.loads(made) if made else [])


def mark_song(scene: bpy.types.Scene, analysed: Analysed, *, replace: bool = False) -> list[str]:
    """Mark what the settings of the scene ask for, in place of such markers of an earlier time.

    Parameters
    ----------
    replace : bool
        Whether section markers are replaced, too, that the artist has moved or renamed.

    Returns
    -------
    list of str
        What the artist should know.
    """
    hearing = scene.stylegan_reactive.hearing
    notes = []
    there = any(SECTION.match(marker.name) for marker in scene.timeline_markers)
    keep_sections = (there and hearing.use_section_markers) or (sections_edited(scene) and not replace)
    if keep_sections and hearing.mark_sections and not hearing.use_section_markers:
        notes.append("Your section markers were kept.")
    for marker in list(scene.timeline_markers):
        own = BAR.match(marker.name) or BEAT.match(marker.name)
        if own or (OWN_SECTION.match(marker.name) and not keep_sections):
            scene.timeline_markers.remove(marker)
    first, fps = first_frame_of_song(scene), float(fps_of(scene))
    taken = {marker.frame for marker in scene.timeline_markers if SECTION.match(marker.name)}

    def mark(name: str, seconds: float) -> None:
        frame = first + int(seconds * fps + 1e-6)
        if frame not in taken:  # of two markers on one frame, only one could be read
            scene.timeline_markers.new(name, frame=frame).select = False
            taken.add(frame)

    if hearing.mark_sections and not keep_sections:
        for start, _end, label in analysed.sections:
            mark(f"§ {label}", start)
        made = sorted([m.frame, m.name] for m in scene.timeline_markers if OWN_SECTION.match(m.name))
        hearing.marked_sections = json.dumps(made)
    if hearing.mark_downbeats:
        for number, seconds in enumerate(analysed.downbeats, 1):
            mark(f"Bar {number}", seconds)
    if hearing.mark_beats:
        for name, seconds in _beat_names(analysed):
            mark(name, seconds)
    return notes


def _beat_names(analysed: Analysed) -> list[tuple[str, float]]:
    """``Beat 3.2`` is the second of the third bar; beats before the first bar are of bar 0."""
    names = []
    bar, beat = 0, 1
    downbeats = {round(float(seconds), 4) for seconds in analysed.downbeats}
    for seconds in analysed.beats:
        if round(float(seconds), 4) in downbeats:
            bar, beat = bar + 1, 1
        names.append((f"Beat {bar}.{beat}", float(seconds)))
        beat += 1
    return names
