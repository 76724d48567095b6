# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist's first film in the real window, with a real mouse: `make test-window` and `make tutorial` run it.

It is run inside Blender by the window's own harness, which knows ``click``, ``move`` and ``key`` (real input, in pixels
of the screen) and takes a picture of the screen for every name that ``steps`` yields. What must hold is asserted on the
way; the pictures are those of docs/tutorial.md.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
from mathutils import Euler

ZIP, PYTHON, OUT = os.environ["JOURNEY_ZIP"], os.environ["JOURNEY_PYTHON"], Path(os.environ["WINDOW_OUT"])
SIDE = int(os.environ.get("JOURNEY_SIDE", "256"))
MODULE = "bl_ext.user_default.stylegan_reactive"
SCREEN_HEIGHT = 1080
Steps = Iterator[float | str | None]


def scene() -> bpy.types.Scene:
    return bpy.context.window_manager.windows[0].scene


def settings() -> bpy.types.PropertyGroup:
    return scene().stylegan_reactive


def largest() -> bpy.types.Area:
    return max(bpy.context.window_manager.windows[0].screen.areas, key=lambda area: area.width * area.height)


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> Steps:
    """Let Blender run until something holds."""
    for _ in range(int(seconds / 0.5)):
        if condition():
            return
        yield 0.5
    raise AssertionError(f"never happened: {condition.__code__.co_names}")


def show(editor: str, sidebar: bool = True) -> Steps:
    """Make the largest area an editor, with our tab open."""
    area = largest()
    area.ui_type = editor
    yield 0.5
    if sidebar:
        area.spaces.active.show_region_ui = True
        yield 0.5
        next(region for region in area.regions if region.type == "UI").active_panel_category = "StyleGAN"
        yield 0.5


def on_screen(x: float, y: float, area: bpy.types.Area) -> tuple[int, int]:
    """Where a point of an editor's main region lies on the screen, origin top left."""
    region = next(region for region in area.regions if region.type == "WINDOW")
    window = bpy.context.window_manager.windows[0]
    return int(window.x + region.x + x), int(SCREEN_HEIGHT - (window.y + region.y + y))


def run(operator: Callable[..., set[str]], **arguments: object) -> None:
    """Press a button as the artist does: in the window, with its dialogs and its progress."""
    operator("INVOKE_DEFAULT", **arguments)


def kick() -> bpy.types.FCurve:
    """The curve of the bass drum."""
    from bl_ext.user_default.stylegan_reactive.blender.curves import SceneCurves

    return next(curve for path, curve in SceneCurves(scene()).curves.items() if "audio_kick" in path)


def rendered() -> dict[str, bytes]:
    """The pixels of the frames that were rendered."""
    found = {}
    for path in sorted((OUT / "frames").glob("*.png")):
        image = bpy.data.images.load(str(path))
        found[path.name] = bytes(memoryview(bytearray(int(v * 255 + 0.5) for v in image.pixels[:4096])))
        bpy.data.images.remove(image)
        path.unlink()
    return found


def render_frames() -> Steps:
    """Render three frames as the artist does, and wait until they are written."""
    run(bpy.ops.render.render, animation=True)
    yield from wait_for(lambda: len(list((OUT / "frames").glob("*.png"))) == 3)
    yield from wait_for(lambda: not bpy.app.is_job_running("RENDER"))
    yield 1.0


def install() -> Steps:
    """Install the zip from disk, and tell the engine its Python."""
    bpy.ops.extensions.package_install_files(filepath=ZIP, repo="user_default", enable_on_install=True)
    assert MODULE in bpy.context.preferences.addons
    bpy.context.preferences.addons[MODULE].preferences.engine_python = PYTHON
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "StyleGAN"
    yield from show("PREFERENCES", sidebar=False)
    bpy.ops.preferences.addon_expand(module=MODULE)
    yield 1.0
    run(bpy.ops.stylegan_reactive.test_engine)
    yield from wait_for(lambda: "pictures a second" in str(notices()))
    yield "01_preferences"


def idle() -> bool:
    """Whether no button's work is under way."""
    from bl_ext.user_default.stylegan_reactive.blender.session import session

    return not session.busy


def notices() -> tuple[str, ...]:
    from bl_ext.user_default.stylegan_reactive.blender.session import session

    return session.report_lines


def set_up() -> Steps:
    """Song, network, scene."""
    yield from show("VIEW_3D")
    yield "02_panel"
    bpy.ops.stylegan_reactive.use_builtin_song()
    settings().size = (SIDE, SIDE)
    run(bpy.ops.stylegan_reactive.set_up)
    yield from wait_for(lambda: settings().image is not None)
    yield from wait_for(idle)
    yield from show("SEQUENCE_EDITOR")
    with bpy.context.temp_override(area=largest(), region=largest().regions[-1]):
        bpy.ops.sequencer.view_all()
    yield 1.0
    yield "03_set_up"


