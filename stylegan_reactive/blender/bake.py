# SPDX-License-Identifier: GPL-3.0-or-later
"""Baking: the engine listens to the song, and what it heard becomes curves of the scene.

Keys that were edited by hand are never lost without a word: `apply_bake` is told what to do with them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import bpy

from ..engine.protocol import Analysed
from ..errors import ReactiveError
from .curves import LONGEST_NAME, fingerprint, write_envelope
from .envelope_curves import apply_mutes, curve_of, is_edited, unused_name
from .envelope_features import AUDIO
from .envelope_properties import SGR_Envelope
from .markers import section_markers
from .patches import envelopes_read, patch_of
from .properties import settings_of
from .session import session
from .sound import for_engine, song_of
from .sparse_keys import dense_keys, sparse_keys_of
from .steps import Steps, in_background, scene_again
from .timing import first_frame_of_song, fps_of
from .trust import trust

CLOCK_TOLERANCE = 0.002  # bars or seconds: a clock is never a matter of taste

Which = Literal["ALL", "ACTIVE", "MISSING"]
Edited = Literal["KEEP", "REPLACE", "BESIDE"]
"""What to do with keys that were edited by hand: keep them, replace them, or bake into a new envelope beside them."""


@dataclass(frozen=True)
class Baked:
    """What a bake has done: how many keys it wrote, which edited envelopes it kept, and which it made beside others."""

    keys: int
    kept: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"Baked {self.keys} key frames. Edit them in the Graph Editor, channel group Audio."
        if self.kept:
            text += f" Your own keys were kept: {', '.join(self.kept)}."
        if self.beside:
            text += f" New beside your own keys: {', '.join(self.beside)}."
        return text


def default_recipes() -> list[dict[str, Any]]:
    """The envelopes that a new scene gets, as data of the audio room."""
    return list(json.loads((AUDIO / "default_recipes.json").read_text(encoding="utf-8")))


def missing_envelopes(scene: bpy.types.Scene) -> set[str]:
    """Names of envelopes that the layers read and the scene does not have."""
    return {name for name in envelopes_read(patch_of(scene)) if name not in scene}


# What is to be baked


def settings_mark(scene: bpy.types.Scene, envelope: SGR_Envelope) -> str:
    """What an envelope's curve depends on, in a few letters: equal where baking again would change nothing."""
    settings = settings_of(scene)
    song = Path(bpy.path.abspath(settings.song, library=scene.library)) if settings.song else None
    # Even the size of a file on a stranger's server is not asked for before that is allowed.
    size = song.stat().st_size if song is not None and not trust.strangers() and song.is_file() else 0
    recipe = {**envelope.recipe(), "name": ""}
    parts = [
        *(recipe, song.name if song is not None else "", size, str(fps_of(scene)), first_frame_of_song(scene)),
        *(settings.hearing.rhythm(), form_of(scene), settings.hearing.stems, settings.tolerance, envelope.dense),
    ]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12).hexdigest()


def needs_bake(scene: bpy.types.Scene, envelope: SGR_Envelope) -> bool:
    """Whether an envelope has no curve yet, or was baked with other settings than it has now."""
    there = envelope.name in scene and curve_of(scene, envelope.name) is not None
    return not there or envelope.baked_from != settings_mark(scene, envelope)


def chosen_envelopes(scene: bpy.types.Scene, which: Which = "ALL") -> list[SGR_Envelope]:
    """The scene's envelopes: all, the active one, or those that `needs_bake`."""
    settings = settings_of(scene)
    envelopes = list(settings.envelopes)
    if which == "ACTIVE":
        return envelopes[settings.envelope_index : settings.envelope_index + 1]
    return [each for each in envelopes if needs_bake(scene, each)] if which == "MISSING" else envelopes


def edited_envelopes(scene: bpy.types.Scene, which: Which = "ALL") -> list[str]:
    """Names of the chosen envelopes that hold keys of the artist's own."""
    return [envelope.name for envelope in chosen_envelopes(scene, which) if is_edited(scene, envelope)]


