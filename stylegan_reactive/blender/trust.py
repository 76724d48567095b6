# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose files may use the engine: a .blend from a stranger loads no network and starts no engine until it is allowed.

A file that is made here, or that holds nothing of this extension when it is opened, is the artist's own. So is every
file that is saved while it is allowed. Any other is allowed by the artist, by itself or with its folder, and that is
kept in the extension's own folder. Scenes that are linked or appended come from another file, which is asked about as
if it had been opened. In the background nobody can be asked: there `ENVIRONMENT` names what is allowed.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from ..errors import EngineError
from ..files import write_whole
from .preferences import own_folder

ENVIRONMENT = "STYLEGAN_REACTIVE_TRUST"  # files and folders that are allowed, as PATH separates its folders
LARGEST_LIST = 1 << 20  # bytes


class NotAllowed(EngineError):
    """The file that is open was not allowed yet."""


@dataclass
class Trust:
    """What is allowed while Blender runs.

    ``opened`` is the path of a file that came from outside with settings of this extension in it, else empty: then
    there is nothing to ask. ``brought`` are files from which scenes came into it, which may be local by now.
    ``allowed`` are files and folders that hold for this run alone.
    """

    opened: str = ""
    brought: set[str] = field(default_factory=set)
    allowed: set[str] = field(default_factory=set)

    def strangers(self) -> list[str]:
        """The files that are open, with those that its scenes came from, and not allowed."""
        files = {*filter(None, (self.opened,)), *self.brought, *linked_files()}
        if not files:
            return []
        known = {*self.allowed, *read_allowed(), *filter(None, os.environ.get(ENVIRONMENT, "").split(os.pathsep))}
        # One that is named itself is the common case, and no place of the list has to be reached for it.
        return sorted(file for file in files - known if not any(covers(allowed, file) for allowed in known))

    def check(self) -> None:
        """Raise `NotAllowed` unless everything that is open is allowed."""
        strangers = self.strangers()
        if strangers:
            answer = (
                f"Name it or its folder in the variable {ENVIRONMENT}"
                if bpy.app.background
                else "Press Allow This File in the StyleGAN tab"
            )
            raise NotAllowed(
                f"{Path(strangers[0]).name} was not made here, so nothing that it names is loaded yet. "
                f"{answer} if you know where it is from."
            )

    def allow(self, path: str) -> None:
        """Allow a file, or a folder with all that is in it, from now on."""
        self.allowed.add(path)
        kept = read_allowed()
        if not any(covers(other, path) for other in kept):
            write_allowed(
                [*(other for other in kept if not covers(path, other)), path]
            )  # a folder stands for its files

    def withdraw(self, path: str) -> None:
        """Allow a file or folder no longer."""
        self.allowed.discard(path)
        kept = read_allowed()
        if path in kept:
            write_allowed([allowed for allowed in kept if allowed != path])

    def all_allowed(self) -> list[str]:
        """Files and folders that are allowed, but for those of the environment."""
        return sorted({*self.allowed, *read_allowed()})


trust = Trust()


def holds_settings(scene: bpy.types.Scene) -> bool:
    """Whether a scene has anything of this extension in it."""
    settings = scene.stylegan_reactive
    return any(
        settings.is_property_set(rna.identifier)
        for rna in settings.bl_rna.properties
        if rna.identifier not in ("rna_type", "name")
    )


def linked_files() -> set[str]:
    """The files that scenes with something of this extension are linked from."""
    return {
        bpy.path.abspath(scene.library.filepath)
        for scene in bpy.data.scenes
        if scene.library is not None and holds_settings(scene)
    }


def covers(allowed: str, file: str) -> bool:
    """Whether a file is this one or lies in this folder, wherever links lead."""
    with contextlib.suppress(OSError, ValueError):
        real, place = Path(os.path.realpath(file)), Path(os.path.realpath(allowed))
        return real == place or place in real.parents
    return False


def read_allowed() -> list[str]:
    """What the artist allowed in earlier runs; nothing where the list cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        for file in _list_file(create=False):
            if file.stat().st_size <= LARGEST_LIST:
                entries = json.loads(file.read_text(encoding="utf-8"))["allowed"]
                return [entry for entry in entries if isinstance(entry, str) and entry]
    return []


def write_allowed(paths: list[str]) -> None:
    """Keep what is allowed; where the extension has no folder of its own, it holds for this run."""
    for file in _list_file(create=True):
        write_whole(file, json.dumps({"allowed": paths}, indent=1).encode())


def _list_file(*, create: bool) -> Iterator[Path]:
    folder = own_folder("allowed", create=create)
    if folder is not None:
        yield folder / "files.json"


@persistent
def on_load(_path: str = "", _: object = None) -> None:
    """A file was opened: is there anything in it to ask about?"""
    local = (scene for scene in bpy.data.scenes if scene.library is None)
    trust.opened = bpy.data.filepath if any(map(holds_settings, local)) else ""
    trust.brought = linked_files()  # kept, for they can be made local


@persistent
def on_import(context: bpy.types.BlendImportContext, _: object = None) -> None:
    """Something was linked or appended: scenes of a stranger are not the artist's own, though the open file is."""
    for item in context.import_items:
        library, brought = item.source_library, item.id
        if library is not None and isinstance(brought, bpy.types.Scene) and holds_settings(brought):
            trust.brought.add(bpy.path.abspath(library.filepath))


@persistent
def on_save(_path: str = "", _: object = None) -> None:
    """What is saved while it is allowed is the artist's own, under its new name too; what is not replaces none such."""
    saved = bpy.data.filepath  # that of the file which is open, also when a copy was saved
    if not saved or not any(map(holds_settings, bpy.data.scenes)):
        return
    with contextlib.suppress(OSError):  # the file is saved; at worst it is asked about once
        if trust.strangers():
            trust.withdraw(saved)
        elif not any(
            covers(allowed, saved) for allowed in trust.allowed
        ):  # as a farm's bundle, which is no work of ours
            trust.allow(saved)


HANDLERS = (("load_post", on_load), ("save_post", on_save), ("blend_import_post", on_import))


def register() -> None:
    """Look at files as they are opened; at the one that is open now, too."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)
    if hasattr(bpy.data, "scenes"):  # not while Blender starts: then a file is yet to be opened
        on_load()


def unregister() -> None:
    """Stop looking."""
    for event, handler in HANDLERS:
        getattr(bpy.app.handlers, event).remove(handler)
