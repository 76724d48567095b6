# SPDX-License-Identifier: GPL-3.0-or-later
"""An example film: a stage in the dark, whose screen and lights follow the same envelopes.

The network's picture shines from a round screen and colours the tubes along the walls; it shapes the canopy above and
lies in the wet floor. The kick lights the ring and the beams, the snare the spots, the hats the tubes, and the cameras
change on downbeats.
"""

import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nodes import Nodes
from studio import (
    FLOWERS,
    Film,
    Say,
    bars_of,
    bpy,
    empty_scene,
    leave,
    let_follow,
    run,
    set_up_and_bake,
    socket_path,
)

SIZE = (960, 540)
FPS = 24
PICTURE = 512
SHOWN = 0.72  # how much of the picture is on the screen: the flower, and some of the night around it
FIRST_BAR, LAST_BAR = 7, 14  # a build, the drop, and the first bar of the break
RADIUS, HEIGHT = 3.3, 3.75  # of the screen and of its middle, in metres


def build(say: Say) -> bpy.types.Scene:
    """The whole file, as an artist would make it by hand."""
    scene = empty_scene("Stage")
    scene.render.fps = FPS
    settings = scene.stylegan_reactive
    bpy.ops.stylegan_reactive.use_builtin_song()
    settings.checkpoint = "builtin:bloom"
    settings.size, settings.match_render_size = (PICTURE, PICTURE), False
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    say("Listening to the song ...")
    set_up_and_bake(scene, FLOWERS)
    bpy.ops.stylegan_reactive.unplace()  # the frame is the 3D scene
    say("Building the stage ...")
    Stage(scene).build()
    bars = bars_of(scene)
    scene.frame_start, scene.frame_end = bars[FIRST_BAR], bars[LAST_BAR] - 1
    cameras(scene, bars)
    render_settings(scene)
    lens(scene)
    return scene


