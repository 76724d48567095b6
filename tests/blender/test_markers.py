# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats, bars and sections on the timeline, and sections that are read back from it."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from stylegan_reactive.blender.bake import bake_steps
from stylegan_reactive.blender.envelope_curves import curve_of
from stylegan_reactive.blender.properties import settings_of
from stylegan_reactive.blender.steps import finish


@pytest.fixture
def marked(scene: bpy.types.Scene, builtin_song: Path) -> bpy.types.Scene:
    """A scene with the built-in song, one marker of the artist's own, and all markers that can be had."""
    settings = settings_of(scene)
    settings.song = str(builtin_song)
    scene.timeline_markers.new("Section", frame=77)
    scene.timeline_markers.new("Bar fight", frame=88)
    settings.hearing.mark_beats = settings.hearing.mark_downbeats = True
    assert bpy.ops.stylegan_reactive.mark_song() == {"FINISHED"}
    return scene


def places(scene: bpy.types.Scene, word: str) -> dict[str, int]:
    """Frame by name of the markers whose name begins with a word and a number or letter."""
    return {marker.name: marker.frame for marker in scene.timeline_markers if marker.name.startswith(f"{word} ")}


def test_song_is_marked_beside_the_artist_s_own_markers(marked: bpy.types.Scene) -> None:
    names = [marker.name for marker in marked.timeline_markers]
    assert {"Section", "Bar fight"} <= set(names)
    bars = places(marked, "Bar")
    bars.pop("Bar fight")
    numbers = np.array([int(name.split()[1]) for name in bars])
    per_bar = np.diff(list(bars.values())) / np.diff(numbers)
    assert len(bars) >= 10
    assert np.ptp(per_bar) <= 2
    assert len(places(marked, "Beat")) >= 3 * len(bars)
    frames = [marker.frame for marker in marked.timeline_markers]
    assert len(frames) == len(set(frames))
    assert sum(name.startswith("§ ") for name in names) >= 2


def test_marking_again_replaces_only_its_own(marked: bpy.types.Scene) -> None:
    before = sorted((marker.name, marker.frame) for marker in marked.timeline_markers)
    bpy.ops.stylegan_reactive.mark_song()
    assert sorted((marker.name, marker.frame) for marker in marked.timeline_markers) == before
    settings_of(marked).hearing.mark_beats = False
    bpy.ops.stylegan_reactive.mark_song()
    assert not places(marked, "Beat")
    assert {"Section", "Bar fight"} <= {marker.name for marker in marked.timeline_markers}


def test_sections_that_were_moved_are_kept_unless_asked(marked: bpy.types.Scene) -> None:
    marker = next(marker for marker in marked.timeline_markers if marker.name == "§ B")
    found = marker.frame
    marker.frame = found + 13
    bpy.ops.stylegan_reactive.mark_song()
    assert found + 13 in [each.frame for each in marked.timeline_markers]
    bpy.ops.stylegan_reactive.mark_song(replace=True)
    frames = [each.frame for each in marked.timeline_markers if each.name == "§ B"]
    assert found in frames
    assert found + 13 not in frames


def test_section_envelopes_follow_markers_that_were_moved_and_renamed(marked: bpy.types.Scene) -> None:
    assert bpy.ops.stylegan_reactive.add_section_envelopes() == {"FINISHED"}
    settings = settings_of(marked)
    labels = settings.hearing.section_labels.split(",")
    assert [each.name for each in settings.envelopes] == [f"audio_section_{label}" for label in labels]
    total = [sum(curve_of(marked, each.name).evaluate(f) for each in settings.envelopes) for f in range(1, 900, 7)]
    np.testing.assert_allclose(total, 1.0, atol=0.03)
    for marker in list(marked.timeline_markers):
        if marker.name.startswith("§"):
            marked.timeline_markers.remove(marker)
    marked.timeline_markers.new("§ Verse", frame=1)
    marked.timeline_markers.new("Section Chorus", frame=301)
    settings.hearing.use_section_markers = True
    bpy.ops.stylegan_reactive.add_section_envelopes()
    assert settings.hearing.section_labels == "Verse,Chorus"
    chorus = curve_of(marked, "audio_section_Chorus")
    assert chorus.evaluate(300) == pytest.approx(0.0, abs=0.01)
    assert chorus.evaluate(400) == pytest.approx(1.0, abs=0.01)
    finish(bake_steps(marked))
    assert curve_of(marked, "audio_section_Verse").evaluate(200) == pytest.approx(1.0, abs=0.01)


def test_sections_are_marked_even_where_markers_shall_give_them_but_none_is_there(marked: bpy.types.Scene) -> None:
    for marker in list(marked.timeline_markers):
        marked.timeline_markers.remove(marker)
    settings_of(marked).hearing.use_section_markers = True
    bpy.ops.stylegan_reactive.mark_song()
    assert [marker for marker in marked.timeline_markers if marker.name.startswith("§ ")]
