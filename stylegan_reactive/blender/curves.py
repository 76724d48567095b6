# SPDX-License-Identifier: GPL-3.0-or-later
"""F-curves of the Scene: written sparse, so that an artist can edit them, and read at any frame.

Reading never trusts a property's present value where a curve drives it: inside a scene strip Blender does not update
it, and the engine looks ahead to frames that Blender has not reached. See Blender's ``FCurve.evaluate``.
"""

from collections.abc import Iterator, Mapping

import bpy
import numpy as np

from ..errors import ReactiveError

GROUP = "Audio"


class CurveError(ReactiveError):
    """The scene's animation cannot be followed as it is."""


def property_path(name: str) -> str:
    """The data path of a custom property."""
    return f'["{bpy.utils.escape_identifier(name)}"]'


# Sparse keys


def sparse_keys(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Indices of the samples to keep so that straight lines between them stay within a tolerance of all others.

    The method of Ramer (1972) and of Douglas and Peucker (1973), with distances along the value axis alone. Corners,
    and so attacks, stay on their exact sample.

    Parameters
    ----------
    values : float array [n]
    tolerance : float
        Largest difference, in the unit of the values.

    Returns
    -------
    int array [m], rising
        The first and the last index are always among them.
    """
    count = len(values)
    if count < 3:
        return np.arange(count)
    values = np.asarray(values, np.float64)
    keep = np.zeros(count, bool)
    keep[[0, -1]] = True
    spans = [(0, count - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        inner = np.arange(first + 1, last)
        line = values[first] + (values[last] - values[first]) * (inner - first) / (last - first)
        distance = np.abs(values[first + 1 : last] - line)
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            keep[first + 1 + worst] = True
            spans += [(first, first + 1 + worst), (first + 1 + worst, last)]
    return np.flatnonzero(keep)


# Writing


def ensure_channelbag(scene: bpy.types.Scene) -> "bpy.types.ActionChannelbag":
    """The channels of the scene's action, in the layered form of Blender 4.4 and later; made where missing."""
    data = scene.animation_data or scene.animation_data_create()
    if data.action is None:
        data.action = bpy.data.actions.new(f"{scene.name} Audio")
    action = data.action
    if not action.is_editable:
        raise CurveError(
            f"The scene's action {action.name!r} is linked from another file and cannot take keys. "
            "Make it local, or unlink it from the scene."
        )
    if data.action_slot is None:
        data.action_slot = action.slots.new(id_type="SCENE", name=scene.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(data.action_slot, ensure=True)


def write_envelope(
    scene: bpy.types.Scene, name: str, first_frame: int, values: np.ndarray, tolerance: float, *, endless: bool = False
) -> int:
    """Bake an envelope into key frames on a custom property of the scene.

    Keys that were there are replaced; the curve itself, and with it the artist's modifiers, stays.

    Parameters
    ----------
    name : str
        Of the custom property, such as ``audio_kick``.
    first_frame : int
        Frame of ``values[0]``.
    values : float array [frames]
    tolerance : float
        See `sparse_keys`.
    endless : bool
        Whether the curve goes on rising beyond its ends: for clocks.

    Returns
    -------
    int
        Number of keys.
    """
    scene[name] = float(values[0])
    top = max(1.0, float(np.max(values)))
    scene.id_properties_ui(name).update(
        min=-1e9 if endless else min(0.0, float(np.min(values))),
        max=1e9 if endless else top * 4,
        soft_min=0.0,
        soft_max=top,
        description="Baked from the song by StyleGAN Reactive; edit its keys in the Graph Editor",
    )
    bag = ensure_channelbag(scene)
    path = property_path(name)
    curve = bag.fcurves.find(path) or bag.fcurves.new(path)
    if curve.group is None:
        curve.group = bag.groups.get(GROUP) or bag.groups.new(GROUP)
    kept = sparse_keys(values, tolerance)
    points = curve.keyframe_points
    points.clear()
    points.add(len(kept))
    points.foreach_set("co", np.column_stack((kept + first_frame, values[kept])).astype(np.float32).ravel())
    linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
    points.foreach_set("interpolation", np.full(len(kept), linear, np.int32))
    curve.extrapolation = "LINEAR" if endless else "CONSTANT"
    curve.update()
    return len(kept)


def rename_paths(scene: bpy.types.Scene, renamed: Mapping[str, str | None]) -> None:
    """Let curves and drivers follow list entries that moved: new data path by old prefix; None removes the curve."""
    data = scene.animation_data
    if data is None:
        return
    collections = [data.drivers] + ([bag.fcurves] if (bag := _channelbag(scene)) else [])
    for collection in collections:
        for curve in list(collection):
            for old, new in renamed.items():
                if curve.data_path.startswith(old):
                    if new is None:
                        collection.remove(curve)
                    else:
                        curve.data_path = new + curve.data_path[len(old) :]
                    break


# Reading


def _channelbag(scene: bpy.types.Scene) -> "bpy.types.ActionChannelbag | None":
    data = scene.animation_data
    if data is None or data.action is None or data.action_slot is None:
        return None
    for layer in data.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(data.action_slot)
            if bag is not None:
                return bag
    return None


class SceneCurves:
    """The scene's numbers at any frame, as its curves give them.

    Parameters
    ----------
    scene : Scene
    up_to_date : bool
        Whether Blender has evaluated the scene at the present frame, so that a driven property may be read. Inside a
        scene strip it has not.

    Raises
    ------
    CurveError
        The scene's animation comes from NLA strips.
    """

    def __init__(self, scene: bpy.types.Scene, *, up_to_date: bool = True) -> None:
        self.scene = scene
        self.up_to_date = up_to_date
        data = scene.animation_data
        bag = _channelbag(scene)
        self.curves = {curve.data_path: curve for curve in bag.fcurves} if bag is not None else {}
        self.drivers = {driver.data_path: driver for driver in data.drivers} if data is not None else {}
        if data is not None and data.use_nla:
            tracks = [track.name for track in data.nla_tracks if track.strips and not track.mute]
            if tracks:
                raise CurveError(
                    f"The scene {scene.name!r} is animated by NLA strips (track {tracks[0]!r}), which the picture cannot "
                    "follow yet. Mute or delete the track, or push its action back to be edited."
                )

    def animated(self) -> Iterator[str]:
        """Data paths that a curve or a driver moves."""
        yield from {path for path in (*self.curves, *self.drivers) if self.moves(path)}

    def driven(self, path: str) -> bool:
        """Whether a driver that works gives the value: Blender lets it win over a curve."""
        driver = self.drivers.get(path)
        return driver is not None and not driver.mute and driver.is_valid and driver.driver.is_valid

    def moves(self, path: str) -> bool:
        """Whether the value at a path may change over time."""
        curve = self.curves.get(path)
        keyed = curve is not None and not curve.mute and not curve.is_empty
        return self.driven(path) or (keyed and not (curve.group is not None and curve.group.mute))

    def value(self, path: str, frame: float, present: float) -> float:
        """The number at a data path.

        Parameters
        ----------
        path : str
        frame : float
            With its part after the point: the sub-frame.
        present : float
            The property's own value: used where nothing moves it, or where a driver has moved it.

        Raises
        ------
        CurveError
            A driver gives the value, and Blender has not evaluated it for this frame.
        """
        if self.driven(path):
            if not self.up_to_date:
                raise CurveError(
                    f"A driver on {path} of the scene {self.scene.name!r} cannot be followed inside a scene strip: "
                    "Blender does not evaluate it there. Bake the driver to keys, or render that scene by itself."
                )
            return present
        return float(self.curves[path].evaluate(frame)) if self.moves(path) else present