class Stage:
    """Puts objects into a scene, each in a collection by what it is for."""

    def __init__(self, scene: bpy.types.Scene) -> None:
        self.scene = scene
        self.image = scene.stylegan_reactive.image
        self.world = bpy.data.worlds.new("Night")
        scene.world = self.world
        if not self.world.node_tree:
            self.world.use_nodes = True
        background = next(node for node in self.world.node_tree.nodes if node.type == "BACKGROUND")
        background.inputs["Color"].default_value = (0.004, 0.006, 0.012, 1.0)

    def follow(self, owner: Any, path: str, envelope: str, low: float, high: float) -> None:
        """*Follow Envelope*."""
        let_follow(self.scene, owner, path, envelope, low=low, high=high)

    def build(self) -> None:
        """Everything on the stage."""
        self.screen()
        self.ring()
        self.floor()
        self.canopy()
        self.tubes()
        self.beams()
        self.wall()
        self.figure()

    # Things

    def collection(self, name: str) -> bpy.types.Collection:
        """A collection of the scene, made where missing."""
        found = self.scene.collection.children.get(name)
        if found is None:
            found = bpy.data.collections.new(name)
            self.scene.collection.children.link(found)
        return found

    def mesh(self, name: str, points: list, faces: list, group: str, *, uv: bool = False) -> bpy.types.Object:
        """An object with a mesh; its UV map lays the middle of the picture on x and z, from -1 to 1."""
        data = bpy.data.meshes.new(name)
        data.from_pydata(points, [], faces)
        if uv:
            layer = data.uv_layers.new(name="UVMap")
            for loop in data.loops:
                x, _y, z = data.vertices[loop.vertex_index].co
                layer.data[loop.index].uv = (0.5 + x * SHOWN / 2, 0.5 + z * SHOWN / 2)
        made = bpy.data.objects.new(name, data)
        self.collection(group).objects.link(made)
        return made

    def material(self, name: str) -> tuple[bpy.types.Material, Nodes, Any]:
        """A material with nothing but its output."""
        material = bpy.data.materials.new(name)
        if not material.node_tree:
            material.use_nodes = True
        material.node_tree.nodes.clear()
        nodes = Nodes(material.node_tree)
        output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
        output.location = (1400, 0)
        return material, nodes, output

    @staticmethod
    def lights_nothing(material: bpy.types.Material) -> None:
        """Let a material shine without being looked for as a lamp, which saves time: it is seen, and in the floor."""
        material.cycles.emission_sampling = "NONE"

    def glow(self, name: str, color: tuple[float, float, float]) -> tuple[bpy.types.Material, Any]:
        """A material that shines in one colour; the node has the strength."""
        material, nodes, output = self.material(name)
        emission = nodes.add("ShaderNodeEmission", "Glow", (*color, 1.0), 1.0)
        nodes.tree.links.new(emission.outputs[0], output.inputs["Surface"])
        return material, emission

    # The stage

    def screen(self) -> None:
        """A disc that shines with the picture: Place, On the Selected Objects."""
        corners = [(math.cos(math.tau * i / 128), 0.0, math.sin(math.tau * i / 128)) for i in range(128)]
        disc = self.mesh("Screen", corners, [tuple(range(128))], "Screen", uv=True)
        disc.location, disc.scale = (0, 0, HEIGHT), (RADIUS, 1, RADIUS)
        bpy.context.view_layer.objects.active = disc
        disc.select_set(True)
        bpy.ops.stylegan_reactive.place(where="SURFACE")
        disc.select_set(False)
        tree = disc.active_material.node_tree
        emission = next(node for node in tree.nodes if node.type == "EMISSION")
        emission.name = emission.label = "Screen"
        self.follow(tree, socket_path(emission, "Strength"), "kick", 1.8, 3.0)

    def ring(self) -> None:
        """A thin ring of light round the screen, for the kick."""
        points, faces = [], []
        sides, around = 8, 160
        for i in range(around):
            for j in range(sides):
                a, b = math.tau * i / around, math.tau * j / sides
                r = RADIUS + 0.16 + 0.035 * math.cos(b)
                points.append((r * math.cos(a), 0.035 * math.sin(b), r * math.sin(a)))
                faces.append((i * sides + j, i * sides + (j + 1) % sides, (i + 1) % around * sides + (j + 1) % sides,
                              (i + 1) % around * sides + j))  # fmt: skip
        ring = self.mesh("Ring (kick)", points, faces, "Screen")
        ring.location = (0, -0.05, HEIGHT)
        material, glow = self.glow("Ring (kick)", (1.0, 0.82, 0.62))
        ring.data.materials.append(material)
        self.lights_nothing(material)
        self.follow(material.node_tree, socket_path(glow, "Strength"), "kick", 0.25, 14.0)

    def floor(self) -> None:
        """Wet and dark, with puddles."""
        floor = self.mesh("Floor", [(-40, -40, 0), (40, -40, 0), (40, 30, 0), (-40, 30, 0)], [(0, 1, 2, 3)], "Stage")
        material, nodes, output = self.material("Wet Floor")
        place = nodes.add("ShaderNodeTexCoord", "Place").outputs["Object"]
        puddles = nodes.add("ShaderNodeTexNoise", "Puddles", place, Scale=0.45, Detail=3.0, Roughness=0.5)
        rough = nodes.add("ShaderNodeMapRange", "Wet to damp", puddles.outputs[0], 0.42, 0.62, 0.02, 0.22)
        ripples = nodes.add("ShaderNodeTexNoise", "Ripples", place, row=1, new_column=False, Scale=1.6, Detail=1.0)
        bump = nodes.add("ShaderNodeBump", "Uneven", Strength=0.06, Distance=0.2, Height=ripples.outputs[0])
        surface = nodes.add("ShaderNodeBsdfPrincipled", "Floor", (0.012, 0.013, 0.016, 1.0),
                            Roughness=rough.outputs[0], Normal=bump.outputs[0], IOR=1.9)  # fmt: skip
        nodes.tree.links.new(surface.outputs[0], output.inputs["Surface"])
        floor.data.materials.append(material)

    def canopy(self) -> None:
        """A canopy of dark metal that the picture shapes: Place, As Displacement."""
        canopy = self.mesh("Canopy", [(-1, -1, -1), (1, -1, -1), (1, 1, 1), (-1, 1, 1)], [(3, 2, 1, 0)], "Stage",
                           uv=True)  # fmt: skip
        for vertex in canopy.data.vertices:
            vertex.co.z = 0
        canopy.location, canopy.scale = (0, -8.4, 7.75), (12, 10, 1)
        material, nodes, output = self.material("Canopy")
        surface = nodes.add("ShaderNodeBsdfPrincipled", "Dark metal", (0.35, 0.36, 0.4, 1.0), 1.0, 0.28)
        nodes.tree.links.new(surface.outputs[0], output.inputs["Surface"])
        canopy.data.materials.append(material)
        bpy.context.view_layer.objects.active = canopy
        canopy.select_set(True)
        bpy.ops.stylegan_reactive.place(where="DISPLACE", strength=0.9)
        canopy.select_set(False)
        smooth = bpy.data.node_groups.get("Smooth") or smooth_group()
        canopy.modifiers.new("Smooth", "NODES").node_group = smooth

    def tubes(self) -> None:
        """Tubes along both sides in the picture's own colours, for the hats."""
        material, nodes, output = self.material("Tubes (hats)")
        number = nodes.add("ShaderNodeObjectInfo", "Which tube").outputs["Random"]
        where = nodes.add("ShaderNodeCombineXYZ", "A place in the picture", number, 0.5)
        colour = nodes.add("ShaderNodeTexImage", "Its colour there", where.outputs[0], image=self.image,
                           extension="EXTEND")  # fmt: skip
        vivid = nodes.add("ShaderNodeHueSaturation", "Vivid", Saturation=1.5, Color=colour.outputs["Color"])
        glow = nodes.add("ShaderNodeEmission", "Glow", vivid.outputs[0])
        nodes.tree.links.new(glow.outputs[0], output.inputs["Surface"])
        self.lights_nothing(material)
        self.follow(material.node_tree, socket_path(glow, "Strength"), "hats", 0.9, 9.0)
        data = None
        for row in range(6):
            for side in (-1, 1):
                tube = self.tube(f"Tube {'L' if side < 0 else 'R'}{row + 1} (hats)", data)
                if data is None:
                    data = tube.data
                    data.materials.append(material)
                tube.location = (side * (5.4 + 0.25 * row), 0.5 - 2.6 * row, 0.0)

    def tube(self, name: str, data: "bpy.types.Mesh | None") -> bpy.types.Object:
        """A thin upright cylinder."""
        if data is None:
            sides, height, radius = 10, 4.6, 0.045
            circle = [(radius * math.cos(math.tau * i / sides), radius * math.sin(math.tau * i / sides))
                      for i in range(sides)]  # fmt: skip
            points = [(x, y, z) for z in (0.1, height) for x, y in circle]
            faces = [(i, (i + 1) % sides, sides + (i + 1) % sides, sides + i) for i in range(sides)]
            return self.mesh(name, points, faces, "Lights")
        made = bpy.data.objects.new(name, data)
        self.collection("Lights").objects.link(made)
        return made

    def beams(self) -> None:
        """Cones of lit haze that fan out from behind the screen, for the snare."""
        material, nodes, output = self.material("Beams (snare)")
        self.lights_nothing(material)
        length = nodes.add("ShaderNodeTexCoord", "Along the beam").outputs["Object"]
        along = nodes.add("ShaderNodeSeparateXYZ", "Length", length).outputs["Z"]
        fade = nodes.add("ShaderNodeMapRange", "Fades out", along, 0.0, 1.0, 1.0, 0.0,
                         interpolation_type="SMOOTHSTEP").outputs["Result"]  # fmt: skip
        facing = nodes.add("ShaderNodeLayerWeight", "Rim", row=1, new_column=False, Blend=0.5).outputs["Facing"]
        core = nodes.math("POWER", nodes.math("SUBTRACT", 1.0, facing, row=1), 3.0, name="Soft rim", row=1)
        shape = nodes.math("MULTIPLY", nodes.math("POWER", fade, 2.0), core, name="Shape")
        snare = nodes.add("ShaderNodeValue", "Snare", row=2, new_column=False)
        self.follow(nodes.tree, 'nodes["Snare"].outputs[0].default_value', "snare", 0.0, 0.55)
        strength = nodes.math("MULTIPLY", shape, snare.outputs[0], name="Strength")
        glow = nodes.add("ShaderNodeEmission", "Lit haze", (0.75, 0.85, 1.0, 1.0), strength)
        clear = nodes.add("ShaderNodeBsdfTransparent", "Air", row=1, new_column=False)
        both = nodes.add("ShaderNodeAddShader", "Light in the air", glow.outputs[0], clear.outputs[0])
        nodes.tree.links.new(both.outputs[0], output.inputs["Surface"])
        sides = 32
        points = [(r * math.cos(math.tau * i / sides), r * math.sin(math.tau * i / sides), z)
                  for r, z in ((0.006, 0.0), (0.075, 1.0)) for i in range(sides)]  # fmt: skip
        faces = [(i, (i + 1) % sides, sides + (i + 1) % sides, sides + i) for i in range(sides)]
        data = None
        for number in range(9):
            angle = math.radians(-72 + 18 * number)
            beam = self.mesh(f"Beam {number + 1} (snare)", points, faces, "Lights") if data is None else \
                bpy.data.objects.new(f"Beam {number + 1} (snare)", data)  # fmt: skip
            if data is None:
                data = beam.data
                data.materials.append(material)
                for face in data.polygons:
                    face.use_smooth = True
            else:
                self.collection("Lights").objects.link(beam)
            beam.location = (math.sin(angle) * (RADIUS - 0.2), 0.25, HEIGHT + math.cos(angle) * (RADIUS - 0.2))
            beam.rotation_euler = (math.radians(38) * math.cos(angle) * 0.9, angle, 0)
            beam.scale = (11, 11, 11)
            beam.visible_shadow = False

    def wall(self) -> None:
        """Upright fins behind the screen, and lamps at their feet for the snare, in the picture's own colours."""
        material, nodes, output = self.material("Fins")
        surface = nodes.add("ShaderNodeBsdfDiffuse", "Plaster", (0.3, 0.3, 0.32, 1.0))
        nodes.tree.links.new(surface.outputs[0], output.inputs["Surface"])
        half, deep, high = 0.09, 0.34, 7.6
        points = [(x, y, z) for z in (0.0, high) for x, y in ((-half, -deep), (half, -deep), (half, 0), (-half, 0))]
        faces = [(0, 1, 5, 4), (1, 2, 6, 5), (3, 0, 4, 7)]
        data = None
        for number in range(-14, 15):
            fin = self.mesh("Fin", points, faces, "Wall") if data is None else bpy.data.objects.new("Fin", data)
            if data is None:
                data = fin.data
                data.materials.append(material)
            else:
                self.collection("Wall").objects.link(fin)
            fin.location = (0.8 * number, 1.6, 0)
        back = self.mesh(
            "Wall", [(-12, 1.6, 0), (12, 1.6, 0), (12, 1.6, high), (-12, 1.6, high)], [(0, 1, 2, 3)], "Wall"
        )
        back.data.materials.append(material)
        for number, x in enumerate((-9.2, -7.6, -6.0, -4.4, 4.4, 6.0, 7.6, 9.2)):
            light = bpy.data.lights.new(f"Wall Lamp {number + 1} (snare)", "SPOT")
            light.spot_size, light.spot_blend, light.shadow_soft_size = math.radians(64), 0.9, 0.05
            self.colour_of_picture(light, (number + 0.5) / 8)
            lamp = bpy.data.objects.new(light.name, light)
            self.collection("Lights").objects.link(lamp)
            lamp.location, lamp.rotation_euler = (x, 0.75, 0.15), (math.radians(172), 0, 0)
            self.follow(light, "energy", "snare", 12.0, 1500.0)

    def colour_of_picture(self, light: Any, across: float) -> None:
        """Let a lamp shine in the colour that the picture has at a place."""
        if not light.node_tree:
            light.use_nodes = True
        nodes = Nodes(light.node_tree)
        emission = next(node for node in light.node_tree.nodes if node.type == "EMISSION")
        where = nodes.add("ShaderNodeCombineXYZ", "A place in the picture", across, 0.5)
        colour = nodes.add("ShaderNodeTexImage", "Its colour there", where.outputs[0], image=self.image)
        vivid = nodes.add("ShaderNodeHueSaturation", "Vivid", Saturation=1.4, Color=colour.outputs["Color"])
        nodes.tree.links.new(vivid.outputs[0], emission.inputs["Color"])

    def figure(self) -> None:
        """Somebody who listens, seen from behind: a body by the modifiers Skin and Subdivision Surface, and a coat."""
        joints = {
            "hip": (0, 0, 0.95, 0.12), "chest": (0, 0.01, 1.3, 0.13), "neck": (0, 0, 1.5, 0.05),
            "head": (0, -0.01, 1.62, 0.1), "crown": (0, 0.0, 1.73, 0.085),
            "shoulder": (0.15, 0, 1.42, 0.065), "elbow": (0.225, 0.02, 1.14, 0.055), "hand": (0.2, -0.05, 0.88, 0.05),
            "thigh": (0.08, 0, 0.85, 0.09), "knee": (0.09, -0.01, 0.48, 0.06), "ankle": (0.1, 0.02, 0.1, 0.045),
            "toe": (0.12, -0.12, 0.03, 0.045),
        }  # fmt: skip
        middle = ("hip", "chest", "neck", "head", "crown")
        limbs = (("chest", "shoulder", "elbow", "hand"), ("hip", "thigh", "knee", "ankle", "toe"))
        index: dict[tuple[str, int], int] = {}
        points, radii, edges = [], [], []

        def joint(name: str, side: int) -> int:
            key = (name, 0 if name in middle else side)
            if key not in index:
                x, y, z, radius = joints[name]
                index[key] = len(points)
                points.append((x * (side or 1), y, z))
                radii.append(radius)
            return index[key]

        chains = [(middle, 0), *((limb, side) for limb in limbs for side in (-1, 1))]
        for chain, side in chains:
            numbers = [joint(name, side) for name in chain]
            edges += list(pairwise(numbers))
        body = self.mesh("Listener", points, [], "Stage")
        data = body.data
        data.clear_geometry()
        data.from_pydata(points, edges, [])
        body.modifiers.new("Skin", "SKIN").use_smooth_shade = True
        for vertex, radius in zip(data.skin_vertices[0].data, radii, strict=True):
            vertex.radius = (radius, radius * 0.9)
        data.skin_vertices[0].data[index["hip", 0]].use_root = True
        body.modifiers.new("Subdivision", "SUBSURF").render_levels = 2
        outline = (
            (1.48, 0.09),
            (1.45, 0.19),
            (1.36, 0.225),
            (1.1, 0.2),
            (0.8, 0.235),
            (0.42, 0.29),
        )  # height, half width
        sides = 24
        rings = [(width * math.cos(math.tau * i / sides), 0.62 * width * math.sin(math.tau * i / sides), z)
                 for z, width in outline for i in range(sides)]  # fmt: skip
        cloth = [(j * sides + i, j * sides + (i + 1) % sides, (j + 1) * sides + (i + 1) % sides, (j + 1) * sides + i)
                 for j in range(len(outline) - 1) for i in range(sides)]  # fmt: skip
        coat = self.mesh("Coat", rings, cloth, "Stage")
        coat.parent = body
        coat.modifiers.new("Subdivision", "SUBSURF").render_levels = 2
        body.location = (0.0, -4.6, 0.0)
        material, nodes, output = self.material("Black Cloth")
        surface = nodes.add("ShaderNodeBsdfDiffuse", "Cloth", (0.012, 0.012, 0.014, 1.0))
        nodes.tree.links.new(surface.outputs[0], output.inputs["Surface"])
        for each in (body, coat):
            each.data.materials.append(material)


