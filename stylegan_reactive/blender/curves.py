# SPDX-License-Identifier: GPL-3.0-or-later
"""F-curves of the Scene: written sparse, so that an artist can edit them, and read at any frame.

Reading never trusts a property's present value where a curve drives it: inside a scene strip Blender does not update
it, and the engine looks ahead to frames that Blender has not reached. See Blender's ``FCurve.evaluate``.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping

import bpy
import numpy as np

from ..errors import ReactiveError
from .sparse_keys import Keys

LONGEST_NAME = 63  # bytes of a custom property's name
GROUP = "Audio"
CLOCK_GROUP = "Audio Clocks"  # apart, for they rise far out of the others' range


class CurveError(ReactiveError):
    """The scene's animation cannot be followed as it is."""


def first_unused(name: str, taken: set[str]) -> str:
    """The name, or the first of ``name_2``, ``name_3`` ... that nothing has."""
    return next(each for each in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if each not in taken)


def property_path(name: str) -> str:
    """The data path of a custom property."""
    return f'["{bpy.utils.escape_identifier(name)}"]'


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
    scene: bpy.types.Scene, name: str, first_frame: int, keys: Keys, *, endless: bool = False, straight: bool = False
) -> bpy.types.FCurve:
    """Bake an envelope into key frames on a custom property of the scene.

    Keys that were there are replaced; the curve itself stays, and with it what the artist has set on it: modifiers,
    extrapolation, group, colour, mute.

    Parameters
    ----------
    name : str
        Of the custom property, such as ``audio_kick``.
    first_frame : int
        Frame of the first sample.
    keys : Keys
        See `sparse_keys`.
    endless : bool
        Whether the curve goes on rising beyond its ends: for clocks.
    straight : bool
        Whether straight lines join the keys, and no handles.
    """
    low, high = float(np.min(keys.value)), float(np.max(keys.value))
    scene[name] = float(keys.value[0])
    scene.id_properties_ui(name).update(
        min=-1e9 if endless else min(0.0, low),
        max=1e9 if endless else max(1.0, high) * 4,
        soft_min=0.0,
        soft_max=max(1.0, high),
        description="Baked from the song by StyleGAN Reactive; edit its keys in the Graph Editor",
    )
    bag = ensure_channelbag(scene)
    path = property_path(name)
    curve = bag.fcurves.find(path)
    if curve is None:
        curve = bag.fcurves.new(path)
        curve.extrapolation = "LINEAR" if endless else "CONSTANT"
        curve.hide = endless  # shown, it would flatten all others in the Graph Editor
        group = CLOCK_GROUP if endless else GROUP
        curve.group = bag.groups.get(group) or bag.groups.new(group)
    frames = keys.index + first_frame
    third = np.diff(frames) / 3 if len(frames) > 1 else np.ones(1)
    points = curve.keyframe_points
    points.clear()
    points.add(len(frames))
    points.foreach_set("co", _interleaved(frames, keys.value))
    points.foreach_set("handle_left", _interleaved(frames - np.append(third[:1], third)[: len(frames)], keys.left))
    points.foreach_set("handle_right", _interleaved(frames + np.append(third, third[-1:])[: len(frames)], keys.right))
    moving, held = _number("interpolation", "LINEAR" if straight else "BEZIER"), _number("interpolation", "CONSTANT")
    points.foreach_set("interpolation", np.where(keys.hold, held, moving).astype(np.int32))
    for part in ("handle_left_type", "handle_right_type"):
        points.foreach_set(part, np.full(len(frames), _number(part, "FREE"), np.int32))
    for part in ("select_control_point", "select_left_handle", "select_right_handle"):
        points.foreach_set(part, np.zeros(len(frames), bool))
    curve.update()
    return curve


def fingerprint(curve: bpy.types.FCurve) -> str:
    """What the keys of a curve are, in a few letters: equal only where no key was moved, added, removed or reshaped.

    Selecting keys, saving and loading, and `FCurve.update` leave it as it is; modifiers are no part of it.
    """
    points = curve.keyframe_points
    mark = hashlib.blake2b(digest_size=12)
    for part in ("co", "handle_left", "handle_right"):
        numbers = np.empty(2 * len(points), np.float32)
        points.foreach_get(part, numbers)
        mark.update(numbers.tobytes())
    kinds = np.empty(len(points), np.int32)
    points.foreach_get("interpolation", kinds)
    mark.update(kinds.tobytes())
    return mark.hexdigest()


def _number(part: str, choice: str) -> int:
    """The number of a choice of a key frame's property, for bulk functions."""
    return int(bpy.types.Keyframe.bl_rna.properties[part].enum_items[choice].value)


def _interleaved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pairs x, y, x, y ... as Blender's bulk functions take them, float32."""
    return np.column_stack((x, y)).astype(np.float32).ravel()