def checked_recipes(scene: bpy.types.Scene, recipes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recipes, if their names can all be custom properties of one scene; raises `ReactiveError`."""
    if not recipes:
        raise ReactiveError("There is no envelope to bake. Press Set Up Scene, or add one to the list.")
    names = [recipe["name"] for recipe in recipes]
    for name in names:
        if not name or len(name.encode()) > LONGEST_NAME:
            raise ReactiveError(f"The envelope {name!r} needs a name of 1 to {LONGEST_NAME} letters. Rename it.")
        if names.count(name) > 1:
            raise ReactiveError(f"Two envelopes are named {name!r}, and one curve cannot hold both. Rename one.")
        if not isinstance(scene.get(name, 0.0), int | float):
            raise ReactiveError(
                f"The scene has a custom property {name!r} of its own, which is no number. Rename the envelope."
            )
    return list(recipes)


# Listening


def form_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """What is known of the sections, as the engine wants it."""
    hearing = settings_of(scene).hearing
    form: dict[str, Any] = hearing.form()
    if hearing.use_section_markers:
        form["markers"] = section_markers(scene)
    return form


def stems_of(scene: bpy.types.Scene) -> str:
    """The absolute path of the folder of stems; empty where none is chosen."""
    stems = settings_of(scene).hearing.stems
    return bpy.path.abspath(stems, library=scene.library) if stems else ""


def listen_steps(scene: bpy.types.Scene, recipes: Sequence[dict[str, Any]]) -> Steps[Analysed]:
    """Let the engine make envelopes from the song; the file is not touched. Raises `ReactiveError`."""
    song, fps, recipes = song_of(scene), fps_of(scene), checked_recipes(scene, recipes)
    rhythm, form, stems = settings_of(scene).hearing.rhythm(), form_of(scene), stems_of(scene)
    engine = session.engine()
    yield from in_background("Starting the engine", lambda _report: engine.start())

    def listen(report: Callable[[float, str], None]) -> Analysed:
        return engine.analyse(
            for_engine(song), fps, recipes, rhythm=rhythm, form=form, stems=stems or None, progress=report
        )

    return (yield from in_background("Listening", listen))


# Writing


def apply_bake(scene: bpy.types.Scene, analysed: Analysed, edited: Edited = "KEEP") -> Baked:
    """Write envelopes into curves of the scene.

    Parameters
    ----------
    analysed : Analysed
        Its envelopes, by the names of those in the scene's list.
    edited : "KEEP", "REPLACE" or "BESIDE"
        See `Edited`. Modifiers, extrapolation, colour and group of a curve stay in every case.
    """
    settings = settings_of(scene)
    kept, beside = [], []
    chosen = []
    for name, values in analysed.envelopes.items():
        envelope = settings.envelopes.get(name)
        if envelope is None:
            continue
        if is_edited(scene, envelope) and edited != "REPLACE":
            if edited == "KEEP":
                kept.append(name)
                continue
            name = duplicate(scene, settings.envelopes.find(name)).name
            beside.append(name)
        chosen.append((name, values))
    keys = write_envelopes(scene, chosen)
    hearing = settings.hearing
    hearing.tempo = analysed.tempo
    if analysed.sections:
        hearing.section_labels = ",".join(dict.fromkeys(label for _, _, label in analysed.sections))
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)  # let the new curves take effect
    return Baked(keys, tuple(kept), tuple(beside))


def write_envelopes(scene: bpy.types.Scene, chosen: Iterable[tuple[str, Any]]) -> int:
    """Key some envelopes of the scene's list, by name with their values; the number of keys."""
    settings = settings_of(scene)
    pairs = [(settings.envelopes[name], values) for name, values in chosen]
    first = first_frame_of_song(scene)
    tolerances = [
        CLOCK_TOLERANCE if envelope.is_clock else settings.tolerance / 100 * float(values.max() - values.min())
        for envelope, values in pairs
    ]
    sparse = iter(
        sparse_keys_of(
            [values for envelope, values in pairs if not envelope.dense],
            [allowed for (envelope, _), allowed in zip(pairs, tolerances, strict=True) if not envelope.dense],
        )
    )
    count = 0
    for envelope, values in pairs:
        keys = dense_keys(values) if envelope.dense else next(sparse)
        endless, straight = envelope.is_clock, envelope.dense
        curve = write_envelope(scene, envelope.name, first, keys, endless=endless, straight=straight)
        envelope.known_name = envelope.name
        envelope.fingerprint = fingerprint(curve)
        envelope.baked_from = settings_mark(scene, envelope)
        count += len(keys.index)
    apply_mutes(scene)
    return count


def duplicate(scene: bpy.types.Scene, index: int) -> SGR_Envelope:
    """Add an envelope that is made like another, behind it, without its curve."""
    settings = settings_of(scene)
    old = settings.envelopes[index]
    recipe, dense, name = old.recipe(), old.dense, unused_name(scene, old.name)
    recipe["steps"] = [step.to_plain() for step in old.steps]
    enabled = [step.enabled for step in old.steps]
    new = settings.envelopes.add()
    new.set_recipe({**recipe, "name": name})
    new.dense = dense
    for step, on in zip(new.steps, enabled, strict=True):
        step.enabled = on
    settings.envelopes.move(len(settings.envelopes) - 1, index + 1)
    return settings.envelopes[index + 1]


def bake_steps(scene: bpy.types.Scene, which: Which = "ALL", edited: Edited = "KEEP") -> Steps[Baked]:
    """Listen to the song and write envelopes into curves.

    Parameters
    ----------
    which : "ALL", "ACTIVE" or "MISSING"
        See `chosen_envelopes`.
    edited : "KEEP", "REPLACE" or "BESIDE"
        See `Edited`.

    Raises
    ------
    ReactiveError
        The song or the engine is not usable, or the list is not; the scene is as it was.
    """
    chosen = chosen_envelopes(scene, which)
    if which == "MISSING" and settings_of(scene).envelopes and not chosen:
        return Baked(0)
    uid, recipes = scene.session_uid, [envelope.recipe() for envelope in chosen]
    analysed = yield from listen_steps(scene, recipes)
    return apply_bake(scene_again(uid), analysed, edited)
