# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist knows of the song, as the Scene stores it: the beat, the bars, the sections, and stems."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from .keying import FILE, FIXED


class SGR_Hearing(bpy.types.PropertyGroup):
    """Corrections of what is heard: the beat, the bars, the sections, and stems."""

    stems: StringProperty(
        name="Stems",
        subtype="DIR_PATH",
        options=FILE,
        description="A folder with the song's stems: drums.wav, vocals.wav and so on, as long as the song",
    )
    separation_weights: StringProperty(
        name="Weights",
        subtype="FILE_PATH",
        options=FILE,
        description="File or folder with the weights of the network that separates stems; empty: download them once, "
        "when Blender may go online",
    )
    tempo_from: EnumProperty(
        name="Beat",
        options=FIXED,
        description="Where the beat comes from",
        items=(
            ("FOUND", "Listen", "Find the beat in the song"),
            ("FIXED", "Fixed Tempo", "An even beat, for music made by a machine"),
            ("TAPPED", "Tapped", "Follow your taps, drawn to the song's attacks"),
        ),
    )
    fixed_bpm: FloatProperty(
        name="Beats per Minute", default=120.0, min=10.0, max=1000.0, options=FIXED, description="The exact tempo"
    )
    use_first_beat: BoolProperty(
        name="First Beat At", default=False, options=FIXED, description="Say where a beat lies, instead of finding it"
    )
    first_beat: FloatProperty(
        name="First Beat",
        default=0.0,
        soft_min=0.0,
        soft_max=10.0,
        precision=3,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
        options=FIXED,
        description="Seconds from the song's start to one of its beats",
    )
    taps: StringProperty(name="Taps", options=FIXED, description="When you tapped, in seconds of the song")
    speed: EnumProperty(
        name="Count",
        default="1",
        options=FIXED,
        description="Count the beat twice or half as fast as it is found",
        items=(("0.5", "Half Time", ""), ("1", "As Found", ""), ("2", "Double Time", "")),
    )
    beats_per_bar: IntProperty(
        name="Beats per Bar", default=0, min=0, max=32, options=FIXED, description="The metre; 0: find it"
    )
    bar_offset: IntProperty(
        name="Bars Begin Later By",
        default=0,
        min=-32,
        max=32,
        options=FIXED,
        description="Beats by which bars begin later than found, or earlier if negative",
    )
    section_kinds: IntProperty(
        name="Kinds of Section", default=0, min=0, max=26, options=FIXED, description="How many; 0: as the song shows"
    )
    section_method: EnumProperty(
        name="Sections By",
        options=FIXED,
        description="How sections are found",
        items=(
            ("laplacian", "Repetition", "By what comes again"),
            ("novelty", "Change", "Where the sound changes most"),
        ),
    )
    shortest_bars: IntProperty(
        name="At Least", default=4, min=1, max=64, options=FIXED, description="Fewest bars in a section"
    )
    use_section_markers: BoolProperty(
        name="Sections from Markers",
        default=False,
        options=FIXED,
        description="Take sections from the markers on the timeline whose names begin with §, instead of finding them. "
        "Move them, rename them, add more (also as Section Chorus), then bake again",
    )
    mark_beats: BoolProperty(name="Beats", default=False, options=FIXED, description="Mark every beat")
    mark_downbeats: BoolProperty(name="Bars", default=True, options=FIXED, description="Mark where each bar begins")
    mark_sections: BoolProperty(
        name="Sections", default=True, options=FIXED, description="Mark where each section begins"
    )
    section_labels: StringProperty(options={"HIDDEN"})
    marked_sections: StringProperty(options={"HIDDEN"})
    tempo: FloatProperty(options={"HIDDEN"})

    def rhythm(self) -> dict[str, Any]:
        """What is known of the beat, as the engine wants it."""
        known: dict[str, Any] = {"bar_offset": self.bar_offset}
        if self.beats_per_bar:
            known["beats_per_bar"] = self.beats_per_bar
        if self.tempo_from == "FIXED":
            known["fixed_bpm"] = float(f"{self.fixed_bpm:.6g}")
            if self.use_first_beat:
                known["first_beat"] = self.first_beat
        elif self.tempo_from == "TAPPED":
            known["taps"] = self.tapped()
        if self.tempo_from != "FIXED":
            known["speed"] = float(self.speed)
        return known

    def tapped(self) -> list[float]:
        """Seconds of the song at which the artist tapped; what is no number is left out."""
        taps = []
        for word in self.taps.replace(",", " ").split():
            try:
                taps.append(float(word))
            except ValueError:
                continue
        return taps

    def form(self) -> dict[str, Any]:
        """What is known of the sections, as the engine wants it."""
        return {
            "kinds": self.section_kinds or None,
            "method": self.section_method,
            "shortest_bars": self.shortest_bars,
        }


CLASSES = (SGR_Hearing,)
