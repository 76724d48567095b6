# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching the extension off and on leaves nothing behind, and a file lives on without it."""

import json
from pathlib import Path
from typing import Any

TWICE = """
    import json, os, sys
    from pathlib import Path

    import bpy
    import stylegan_reactive
    from stylegan_reactive.blender.session import session

    def children():
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
                command = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue
            # Python's own keeper of shared memory serves every add-on and ends with Blender.
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"resource_tracker" not in command:
                found.append(command.decode(errors="replace"))
        return found

    def timers():
        modules = [module for name, module in sys.modules.items() if name.startswith("stylegan_reactive.blender")]
        functions = {value for module in modules for value in vars(module).values() if callable(value)}
        return sorted(one.__name__ for one in functions if bpy.app.timers.is_registered(one))

    def traces():
        found = set()
        for name in dir(bpy.app.handlers):
            handlers = getattr(bpy.app.handlers, name)
            found |= {f"handler {name}: {one}" for one in handlers} if isinstance(handlers, list) else set()
        found |= {f"type {name}" for name in dir(bpy.types) if name.startswith("SGR_")}
        found |= {f"scene {name}" for name in bpy.types.Scene.bl_rna.properties.keys()}
        for name in dir(bpy.types):
            draw = getattr(getattr(bpy.types, name), "draw", None)
            drawn = [one for one in getattr(draw, "_draw_funcs", ()) if "stylegan_reactive" in one.__module__]
            found |= {f"menu {name}: {one.__qualname__}" for one in drawn}
        found |= {f"manual {one}" for one in bpy.utils.manual_map() if "stylegan_reactive" in str(one)}
        found |= {f"process {one}" for one in children()} | {f"timer {one}" for one in timers()}
        maps = Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else ""
        found |= {f"memory {line.split()[-1]}" for line in maps.splitlines() if "/dev/shm/sgr_" in line}
        return found

    before, left, busy = traces(), [], []
    for _ in range(2):
        stylegan_reactive.register()
        bpy.ops.wm.read_factory_settings(use_empty=True)
        settings = bpy.context.scene.stylegan_reactive
        settings.song, settings.size, settings.preview = sys.argv[1], (64, 64), "QUARTER"
        assert bpy.ops.stylegan_reactive.set_up() == {"FINISHED"}
        assert bpy.ops.stylegan_reactive.bake() == {"FINISHED"}
        assert bpy.ops.stylegan_reactive.show_frame() == {"FINISHED"}
        busy.append(session.engine().running)
        stylegan_reactive.unregister()
        left.append(sorted(traces() - before))
    print("ANSWER", json.dumps([busy, left]))
"""

HELPERS = """
    import importlib.util, json, os, sys
    import bpy

    def dump():
        spec = importlib.util.spec_from_file_location("helpers", sys.argv[1])
        helpers = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(helpers)
        return {path: repr(value) for path, value in helpers.dump_file().items()}

    def curves():
        found = {}
        for action in bpy.data.actions:
            for bag in action.layers[0].strips[0].channelbags:
                found |= {one.data_path: [list(key.co) for key in one.keyframe_points] for one in bag.fcurves}
        return found

    def render(name):
        scene = bpy.context.scene
        scene.frame_set(12)
        if hasattr(scene.render.image_settings, "media_type"):
            scene.render.image_settings.media_type = "IMAGE"
        scene.render.image_settings.file_format = "PNG"
        scene.render.filepath = name
        scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
        assert bpy.ops.render.render(write_still=True) == {"FINISHED"}
        image = bpy.data.images.load(bpy.path.abspath(scene.render.frame_path() if not name.endswith("g") else name))
        pixels = [round(value * 255) for value in image.pixels]
        bpy.data.images.remove(image)
        return pixels
"""

MAKE = (
    HELPERS
    + """
    import stylegan_reactive
    stylegan_reactive.register()
    bpy.ops.wm.read_factory_settings(use_empty=False)
    scene = bpy.context.scene
    scene.stylegan_reactive.song, scene.stylegan_reactive.size = sys.argv[3], (48, 48)
    bpy.ops.stylegan_reactive.set_up()
    bpy.ops.stylegan_reactive.bake()
    scene.stylegan_reactive.latent_layers[0].name = "mine"
    bpy.ops.stylegan_reactive.unplace()
    bpy.ops.stylegan_reactive.place(where="SCREEN")
    pixels = render(sys.argv[2] + ".a.png")
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
    print("ANSWER", json.dumps([dump(), curves(), pixels]))
    """
)
WITHOUT = (
    HELPERS
    + """
    bpy.ops.wm.open_mainfile(filepath=sys.argv[2])
    assert not hasattr(bpy.types.Scene, "stylegan_reactive")
    pixels = render(sys.argv[2] + ".b.png")
    before = bpy.context.scene["audio_kick"]
    bpy.context.scene.frame_set(16)
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
    print("ANSWER", json.dumps([curves(), pixels, before != bpy.context.scene["audio_kick"]]))
    """
)
AGAIN = (
    HELPERS
    + """
    import stylegan_reactive
    stylegan_reactive.register()
    bpy.ops.wm.open_mainfile(filepath=sys.argv[2])
    pixels = render(sys.argv[2] + ".a.png")
    print("ANSWER", json.dumps([dump(), curves(), pixels]))
    """
)


def answer(output: str) -> Any:
    (line,) = [line for line in output.splitlines() if line.startswith("ANSWER ")]
    return json.loads(line.removeprefix("ANSWER "))


def test_registering_twice_leaves_no_process_timer_handler_or_memory_behind(run_blender: Any, beat: Path) -> None:
    busy, left = answer(run_blender(TWICE, beat))
    assert busy == [True, True]
    assert left == [[], []]


def test_file_without_the_extension_renders_keeps_its_curves_and_recovers(
    run_blender: Any, beat: Path, tmp_path: Path
) -> None:
    helpers, film = Path(__file__).with_name("conftest.py"), tmp_path / "film.blend"
    made, curves, picture = answer(run_blender(MAKE, helpers, film, beat))
    kept, without, moves = answer(run_blender(WITHOUT, helpers, film))
    assert kept == curves
    assert moves, "the curves do not move their property without the extension"
    assert max(without) > 20, "the 3D scene is not seen"
    again, curves_again, picture_again = answer(run_blender(AGAIN, helpers, film))
    assert curves_again == curves
    assert picture_again == picture
    ours = {path: value for path, value in made.items() if ".stylegan_reactive" in path}
    assert len(ours) > 100
    assert {path: again.get(path) for path in ours} == ours
