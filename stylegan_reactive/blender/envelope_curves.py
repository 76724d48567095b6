# SPDX-License-Identifier: GPL-3.0-or-later
"""The curve of an envelope: renamed and muted with it, edited by hand or not, and shaped by Blender's modifiers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import bpy

from .curves import LONGEST_NAME, channelbag, fingerprint, first_unused, property_path
from .timing import fps_of

if TYPE_CHECKING:
    from .envelope_properties import SGR_Envelope

REST = 0.0
"""What a muted envelope gives."""


def curve_of(scene: bpy.types.Scene, name: str) -> "bpy.types.FCurve | None":
    """The curve of an envelope; None where it is not baked."""
    bag = channelbag(scene)
    return bag.fcurves.find(property_path(name)) if bag is not None else None


def envelopes_of(scene: bpy.types.Scene) -> "Any":
    """The scene's list of envelopes."""
    return scene.stylegan_reactive.envelopes


def unused_name(scene: bpy.types.Scene, name: str) -> str:
    """The name, or the first of ``name_2``, ``name_3`` ... that no envelope and no custom property of the scene has."""
    taken = {envelope.name for envelope in envelopes_of(scene)} | set(scene.keys())
    return first_unused(name, taken)


def select_active(settings: Any, _context: bpy.types.Context) -> None:
    """Blender calls this when another envelope is chosen in the list: its curve is the one selected, too."""
    for number, envelope in enumerate(settings.envelopes):
        curve = curve_of(settings.id_data, envelope.name)
        if curve is not None and curve.select != (number == settings.envelope_index):
            curve.select = number == settings.envelope_index


# Names


def on_renamed(envelope: "SGR_Envelope", _context: bpy.types.Context) -> None:
    """Blender calls this when an envelope's name is set."""
    old, new = envelope.known_name, envelope.name
    if old == new:
        return
    scene = envelope.id_data
    wanted = new.strip().encode()[:LONGEST_NAME].decode(errors="ignore") or old or "audio_envelope"
    others = {each.name for each in envelopes_of(scene) if each != envelope}
    foreign = set(scene.keys()) - {old} if old else set()
    if wanted != old and (wanted in others or wanted in foreign):
        wanted = unused_name(scene, wanted)
    envelope.known_name = wanted
    if new != wanted:
        envelope.name = wanted  # comes back here, and leaves at once
    if old and old != wanted:
        _rename(scene, old, wanted)


def _rename(scene: bpy.types.Scene, old: str, new: str) -> None:
    """Let property, curve, drivers and layers follow an envelope that has another name now."""
    if old in scene:
        shown = scene.id_properties_ui(old).as_dict()
        scene[new] = scene[old]
        del scene[old]
        scene.id_properties_ui(new).update(**{key: shown[key] for key in shown if key != "default"})
    before, after = property_path(old), property_path(new)
    curve = curve_of(scene, old)
    if curve is not None:
        curve.data_path = after
    for owner, driver in drivers_of_file():
        if owner == scene and driver.data_path == before:
            driver.data_path = after
        for variable in driver.driver.variables:
            for target in variable.targets:
                if target.id == scene and target.data_path == before:
                    target.data_path = after
    _rename_in(scene.stylegan_reactive, old, new)


def _rename_in(owner: Any, old: str, new: str) -> None:
    """Replace an envelope's name wherever a layer, or anything below it, holds it."""
    for rna in owner.bl_rna.properties:
        name = rna.identifier
        if name in ("rna_type", "envelopes") or (rna.type == "POINTER" and not _is_group(owner, name)):
            continue
        if rna.type == "STRING" and name not in ("name", "known_name") and getattr(owner, name) == old:
            setattr(owner, name, new)
        elif rna.type == "POINTER":
            _rename_in(getattr(owner, name), old, new)
        elif rna.type == "COLLECTION":
            for item in getattr(owner, name):
                if isinstance(item, bpy.types.PropertyGroup):
                    _rename_in(item, old, new)


def _is_group(owner: Any, name: str) -> bool:
    return isinstance(getattr(owner, name), bpy.types.PropertyGroup)


def drivers_of_file() -> "Iterator[tuple[bpy.types.ID, bpy.types.FCurve]]":
    """Every driver of the file that can be written, with the datablock that it is on."""
    for collection in bpy.data.bl_rna.properties:
        if collection.type != "COLLECTION":
            continue
        for block in getattr(bpy.data, collection.identifier):
            tree = getattr(block, "node_tree", None)
            for owner in (block, tree):
                data = getattr(owner, "animation_data", None)
                if data is not None and owner.library is None:
                    yield from ((owner, driver) for driver in data.drivers)


# Mute and solo


