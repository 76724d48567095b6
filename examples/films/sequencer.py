# SPDX-License-Identifier: GPL-3.0-or-later
"""An example film: two networks, each in a scene of its own, cut on bars and sections in the Video Sequencer.

Each scene has its own network and preset. In the edit, quiet sections dissolve into each other, loud ones are cut on
downbeats, and where both networks are seen at once the kick fades one over the other.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from studio import FLOWERS, FOLDS, Film, Say, bars_of, bpy, empty_scene, leave, let_follow, run, set_up_and_bake

SIZE = 720
FPS = 24
PICTURES, OVER, TITLES = 2, 6, 9  # channels of the Sequencer, each with room above it
NETWORKS = {"Silk": ("builtin:silk", FOLDS), "Bloom": ("builtin:bloom", FLOWERS)}


@dataclass(frozen=True)
class Cut:
    """A part of the edit: from which bar on which scene is seen, and how it comes in.

    Attributes
    ----------
    dissolve : float
        Bars that it takes to come in; 0 is a hard cut.
    over : str
        Scene that the kick fades over this one; empty: none.
    """

    bar: float
    scene: str
    dissolve: float = 0.0
    over: str = ""


CUTS = (
    # intro and verse: whole lines, dissolved
    Cut(1, "Silk"),
    Cut(3, "Bloom", dissolve=0.5),
    Cut(5, "Silk", dissolve=0.5),
    # the build: cut faster and faster
    Cut(7, "Bloom"),
    Cut(7.5, "Silk"),
    Cut(8, "Bloom"),
    Cut(8.25, "Silk"),
    Cut(8.5, "Bloom"),
    Cut(8.75, "Silk"),
    # the drop: the kick throws one over the other, then a cut on each downbeat
    Cut(9, "Silk", over="Bloom"),
    Cut(11, "Bloom"),
    Cut(12, "Silk"),
    # the break, and the build again
    Cut(13, "Bloom", dissolve=0.5),
    Cut(15, "Silk"),
    Cut(15.5, "Bloom"),
    Cut(16, "Silk"),
    Cut(16.25, "Bloom"),
    Cut(16.5, "Silk"),
    Cut(16.75, "Bloom"),
    # the second drop
    Cut(17, "Bloom"),
    Cut(18, "Silk"),
    Cut(19, "Silk", over="Bloom"),
    # the last chord
    Cut(21, "Bloom", dissolve=1.0),
)


def build(say: Say) -> bpy.types.Scene:
    """The whole file, as an artist would make it by hand."""
    scene = empty_scene("Silk")
    scenes = {}
    for name, (network, preset) in NETWORKS.items():
        if name != scene.name:
            scene = bpy.data.scenes.new(name)
            bpy.context.window.scene = scene
        scene.render.fps = FPS
        settings = scene.stylegan_reactive
        bpy.ops.stylegan_reactive.use_builtin_song()
        settings.checkpoint, settings.size = network, (SIZE, SIZE)
        say(f"Listening to the song for {name} ...")
        set_up_and_bake(scene, preset)
        scenes[name] = scene
    bpy.context.window.scene = scenes["Silk"]
    bpy.ops.stylegan_reactive.place(where="SCENE_STRIP")
    edit = bpy.context.window.scene
    edit.name = "Edit"
    say("Cutting ...")
    listen(edit)
    cut(edit, scenes)
    title(edit)
    output(edit, scenes["Silk"])
    return edit


def listen(edit: bpy.types.Scene) -> None:
    """The edit hears the song too: for markers on its bars, and the kick that fades one strip over another."""
    bpy.ops.stylegan_reactive.use_builtin_song()
    for kind in ("kick", "snare"):
        bpy.ops.stylegan_reactive.envelope_add(kind=kind)
    bpy.ops.stylegan_reactive.bake()
    bpy.ops.stylegan_reactive.mark_song()


def cut(edit: bpy.types.Scene, scenes: dict[str, bpy.types.Scene]) -> None:
    """Put the strips on the timeline."""
    strips = edit.sequence_editor.strips
    for strip in [strip for strip in strips if strip.type == "SCENE"]:
        strips.remove(strip)
    bars = bars_of(edit)
    bars[len(bars) + 1] = edit.frame_end + 1

    def frame_at(bar: float) -> int:
        whole = int(bar)
        return round(bars[whole] + (bar - whole) * (bars[whole + 1] - bars[whole])) if bar - whole else bars[whole]

    def shot(name: str, first: int, last: int, channel: int) -> Any:
        """A scene strip, cut so that its frames stay where they are in the song."""
        strip = strips.new_scene(f"{name} {first}", scenes[name], channel, scenes[name].frame_start)
        strip.scene_input, strip.volume = "CAMERA", 0.0
        strip.frame_final_end, strip.frame_final_start = last, first
        if name == "Bloom":  # a little larger than the frame: the sky is dark at its rim
            strip.transform.scale_x = strip.transform.scale_y = 1.1
        strip.color_tag = "COLOR_05" if name == "Silk" else "COLOR_07"
        return strip

    before: Any = None
    for number, each in enumerate(CUTS):
        first = frame_at(each.bar)
        coming = CUTS[number + 1] if number + 1 < len(CUTS) else None
        last = edit.frame_end + 1 if coming is None else frame_at(coming.bar + coming.dissolve)
        strip = shot(each.scene, first, last, PICTURES + number % 2)
        if each.dissolve:
            length = frame_at(each.bar + each.dissolve) - first
            strips.new_effect(f"Dissolve {first}", "GAMMA_CROSS", PICTURES + 2, first, length=length,
                              input1=before, input2=strip)  # fmt: skip
        if each.over:
            strip.color_multiply = 0.22
            above = shot(each.over, first, last, OVER)
            above.name, above.blend_type = f"{each.over} over {each.scene} (kick)", "ADD"
            path = f'sequence_editor.strips_all["{above.name}"].blend_alpha'
            let_follow(edit, edit, path, "kick", low=0.8, high=1.0)
        before = strip


def title(edit: bpy.types.Scene) -> None:
    """The song's name, in the first two bars."""
    song = Path(bpy.path.abspath(edit.stylegan_reactive.song))
    name = json.loads(song.with_suffix(".json").read_text(encoding="utf-8"))["title"]
    bars = bars_of(edit)
    first, last = bars[1] + FPS // 4, bars[3] - FPS // 4
    strip: Any = edit.sequence_editor.strips.new_effect("Title", "TEXT", TITLES, first, length=last - first)
    strip.text, strip.font_size, strip.use_shadow = " ".join(name.upper()), 26, False
    strip.location, strip.color_tag = (0.5, 0.5), "COLOR_03"
    strip.blend_type = "ALPHA_OVER"
    for frame, alpha in ((first, 0.0), (first + FPS // 2, 1.0), (last - FPS // 2, 1.0), (last - 1, 0.0)):
        strip.blend_alpha = alpha
        strip.keyframe_insert("blend_alpha", frame=frame)


def output(edit: bpy.types.Scene, like: bpy.types.Scene) -> None:
    """An MP4, as Set Up Scene made it for the others."""
    image, settings = edit.render.image_settings, edit.render.ffmpeg
    if hasattr(image, "media_type"):  # 5.0 and later
        image.media_type = "VIDEO"
    image.file_format = "FFMPEG"
    for name in ("format", "codec", "constant_rate_factor", "ffmpeg_preset", "gopsize", "audio_codec", "audio_bitrate"):
        setattr(settings, name, getattr(like.render.ffmpeg, name))
    edit.render.use_sequencer = True


FILM = Film("sequencer", build, columns=6, rows=2)

if __name__ == "__main__":
    leave(run(FILM, __doc__.splitlines()[0]))
