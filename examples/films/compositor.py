# SPDX-License-Identifier: GPL-3.0-or-later
"""An example film: the network's picture through Blender's compositor, folded, split, lit and graded by the song.

The kick blooms and pushes in, the snare splits the colours and throws an echo, loud passages fold the picture into a
kaleidoscope that turns with the bars, and each kind of section has a grade of its own.
"""

import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nodes import Nodes
from studio import FLOWERS, Film, Say, bpy, empty_scene, leave, let_follow, run, set_up_and_bake, socket_path

SIZE = (1280, 720)
FPS = 24
ASPECT = SIZE[0] / SIZE[1]
MIRRORS = 6
LOUD = "loud"
LOUD_RECIPE = {
    "name": "audio_loud",
    "feature": "rms",
    "steps": [
        {"step": "gaussian", "seconds": 0.15},
        {"step": "normalise_range"},
        {"step": "gate", "threshold": 0.72, "hysteresis": 0.25, "hold": 1.0},
        {"step": "gain_and_clip", "gain": 10.0},
        {"step": "follower", "attack": 0.1, "release": 0.4},
    ],
}
"""An envelope of its own: 1 in the loud sections, and 0 in the others."""


def build(say: Say) -> bpy.types.Scene:
    """The whole file, as an artist would make it by hand."""
    scene = empty_scene("Compositor")
    scene.render.fps = FPS
    settings = scene.stylegan_reactive
    bpy.ops.stylegan_reactive.use_builtin_song()
    settings.checkpoint = "builtin:bloom"
    settings.size, settings.fit = SIZE, "canvas"
    say("Listening to the song ...")
    set_up_and_bake(scene, FLOWERS, LOUD_RECIPE)
    scene.view_settings.view_transform = "Khronos PBR Neutral"  # what blooms keeps its hue
    compose(scene)
    return scene


def compose(scene: bpy.types.Scene) -> None:
    """The compositor, between *Fit to Render* and the output."""
    tree = scene.compositing_node_group
    output = next(node for node in tree.nodes if node.bl_idname == "NodeGroupOutput")
    picture = tree.nodes["StyleGAN Reactive Fit"].outputs["Image"]
    nodes = Nodes(tree)

    def follow(node: Any, socket: str, envelope: str, low: float, high: float) -> None:
        let_follow(scene, tree, socket_path(node, socket), envelope, low=low, high=high)

    image = fold(nodes, picture, follow)
    image = split(nodes, image, follow)
    image = light(nodes, image, follow)
    image = grade(nodes, image, follow)
    tree.links.new(image, output.inputs[0])
    output.location.x = (nodes.column + 2) * 190


def fold(nodes: Nodes, picture: Any, follow: Any) -> Any:
    """Loud passages fold the picture into a kaleidoscope, which turns with the bars; the kick pushes in."""
    nodes.begin("Fold: a kaleidoscope in loud passages")
    place = nodes.add("CompositorNodeImageCoordinates", "Where each pixel is", picture).outputs["Uniform"]

    def value(name: str, envelope: str, low: float, high: float, row: int) -> Any:
        node = nodes.add("ShaderNodeValue", name, row=row, new_column=False)
        let_follow(bpy.context.scene, nodes.tree, f'nodes["{name}"].outputs[0].default_value', envelope,
                   low=low, high=high)  # fmt: skip
        return node.outputs[0]

    push = value("Push in (kick)", "kick", 0.84, 0.74, 2)
    turn = value("Turn (bars)", "bars", 0.0, math.tau / 24, 3)
    plain = nodes.add("ShaderNodeVectorMath", "Pushed in", place, operation="SCALE", Scale=push).outputs[0]
    parts = nodes.add("ShaderNodeSeparateXYZ", "x, y", plain)
    angle = nodes.math("ARCTAN2", parts.outputs["Y"], parts.outputs["X"], name="Angle", row=2)
    angle = nodes.math("ADD", angle, turn, name="Turned", row=2)
    angle = nodes.math("PINGPONG", angle, math.pi / MIRRORS, name="Folded", row=2)
    radius = nodes.add("ShaderNodeVectorMath", "Radius", plain, operation="LENGTH", row=3,
                       new_column=False).outputs["Value"]  # fmt: skip
    x = nodes.math("MULTIPLY", nodes.math("COSINE", angle, row=3), radius, name="x folded", row=3)
    y = nodes.math("MULTIPLY", nodes.math("SINE", angle, row=2, new_column=False), radius, name="y folded", row=2)
    star = nodes.add("ShaderNodeCombineXYZ", "Kaleidoscope", x, y, row=2).outputs[0]
    folded = [mapped(nodes, picture, where, row) for row, where in ((0, plain), (2, star))]
    both = nodes.add("ShaderNodeMix", "Picture or kaleidoscope", None, *folded, data_type="RGBA", row=1)
    follow(both, "Factor", LOUD, 0.0, 1.0)
    return next(socket for socket in both.outputs if socket.enabled)