def bake_and_edit() -> Steps:
    """Curves, and one key moved with the mouse, undone and redone."""
    run(bpy.ops.stylegan_reactive.bake)
    yield from wait_for(lambda: "audio_kick" in scene() and len(kick().keyframe_points) > 3)
    yield from show("FCURVES")
    area = largest()
    for curve in list(kick().id_data.layers[0].strips[0].channelbags[0].fcurves):
        curve.select = curve.hide = False
        curve.hide = "audio_kick" not in curve.data_path
    kick().select = True
    scene().frame_set(scene().frame_start)
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.graph.view_all()
    yield 1.5
    yield "04_curves"
    points = kick().keyframe_points
    middle = (scene().frame_start + scene().frame_end) / 2
    for point in points:
        point.select_control_point = abs(point.co.x - middle) < 60
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.graph.view_selected()
        bpy.ops.graph.select_all(action="DESELECT")
    yield 1.0
    # One that stands alone in the middle of what is seen, so that the mouse finds it.
    index = max(
        (i for i in range(1, len(points) - 1) if points[i].co.y > 0.3 and abs(points[i].co.x - middle) < 50),
        key=lambda i: min(points[i].co.x - points[i - 1].co.x, points[i + 1].co.x - points[i].co.x),
    )
    before = tuple(points[index].co)
    x, y = on_screen(*region.view2d.view_to_region(*before, clip=False), area)
    click(x, y)  # noqa: F821
    yield 1.0
    assert points[index].select_control_point, "the click did not select the key"
    key("g")  # noqa: F821
    yield 0.5
    move(x, y + 120)  # noqa: F821
    yield 1.0
    click(x, y + 120)  # noqa: F821
    yield 1.5
    assert abs(kick().keyframe_points[index].co.y - before[1]) > 0.01, "the key did not move"
    yield "05_edited_key"
    edited = sorted(round(point.co.y, 4) for point in kick().keyframe_points)
    key("ctrl+z")  # noqa: F821
    yield 2.0
    undone = sorted(round(point.co.y, 4) for point in kick().keyframe_points)
    assert undone != edited, "undo did not bring the key back"
    key("ctrl+shift+z")  # noqa: F821
    yield 2.0
    assert sorted(round(point.co.y, 4) for point in kick().keyframe_points) == edited, "redo did not move it again"


def look() -> Steps:
    """The picture, and the layers behind it."""
    scene().frame_set(scene().frame_start + 45)
    yield from show("IMAGE_EDITOR")
    largest().spaces.active.image = settings().image
    run(bpy.ops.stylegan_reactive.show_frame)
    yield 1.0
    yield from wait_for(idle)
    with bpy.context.temp_override(
        area=largest(), region=next(region for region in largest().regions if region.type == "WINDOW")
    ):
        bpy.ops.image.view_all(fit_view=True)
    yield 1.0
    yield "06_picture"


def play() -> Steps:
    """The song plays, and pictures come along."""
    scene().frame_set(scene().frame_start)
    settings().preview = "QUARTER"
    started, shown = scene().frame_current, settings().image.pixels[:4096]
    area = largest()
    move(*on_screen(300, 300, area))  # noqa: F821
    key("space")  # noqa: F821
    yield 4.0
    yield from wait_for(lambda: settings().image.pixels[:4096] != shown, 60.0)
    assert scene().frame_current > started, "it does not play"
    yield "07_preview"
    key("space")  # noqa: F821
    yield 1.0
    stopped = scene().frame_current
    yield 1.0
    assert scene().frame_current == stopped, "it does not stop"
    settings().preview = "OFF"


def open_panels(editor: str, names: set[str]) -> None:
    """Let only some panels be open in an editor that was not shown yet: no click depends on where they are then."""
    from bl_ext.user_default.stylegan_reactive.blender.panels import CLASSES

    for panel in [panel for panel in CLASSES if panel.__name__.endswith(editor)]:
        bpy.utils.unregister_class(panel)
        panel.bl_options = set() if panel.__name__.removesuffix(f"_{editor}") in names else {"DEFAULT_CLOSED"}
        bpy.utils.register_class(panel)


def layers() -> Steps:
    """The palette and the layers, and an object that carries the picture."""
    bpy.ops.stylegan_reactive.palette_roll()
    run(bpy.ops.stylegan_reactive.palette_paint)
    yield 1.0
    yield from wait_for(idle)
    run(bpy.ops.stylegan_reactive.show_frame)
    yield 1.0
    yield from wait_for(idle)
    open_panels("node_editor", {"SGR_PT_palette", "SGR_PT_latents"})
    yield from show("CompositorNodeTree")
    with bpy.context.temp_override(area=largest(), region=largest().regions[-1]):
        bpy.ops.node.view_all()
    yield 2.0
    yield "08_layers"
    yield from show("VIEW_3D")
    area = largest()
    bpy.ops.stylegan_reactive.place(where="SCREEN")
    area.spaces.active.shading.type = "MATERIAL"
    view = area.spaces.active.region_3d
    view.view_distance, view.view_rotation = 7.0, Euler((1.35, 0.0, 0.35)).to_quaternion()
    bpy.data.objects["Cube"].location = (2.2, 1.5, 0.0)
    yield 45.0  # a machine without a graphics card prepares this view for so long
    yield "09_in_the_scene"
    bpy.ops.ed.undo_push(message="Place")


def film() -> Steps:
    """Render, save, open again, and render to the same pixels."""
    render = scene().render
    render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format = "PNG"
    render.filepath = f"{OUT}/frames/"
    scene().frame_start, scene().frame_end = 40, 42
    yield from render_frames()
    yield "10_film"
    first = rendered()
    assert len(first) == 3
    assert len(set(first.values())) == 3, "frames that should differ are equal"
    path = str(OUT / "film.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    yield 2.0
    yield from render_frames()
    assert rendered() == first, "a film that was saved and opened again renders other pixels"
    print("JOURNEY DONE", flush=True)


def steps() -> Steps:
    """The whole way; called by the harness."""
    for part in (install, set_up, bake_and_edit, look, play, layers, film):
        print("JOURNEY", part.__name__, flush=True)
        yield from part()
