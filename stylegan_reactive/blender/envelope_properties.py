# SPDX-License-Identifier: GPL-3.0-or-later
"""Envelopes as the Scene stores them: curves made from the song, and how each is made."""

import json
from collections.abc import Mapping
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    StringProperty,
)

from . import envelope_curves
from .envelope_features import AUDIO, CLOCKS, GROUPS, KINDS, PITCHES, FeatureParts, name_of, parts_of, title_of
from .keying import FIXED

STEP_KINDS: dict[str, Any] = json.loads((AUDIO / "envelope_steps.json").read_text(encoding="utf-8"))
"""The steps of post-processing as the audio room describes them: ``description``, and ``parameters`` by name."""

STEP_LABELS = {
    "gaussian": "Smooth",
    "follower": "Attack and Release",
    "normalise": "Normalise Peaks",
    "normalise_range": "Stretch to Range",
    "normalise_loudness": "Even Out Songs",
    "expand": "Expand",
    "compress": "Compress",
    "gain_and_clip": "Gain and Clip",
    "power": "Power",
    "gate": "Gate",
    "trigger": "Trigger",
    "delay": "Delay",
}

PARAMETER_LABELS = {"gaussian_seconds": "Time", "gaussian_future": "Look Ahead", "delay_seconds": "Time"}

SOURCES = (
    ("mix", "Mix", "Everything that sounds"),
    ("percussive", "What Strikes", "Drums and other hits, told from the mix"),
    ("harmonic", "What Rings", "Notes and chords, told from the mix"),
    ("drums", "Drums", "The stem of this name where there is one, else guessed from the mix"),
    ("bass", "Bass", "The stem of this name where there is one, else guessed from the mix"),
    ("vocals", "Vocals", "The stem of this name where there is one, else guessed from the mix"),
    ("other", "Other", "The stem of this name where there is one, else guessed from the mix"),
    ("stem", "Own Stem", "A stem by its name: the name of its file in the folder of stems"),
)

TONNETZ = ("Fifths, X", "Fifths, Y", "Minor Thirds, X", "Minor Thirds, Y", "Major Thirds, X", "Major Thirds, Y")


def feature_items() -> list[tuple[str, str, str, str, int]]:
    """All kinds of features under their headings; a kind keeps its number when others are added behind it."""
    items: list[tuple[str, str, str, str, int]] = []
    numbers = {name: number for number, name in enumerate(KINDS)}
    for group in GROUPS:
        items.append(("", group, "", "NONE", 0))
        items += [
            (name, kind["label"], kind["meaning"], "NONE", numbers[name])
            for name, kind in KINDS.items()
            if kind["group"] == group
        ]
    return items


# Steps of post-processing


def _parameter(kind: str, name: str, about: Mapping[str, Any]) -> Any:
    """The property of one parameter of a step, with the range and the unit that the audio room gives it."""
    label = PARAMETER_LABELS.get(f"{kind}_{name}", name.replace("_", " ").title())
    seconds = about["unit"] == "s"
    subtype = {"s": "TIME_ABSOLUTE", "%": "PERCENTAGE"}.get(about["unit"], "NONE")
    return FloatProperty(
        name=f"{label} (dB)" if about["unit"] == "dB" else label,
        default=about["default"],
        min=about["low"],
        max=about["high"],
        soft_max=min(about["high"], 5.0 if seconds else max(8.0, about["default"]) if about["unit"] == "" else 1e9),
        step=1 if seconds else 10,
        precision=3,
        subtype=subtype,
        unit="TIME_ABSOLUTE" if seconds else "NONE",
        options=FIXED,
        description=about["description"],
    )


STEP_ITEMS = [(name, STEP_LABELS.get(name, name), about["description"]) for name, about in STEP_KINDS.items()]
"""Kinds of steps as a menu lists them."""