def mapped(nodes: Nodes, picture: Any, where: Any, row: int) -> Any:
    """The picture taken from other places, mirrored at its edges."""
    column = nodes.column
    uv = nodes.add("ShaderNodeVectorMath", "In the picture's own measure", where, (0.5, 0.5 * ASPECT, 0.0),
                   (0.5, 0.5, 0.0), operation="MULTIPLY_ADD", row=row)  # fmt: skip
    inside = nodes.add("ShaderNodeSeparateXYZ", "u, v", uv.outputs[0], row=row)
    u = nodes.math("PINGPONG", inside.outputs["X"], 1.0, name="Mirrored at the sides", row=row)
    v = nodes.math("PINGPONG", inside.outputs["Y"], 1.0, name="Mirrored above and below", row=row + 1, new_column=False)
    uv = nodes.add("ShaderNodeCombineXYZ", "UV", u, v, 1.0, row=row)  # z says that there is something
    taken = nodes.add("CompositorNodeMapUV", "Taken from there", picture, uv.outputs[0], Interpolation="Bilinear",
                      Extension_X="Extend", Extension_Y="Extend", row=row)  # fmt: skip
    nodes.column = column if row == 0 else nodes.column
    return taken.outputs["Image"]


def split(nodes: Nodes, image: Any, follow: Any) -> Any:
    """The snare: colours come apart at the rim, and a larger echo flashes over the picture."""
    nodes.begin("Snare: split colours and echo", (0.22, 0.18, 0.28))
    echo = nodes.add("CompositorNodeTransform", "Echo", image, row=1, Scale=1.18, Interpolation="Bilinear",
                     Extension_X="Extend", Extension_Y="Extend")  # fmt: skip
    over = nodes.add("ShaderNodeMix", "Echo over", None, image, echo.outputs["Image"], data_type="RGBA",
                     blend_type="LIGHTEN")  # fmt: skip
    follow(over, "Factor", "snare", 0.0, 0.55)
    lens = nodes.add("CompositorNodeLensdist", "Split colours",
                     next(socket for socket in over.outputs if socket.enabled), Fit=True)  # fmt: skip
    follow(lens, "Dispersion", "snare", 0.012, 0.16)
    return lens.outputs["Image"]


def light(nodes: Nodes, image: Any, follow: Any) -> Any:
    """The kick: what is bright shines over its edges."""
    nodes.begin("Kick: bloom", (0.28, 0.2, 0.14))
    bloom = nodes.add("CompositorNodeGlare", "Bloom", image, Type="Bloom", Quality="Medium", Threshold=0.35, Size=0.6,
                      Smoothness=0.5, Saturation=1.15)  # fmt: skip
    follow(bloom, "Strength", "kick", 0.12, 0.9)
    return bloom.outputs["Image"]


GRADES = (
    ("A", "cold", (0.8, 0.97, 1.15), (0.95, 1.0, 1.06)),
    ("B", "violet", (1.03, 0.9, 1.12), (1.0, 0.97, 1.05)),
    ("C", "hot", (1.14, 0.98, 0.9), (1.04, 1.0, 0.96)),
    ("D", "pale gold", (1.08, 1.02, 0.88), (1.03, 1.0, 0.96)),
)


def grade(nodes: Nodes, image: Any, follow: Any) -> Any:
    """A grade for each kind of section, and a vignette that opens as the song gets louder."""
    nodes.begin("Grade: one for each kind of section", (0.14, 0.24, 0.22))
    for section, title, gain, gamma in GRADES:
        node = nodes.add("CompositorNodeColorBalance", f"Section {section}: {title}", image)
        colors = {socket.name: socket for socket in node.inputs if socket.type == "RGBA"}
        colors["Gain"].default_value, colors["Gamma"].default_value = (*gain, 1.0), (*gamma, 1.0)
        follow(node, "Factor", f"section_{section}", 0.0, 1.0)
        image = node.outputs["Image"]
    nodes.begin("Loudness: exposure, saturation and vignette", (0.14, 0.24, 0.22))
    colour = nodes.add("CompositorNodeHueSat", "Saturation (loudness)", image)
    follow(colour, "Saturation", "rms", 0.72, 1.12)
    exposure = nodes.add("CompositorNodeExposure", "Exposure (loudness)", colour.outputs["Image"])
    follow(exposure, "Exposure", "rms", 0.1, 0.5)
    place = nodes.add("CompositorNodeImageCoordinates", "From the middle", image, row=2, new_column=False)
    distance = nodes.add("ShaderNodeVectorMath", "Distance", place.outputs["Uniform"], operation="LENGTH", row=2)
    dark = nodes.add("ShaderNodeMapRange", "Vignette", distance.outputs["Value"], 0.25, 1.25, 1.0, 0.25, row=2,
                     interpolation_type="SMOOTHSTEP")  # fmt: skip
    follow(dark, "To Max", "rms", 0.05, 0.45)
    seen = nodes.add("ShaderNodeMix", "Vignetted", 1.0, exposure.outputs["Image"], dark.outputs["Result"],
                     data_type="RGBA", blend_type="MULTIPLY")  # fmt: skip
    return next(socket for socket in seen.outputs if socket.enabled)


FILM = Film("compositor", build)

if __name__ == "__main__":
    leave(run(FILM, __doc__.splitlines()[0]))