def smooth_group() -> bpy.types.NodeTree:
    """Geometry nodes that shade a surface smooth."""
    tree = bpy.data.node_groups.new("Smooth", "GeometryNodeTree")
    tree.is_modifier = True
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes = Nodes(tree)
    start = nodes.add("NodeGroupInput", "In")
    smooth = nodes.add("GeometryNodeSetShadeSmooth", "Smooth", start.outputs[0])
    nodes.add("NodeGroupOutput", "Out", smooth.outputs[0])
    return tree


# Cameras and render


def camera(scene: bpy.types.Scene, name: str, lens: float, aim: bpy.types.Object, keys: list) -> bpy.types.Object:
    """A camera that looks at something and moves through places at frames."""
    data = bpy.data.cameras.new(name)
    data.lens = lens
    made = bpy.data.objects.new(name, data)
    scene.collection.objects.link(made)
    track = made.constraints.new("TRACK_TO")
    track.target, track.track_axis, track.up_axis = aim, "TRACK_NEGATIVE_Z", "UP_Y"
    for frame, place in keys:
        made.location = place
        made.keyframe_insert("location", frame=frame)
    return made


def cameras(scene: bpy.types.Scene, bars: dict[int, int]) -> None:
    """Three cameras; markers on downbeats say which one films."""
    aim = target(scene, "Aim", (0, 0, HEIGHT - 0.75))
    up = target(scene, "Aim High", (0, 0, HEIGHT + 0.5))
    down = target(scene, "Aim Low", (0, -3, 1.0))
    bar = bars.__getitem__
    first, drop, end = bar(FIRST_BAR), bar(FIRST_BAR + 2), bar(LAST_BAR)
    wide = camera(scene, "Camera Wide", 30, aim, [(first, (-1.2, -17.5, 1.25)), (end, (0.6, -12.0, 1.35))])
    close = camera(scene, "Camera Behind", 24, up, [(drop, (0.75, -8.4, 1.0)), (end, (-0.6, -6.6, 1.25))])
    side = camera(
        scene,
        "Camera Side",
        32,
        aim,
        [(bar(FIRST_BAR + 3), (-3.2, -13.2, 0.7)), (bar(FIRST_BAR + 4), (-2.4, -11.8, 0.8))],
    )
    water = camera(scene, "Camera Water", 42, down, [(drop, (2.4, -13.0, 0.16)), (end, (0.2, -12.0, 0.22))])
    cuts = [(0, wide), (2, close), (3, side), (4, water), (5, wide), (6, close)]
    for number, each in cuts:
        marker = scene.timeline_markers.new(each.name, frame=bar(FIRST_BAR + number))
        marker.camera = each
    scene.camera = wide