class SGR_EnvelopeStep(bpy.types.PropertyGroup):
    """One step between what is heard and its curve. Each kind keeps parameters of its own."""

    def to_plain(self) -> dict[str, Any]:
        """The step as data of the audio room."""
        return {"step": self.kind, **{name: getattr(self, f"{self.kind}_{name}") for name in self.parameters}}

    def set_plain(self, step: Mapping[str, Any]) -> None:
        """Take over a step of the audio room."""
        self.kind = step["step"]
        for name, value in step.items():
            if name != "step":
                setattr(self, f"{self.kind}_{name}", value)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what can be set at this kind of step."""
        return tuple(STEP_KINDS[self.kind]["parameters"])


SGR_EnvelopeStep.__annotations__ = {
    "kind": EnumProperty(
        name="Step",
        items=STEP_ITEMS,
        options=FIXED,
        description="What is done with the curve",
    ),
    "enabled": BoolProperty(name="Enabled", default=True, options=FIXED, description="Take this step"),
    "expanded": BoolProperty(name="Show", default=True, options=FIXED, description="Show the settings of this step"),
    **{
        f"{kind}_{name}": _parameter(kind, name, parameter)
        for kind, about in STEP_KINDS.items()
        for name, parameter in about["parameters"].items()
    },
}


def steps_of(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chain of a recipe; what its short form says becomes the steps that the audio room takes for it."""
    short: list[dict[str, Any]] = []
    if recipe.get("smooth", 0.0) > 0:
        short.append({"step": "gaussian", "seconds": recipe["smooth"], "future": recipe.get("future", 0.0)})
    if recipe.get("renormalise", False):
        short.append({"step": "normalise"})
    if recipe.get("power", 1.0) != 1:
        short.append({"step": "power", "exponent": recipe["power"]})
    if recipe.get("gain", 1.0) != 1:
        short.append({"step": "gain_and_clip", "gain": recipe["gain"]})
    if recipe.get("release", 0.0) > 0:
        short.append({"step": "follower", "release": recipe["release"]})
    return [*short, *recipe.get("steps", ())]


# Envelopes