def rename_paths(scene: bpy.types.Scene, renamed: Mapping[str, str | None]) -> None:
    """Let curves and drivers follow list entries that moved: new data path by old prefix; None removes the curve."""
    data = scene.animation_data
    if data is None:
        return
    collections = [data.drivers] + ([bag.fcurves] if (bag := channelbag(scene)) else [])
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


def channelbag(scene: bpy.types.Scene) -> "bpy.types.ActionChannelbag | None":
    """The channels of the scene's action and slot; None where there are none."""
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
        The scene's animation comes from NLA strips: from a track that plays, alone or not, or one that is tweaked.
    """

    def __init__(self, scene: bpy.types.Scene, *, up_to_date: bool = True) -> None:
        self.scene = scene
        self.up_to_date = up_to_date
        data = scene.animation_data
        bag = channelbag(scene)
        self.curves = {curve.data_path: curve for curve in bag.fcurves} if bag is not None else {}
        self.drivers = {driver.data_path: driver for driver in data.drivers} if data is not None else {}
        if data is not None:
            self._check_strips(data)

    def _check_strips(self, data: bpy.types.AnimData) -> None:
        """Raise where something else than the action itself gives the values."""
        name = self.scene.name
        if data.use_tweak_mode:
            raise CurveError(
                f"An NLA strip of the scene {name!r} is being tweaked, which the picture cannot follow. "
                "Press Tab in the NLA editor to leave Tweak Mode."
            )
        if not data.use_nla:
            return
        solo = [track.name for track in data.nla_tracks if track.is_solo]
        if solo:
            raise CurveError(
                f"The scene {name!r} plays only its NLA track {solo[0]!r}, which is set to solo. "
                "Take solo off in the NLA editor."
            )
        tracks = [track.name for track in data.nla_tracks if track.strips and not track.mute]
        if tracks:
            raise CurveError(
                f"The scene {name!r} is animated by NLA strips (track {tracks[0]!r}), which the picture cannot follow "
                "yet. Mute or delete the track, or push its action back to be edited."
            )

    def animated(self) -> Iterator[str]:
        """Data paths that a curve or a driver moves."""
        yield from {path for path in (*self.curves, *self.drivers) if self.moves(path)}

    def driven(self, path: str) -> bool:
        """Whether a driver that works gives the value: Blender lets it win over a curve."""
        driver = self.drivers.get(path)
        return driver is not None and not driver.mute and driver.is_valid and driver.driver.is_valid

    def broken(self, path: str) -> bool:
        """Whether there is a driver with an error, whatever it leaves in the property."""
        driver = self.drivers.get(path)
        return driver is not None and not driver.mute and not self.driven(path)

    def moves(self, path: str) -> bool:
        """Whether the value at a path may change over time."""
        curve = self.curves.get(path)
        keyed = curve is not None and not curve.mute and not curve.is_empty and curve.is_valid
        return self.driven(path) or self.broken(path) or (keyed and not (curve.group is not None and curve.group.mute))

    def _check_driver(self, path: str, seen: frozenset[str] = frozenset()) -> None:
        """Raise where a driver, or one that it reads, reads what Blender updates after the picture is made."""
        driver = self.drivers[path].driver
        late = "bpy" if driver.type == "SCRIPTED" and re.search(r"\b(bpy|depsgraph)\b", driver.expression) else ""
        for variable in driver.variables:
            for target in variable.targets:
                if variable.type != "CONTEXT_PROP" and target.id != self.scene:
                    late = late or (target.id.name if target.id is not None else variable.name)
                owner = _owner_of(self.scene, target.data_path)
                if owner is not None and owner != self.scene:
                    late = late or owner.name
                if self.driven(target.data_path) and target.data_path not in seen:
                    self._check_driver(target.data_path, seen | {path})
        if late:
            raise CurveError(
                f"The driver on {path} of the scene {self.scene.name!r} reads {late!r}, which Blender "
                "updates too late for the picture. Let it read the scene's own properties, or bake it to keys."
            )

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
            A driver gives the value and has an error, or Blender has not evaluated it for this frame.
        """
        if self.broken(path):
            raise CurveError(
                f"The driver on {path} of the scene {self.scene.name!r} has an error. Mend it, mute it or remove it."
            )
        if self.driven(path):
            self._check_driver(path)
            if not self.up_to_date:
                raise CurveError(
                    f"A driver on {path} of the scene {self.scene.name!r} cannot be followed inside a scene strip: "
                    "Blender does not evaluate it there. Bake the driver to keys, or render that scene by itself."
                )
            return present
        return float(self.curves[path].evaluate(frame)) if self.moves(path) else present


def _owner_of(scene: bpy.types.Scene, path: str) -> bpy.types.ID | None:
    """The datablock that a data path of the scene ends in, such as its camera; None where the path leads nowhere."""
    head = path
    while head:
        head = head[: head.rindex("[")] if head.endswith("]") else head.rpartition(".")[0]
        try:
            found = scene.path_resolve(head) if head else scene
        except ValueError:
            return None
        if isinstance(found, bpy.types.bpy_struct):
            return found if isinstance(found, bpy.types.ID) else found.id_data
    return scene