def target(scene: bpy.types.Scene, name: str, place: tuple[float, float, float]) -> bpy.types.Object:
    """An empty for cameras to look at."""
    made = bpy.data.objects.new(name, None)
    scene.collection.objects.link(made)
    made.location, made.empty_display_size = place, 0.3
    return made


def render_settings(scene: bpy.types.Scene) -> None:
    """Cycles with few samples: on a machine with a graphics card, EEVEE shows the same stage faster."""
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.samples, cycles.use_adaptive_sampling = 8, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 0, 2
    cycles.transparent_max_bounces = 12
    cycles.use_light_tree = False  # few lamps: without it a frame takes two thirds of the time
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect, cycles.blur_glossy = 6.0, 0.5
    cycles.seed = 7  # the same in every frame: what noise is left stands still
    scene.view_settings.view_transform = "Khronos PBR Neutral"  # what is bright keeps its hue


def lens(scene: bpy.types.Scene) -> None:
    """The compositor: what shines glows, as in haze."""
    tree = bpy.data.node_groups.new("Lens", "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    nodes = Nodes(tree)
    nodes.begin("Lens")
    layers = nodes.add("CompositorNodeRLayers", "3D scene", scene=scene)
    haze = nodes.add("CompositorNodeGlare", "Haze", layers.outputs["Image"], Type="Bloom", Quality="Medium",
                     Threshold=0.6, Size=0.75, Smoothness=0.5)  # fmt: skip
    let_follow(scene, tree, socket_path(haze, "Strength"), "kick", low=0.22, high=0.45)
    rim = nodes.add("CompositorNodeLensdist", "Rim of the lens", haze.outputs["Image"], Dispersion=0.01, Fit=True)
    nodes.frame = None
    nodes.add("NodeGroupOutput", "Output", rim.outputs["Image"])
    scene.render.compositor_device = "CPU"


FILM = Film("stage", build)

if __name__ == "__main__":
    leave(run(FILM, __doc__.splitlines()[0]))