class SGR_Envelope(bpy.types.PropertyGroup):
    """One curve made from the song, and how it is made."""

    name: StringProperty(
        name="Name",
        options=FIXED,
        update=envelope_curves.on_renamed,
        description="Of the envelope and of the scene's custom property that holds its curve. Layers, drivers and "
        "keys follow when it changes",
    )
    title: StringProperty(
        name="Envelope",
        options=FIXED,
        get=lambda self: title_of(self.name),
        set=lambda self, title: setattr(self, "name", name_of(title)) if title.strip() else None,
        description="Name of the envelope. Its curve, layers and drivers follow when it changes",
    )
    known_name: StringProperty(options={"HIDDEN"})
    kind: EnumProperty(
        name="Feature", items=feature_items(), default="onset", options=FIXED, description="What to listen for"
    )
    source: EnumProperty(name="Source", items=SOURCES, options=FIXED, description="Where to listen for it")
    stem: StringProperty(
        name="Stem", options=FIXED, description="Name of the stem: the name of its file without the ending"
    )
    use_band: BoolProperty(
        name="Band", default=False, options=FIXED, description="Hear only a range of frequencies, low to high"
    )
    band_low: FloatProperty(
        name="From",
        default=60.0,
        min=0.0,
        max=22049.0,
        precision=0,
        step=1000,
        options=FIXED,
        description="Lowest frequency that is heard, in Hz; a bass drum is at 60",
    )
    band_high: FloatProperty(
        name="To",
        default=250.0,
        min=1.0,
        max=22050.0,
        precision=0,
        step=1000,
        options=FIXED,
        description="Highest frequency that is heard, in Hz; cymbals reach beyond 10000",
    )
    part: IntProperty(
        name="Column", default=0, min=0, max=119, options=FIXED, description="Which of its values, counted from 0"
    )
    note: EnumProperty(
        name="Note",
        items=[(str(number), pitch, "In any octave") for number, pitch in enumerate(PITCHES)],
        options=FIXED,
        description="Which note to listen for",
        get=lambda self: min(self.part, len(PITCHES) - 1),
        set=lambda self, value: setattr(self, "part", value),
    )
    axis: EnumProperty(
        name="Axis",
        items=[(str(number), name, "") for number, name in enumerate(TONNETZ)],
        options=FIXED,
        description="Along which circle of related chords",
        get=lambda self: min(self.part, len(TONNETZ) - 1),
        set=lambda self, value: setattr(self, "part", value),
    )
    bins: IntProperty(
        name="Divisions",
        default=0,
        min=0,
        max=120,
        options=FIXED,
        description="Notes in an octave, or kinds into which sections are sorted; 0: the usual ones",
    )
    length: FloatProperty(
        name="Over",
        default=0.0,
        min=0.0,
        soft_max=8.0,
        max=600.0,
        step=10,
        options=FIXED,
        description="Over how many seconds to average, or to cross-fade sections; 0: as short as possible",
    )
    length_in_bars: BoolProperty(
        name="In Bars", default=False, options=FIXED, description="Count the cross-fade in bars instead of seconds"
    )
    steps: CollectionProperty(type=SGR_EnvelopeStep)
    step_index: IntProperty(options=FIXED)
    dense: BoolProperty(
        name="A Key on Every Frame",
        default=False,
        options=FIXED,
        description="Write one key for each frame instead of as few as the tolerance allows",
    )
    mute: BoolProperty(
        name="Mute",
        options=FIXED,
        description="Mute the curve as in the Graph Editor and set it to rest at 0, in the film too. "
        "Its keys and modifiers stay",
        get=envelope_curves.is_muted,
        set=envelope_curves.set_muted,
    )
    own_mute: BoolProperty(options={"HIDDEN"})
    solo: BoolProperty(
        name="Solo",
        options=FIXED,
        description="Mute all other envelopes, so that you see what this one moves. Bars and Seconds run on",
        get=lambda self: self.soloed,
        set=envelope_curves.set_solo,
    )
    soloed: BoolProperty(options={"HIDDEN"})
    fingerprint: StringProperty(options={"HIDDEN"})
    baked_from: StringProperty(options={"HIDDEN"})

    @property
    def is_clock(self) -> bool:
        """Whether the curve counts on, instead of staying between 0 and 1."""
        return self.kind in CLOCKS

    def takes(self, word: str) -> bool:
        """Whether the feature can be asked for by ``source``, ``band``, ``bins``, ``seconds`` or ``bars``."""
        return word in KINDS[self.kind]["takes"]

    @property
    def feature(self) -> str:
        """The feature's text, as a recipe has it: ``percussive:onset@60-250``."""
        bins = self.bins if self.takes("bins") and self.bins >= 2 else None
        columns = KINDS[self.kind]["columns"]
        part = None if columns == 0 else self.part
        if part is not None and (bins or columns):
            part = min(part, (bins or columns) - 1)
        in_bars = self.length_in_bars and self.takes("bars")
        source = (self.stem.strip() or "mix") if self.source == "stem" else self.source
        return str(
            FeatureParts(
                self.kind,
                source if self.takes("source") else "mix",
                bins,
                part,
                (self.band_low, self.band_high) if self.use_band and self.takes("band") else None,
                self.length if self.length >= 0.001 and (in_bars or self.takes("seconds")) else None,
                in_bars,
            )
        )

    @feature.setter
    def feature(self, text: str) -> None:
        parts = parts_of(text)
        self.kind = parts.kind
        known = parts.source in [name for name, *_ in SOURCES if name != "stem"]
        self.source, self.stem = (parts.source, "") if known else ("stem", parts.source)
        self.use_band = parts.band is not None
        if parts.band is not None:
            self.band_low, self.band_high = parts.band
        self.bins, self.part = parts.bins or 0, parts.part or 0
        self.length, self.length_in_bars = parts.length or 0.0, parts.in_bars

    def recipe(self) -> dict[str, Any]:
        """The envelope as the audio room wants it."""
        steps = [] if self.is_clock else [step.to_plain() for step in self.steps if step.enabled]
        return {"name": self.name, "feature": self.feature, "steps": steps}

    def set_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Take over a recipe of the audio room, of either form; raises `PatchError` for an unknown feature."""
        self.feature = recipe["feature"]
        self.name = recipe["name"]
        self.steps.clear()
        for step in steps_of(recipe):
            self.steps.add().set_plain(step)


CLASSES = (SGR_EnvelopeStep, SGR_Envelope)