def is_muted(envelope: "SGR_Envelope") -> bool:
    """Whether the artist has muted an envelope, here or in the Graph Editor; what solo mutes besides does not count."""
    scene = envelope.id_data
    if any(each.soloed for each in envelopes_of(scene)):
        return bool(envelope.own_mute)
    curve = curve_of(scene, envelope.name)
    return curve.mute if curve is not None else bool(envelope.own_mute)


def set_muted(envelope: "SGR_Envelope", value: bool) -> None:
    """Mute an envelope's curve or let it play again."""
    envelope.own_mute = value
    apply_mutes(envelope.id_data, keep=False)


def set_solo(envelope: "SGR_Envelope", value: bool) -> None:
    """Let an envelope play alone, or with others that are set to solo."""
    for each in envelopes_of(envelope.id_data):
        each.own_mute = is_muted(each)
    envelope.soloed = value
    apply_mutes(envelope.id_data, keep=False)


def apply_mutes(scene: bpy.types.Scene, *, keep: bool = True) -> None:
    """Mute the curves as the list says; with `keep`, those muted in the Graph Editor stay so."""
    alone = any(each.soloed for each in envelopes_of(scene))
    for each in envelopes_of(scene):
        curve = curve_of(scene, each.name)
        if curve is None:
            continue
        if keep and not alone:
            each.own_mute = curve.mute
        mute = each.own_mute or (alone and not each.soloed and not each.is_clock)
        if curve.mute != mute:
            curve.mute = mute
        if mute:
            scene[each.name] = REST
        elif not keep:
            scene[each.name] = curve.evaluate(scene.frame_current_final)
    scene.update_tag()


# Edited by hand


def is_edited(scene: bpy.types.Scene, envelope: "SGR_Envelope") -> bool:
    """Whether an envelope's curve holds work that baking it again would lose: other keys than the bake has left."""
    curve = curve_of(scene, envelope.name)
    return curve is not None and not curve.is_empty and fingerprint(curve) != envelope.fingerprint


# Removing


def remove_curve(scene: bpy.types.Scene, name: str) -> None:
    """Take an envelope's custom property and its curve away."""
    bag, curve = channelbag(scene), curve_of(scene, name)
    if bag is not None and curve is not None:
        bag.fcurves.remove(curve)
    if name in scene:
        del scene[name]


# Modifiers

MODIFIERS = (
    ("LIMITS", "Limits", "Cut off peaks: at most 0.8, at least 0"),
    ("ENVELOPE", "Range", "Squeeze the curve between 0.2 and 1, so that it never rests; its points can be keyed"),
    ("NOISE", "Noise", "Let the curve tremble four times a second"),
    ("CYCLES", "Repeats", "Begin again before and after the song"),
    ("STEPPED", "Steps", "Hold each value for half a beat"),
    ("SMOOTH", "Smooth", "Soften the curve without changing its keys (Blender 5.1 and later)"),
)


def modifiers_there() -> list[tuple[str, str, str]]:
    """The modifiers of `MODIFIERS` that this Blender has."""
    known = {item.identifier for item in bpy.types.FModifier.bl_rna.properties["type"].enum_items}
    return [item for item in MODIFIERS if item[0] in known]


def add_modifier(scene: bpy.types.Scene, envelope: "SGR_Envelope", kind: str) -> "bpy.types.FModifier | None":
    """Add one of Blender's own modifiers to an envelope's curve, set for a curve from 0 to 1; None without a curve."""
    curve = curve_of(scene, envelope.name)
    if curve is None:
        return None
    rate, tempo = float(fps_of(scene)), scene.stylegan_reactive.hearing.tempo or 120.0
    modifier = curve.modifiers.new(kind)
    if kind == "LIMITS":
        modifier.use_min_y = modifier.use_max_y = True
        modifier.min_y, modifier.max_y = 0.0, 0.8
    elif kind == "ENVELOPE":
        modifier.reference_value, modifier.default_min, modifier.default_max = 0.0, 0.0, 1.0
        for frame in (scene.frame_start, scene.frame_end):
            point = modifier.control_points.add(frame)
            point.min, point.max = 0.2, 1.0
    elif kind == "NOISE":
        modifier.strength, modifier.scale, modifier.phase = 0.2, max(rate / 4, 1.0), 1.0
    elif kind == "CYCLES":
        modifier.mode_before = modifier.mode_after = "REPEAT_OFFSET" if envelope.is_clock else "REPEAT"
    elif kind == "STEPPED":
        modifier.frame_step = max(rate * 30.0 / tempo, 1.0)
        modifier.frame_offset = curve.range()[0]
    elif kind == "SMOOTH":
        modifier.sigma, modifier.filter_width = max(rate * 0.1, 0.5), max(round(rate * 0.3), 1)
    return modifier
