# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring everything that the open film uses into its bundle, and let every path of it be relative to ``film.blend``.

For a Blender of its own, which holds nothing but the copy: `farm_bundle` writes that from the artist's file.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from ..builtin_networks import is_builtin
from ..farm.manifest import FILES, BundleError
from .patch_parts import Layer
from .properties import settings_of

NOT_RENDERED = ("separation_weights",)  # files that only listening needs, and that can be large


class Collector:
    """Copies files into a bundle, each once, and notes those that are not there."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.missing: list[str] = []
        self._taken: dict[Path, str] = {}

    def take(self, path: str, what: str, *, library: Any = None, needed: bool = True) -> str:
        """Copy a file or the files of a folder; the path to them for Blender: ``//files/song.flac``."""
        source = Path(bpy.path.abspath(path, library=library)).resolve()
        if self.bundle in source.parents:
            return "//" + source.relative_to(self.bundle).as_posix()
        if source in self._taken:
            return self._taken[source]
        if not source.exists():
            if needed:
                self.missing.append(f"{what}: {source}")
            return path
        target = self._free(source.name)
        target.parent.mkdir(exist_ok=True)
        try:
            if source.is_dir():
                target.mkdir()
                for entry in sorted(source.iterdir()):
                    if entry.is_file():
                        shutil.copyfile(entry, target / entry.name)
            else:
                shutil.copyfile(source, target)
        except OSError as fault:
            raise BundleError(
                f"{source} cannot be copied into the bundle ({fault.strerror or fault}). Make room, or close what "
                "uses the file."
            ) from None
        self._taken[source] = "//" + target.relative_to(self.bundle).as_posix()
        return self._taken[source]

    def taken(self, path: str) -> str | None:
        """Where a file lies in the bundle that was taken."""
        return self._taken.get(Path(bpy.path.abspath(path)).resolve())

    def take_sequence(self, first: str, what: str) -> str:
        """Copy the numbered files that belong to one of them, into a folder of their own; the path of that one."""
        source = Path(bpy.path.abspath(first)).resolve()
        stem = source.stem.rstrip("0123456789")
        files = [
            one
            for one in (sorted(source.parent.iterdir()) if source.parent.is_dir() else ())
            if one.suffix == source.suffix and one.stem.startswith(stem) and one.stem[len(stem) :].isdigit()
        ]
        if source not in files:
            self.missing.append(f"{what}: {source}")
            return first
        folder = self._folder(source.parent)
        for one in files:
            shutil.copyfile(one, folder / one.name)
        return f"//{FILES}/{folder.name}/{source.name}"

    def take_named(self, folder: str, names: list[str], what: str) -> str:
        """Copy some files of a folder, under their names; the folder."""
        source = Path(bpy.path.abspath(folder)).resolve()
        target = self._folder(source)
        for name in names:
            if (source / name).is_file():
                shutil.copyfile(source / name, target / name)
            else:
                self.missing.append(f"{what}: {source / name}")
        return f"//{FILES}/{target.name}/"

    def _folder(self, source: Path) -> Path:
        folder = self._free(source.name or "frames")
        folder.mkdir(parents=True)
        return folder

    def _free(self, name: str) -> Path:
        """A place in the bundle that is not taken."""
        folder, number = self.bundle / FILES, 1
        target = folder / name
        while target.exists():
            number += 1
            target = folder / f"{number}_{name}"
        return target


def path_properties(group: Any, needed: bool = True) -> Iterator[tuple[Any, str, bool]]:
    """Every property of the extension that is a path, also in its lists: owner, name, and whether it is in use."""
    needed = needed and (group.enabled if isinstance(group, Layer) else True)
    for prop in group.bl_rna.properties:
        if prop.identifier == "rna_type":
            continue
        if prop.type == "STRING" and prop.subtype in ("FILE_PATH", "DIR_PATH"):
            yield group, prop.identifier, needed
        elif prop.type == "POINTER" and isinstance(held := getattr(group, prop.identifier), bpy.types.PropertyGroup):
            yield from path_properties(held, needed)
        elif prop.type == "COLLECTION":
            for item in getattr(group, prop.identifier):
                yield from path_properties(item, needed)


def collect_settings(collector: Collector) -> None:
    """Songs, networks, latents, weights and stems of all scenes."""
    for scene in bpy.data.scenes:
        if scene.library is not None:
            continue
        for owner, name, needed in path_properties(settings_of(scene)):
            path = getattr(owner, name)
            if not path or is_builtin(path):
                continue
            if name in NOT_RENDERED:
                setattr(owner, name, "")
                continue
            what = f"{scene.name}, {owner.bl_rna.properties[name].name}"
            drawn = needed and name not in ("song", "stems")  # those are heard in the bake, which is done
            setattr(owner, name, collector.take(path, what, needed=drawn))


def collect_data(collector: Collector) -> None:
    """Images, fonts, sounds, clips, caches and strips: packed where Blender can, else copied."""
    for image in bpy.data.images:
        if image.library is None and image.filepath and image.packed_file is None:
            if image.source in ("FILE", "TILED"):
                _pack(collector, image, "Image")
            elif image.source == "SEQUENCE":
                image.filepath = collector.take_sequence(image.filepath, f"Image {image.name}")
            elif image.source == "MOVIE":
                image.filepath = collector.take(image.filepath, f"Image {image.name}")
    for font in bpy.data.fonts:
        if font.library is None and font.packed_file is None and font.filepath not in ("", "<builtin>"):
            _pack(collector, font, "Font")
    for kind, blocks in (
        ("Sound", bpy.data.sounds),
        ("Clip", bpy.data.movieclips),
        ("Cache", bpy.data.cache_files),
        ("Volume", bpy.data.volumes),
    ):
        for block in blocks:
            if block.library is None and block.filepath and getattr(block, "packed_file", None) is None:
                block.filepath = collector.take(block.filepath, f"{kind} {block.name}")
    for scene in bpy.data.scenes:
        editor = scene.sequence_editor
        for strip in editor.strips_all if editor is not None and scene.library is None else ():
            if strip.type == "MOVIE":
                strip.filepath = collector.take(strip.filepath, f"Strip {strip.name}")
            elif strip.type == "IMAGE":
                names = [element.filename for element in strip.elements]
                strip.directory = collector.take_named(strip.directory, names, f"Strip {strip.name}")


def _pack(collector: Collector, block: Any, kind: str) -> None:
    """Put a file into the .blend, or note that it is not there."""
    path = Path(bpy.path.abspath(block.filepath))
    if not path.exists() and "<UDIM>" not in path.name:
        collector.missing.append(f"{kind} {block.name}: {path}")
        return
    with contextlib.suppress(RuntimeError):
        block.pack()


def external_files() -> set[Path]:
    """The files that the open film reads; not those that are packed, and not the fonts of Blender's own.

    Blender keeps a path in each sound strip too and never reads it; it counts the sound's own.
    """
    paths = set()
    for block, found in bpy.data.file_path_map(include_libraries=True).items():
        if not isinstance(block, bpy.types.Scene) and getattr(block, "packed_file", None) is None:
            paths |= {bpy.path.abspath(path, library=block.library) for path in found if path != "<builtin>"}
    for scene in bpy.data.scenes:
        editor = scene.sequence_editor
        for strip in editor.strips_all if editor is not None else ():
            if strip.type == "MOVIE":
                paths.add(bpy.path.abspath(strip.filepath, library=scene.library))
            elif strip.type == "IMAGE":
                folder = bpy.path.abspath(strip.directory, library=scene.library)
                paths |= {folder + element.filename for element in strip.elements}
    return {Path(path).resolve() for path in paths}


def outside(bundle: Path) -> list[str]:
    """Files that the open film still reads from outside its bundle, such as those of linked libraries."""
    return sorted(str(path) for path in external_files() if path.is_file() and bundle not in path.parents)


def collect(bundle: Path) -> None:
    """Bring everything into the bundle of the open film.

    Raises
    ------
    BundleError
        Files are not there, or something lies outside that cannot be brought; all of them are named.
    """
    collector = Collector(bundle)
    collect_settings(collector)
    collect_data(collector)
    if collector.missing:
        raise BundleError(
            "These files are not there, so a farm cannot have them. Choose them again, or switch off what uses them:\n"
            + "\n".join(f"  {line}" for line in collector.missing)
        )
    if bpy.data.libraries:
        bpy.ops.file.pack_libraries()
    if hasattr(bpy.data, "file_path_foreach"):  # 5.0 and later: the paths that sound strips keep, too
        bpy.data.file_path_foreach(lambda _block, path, _: collector.taken(path), visit_types={"SCENE"})
    left = outside(bundle)
    if left:
        raise BundleError(
            "These files are used through a linked library or by something that cannot be brought along. Make them "
            "local (Object > Relations > Make Local), or pack them (File > External Data):\n"
            + "\n".join(f"  {path}" for path in left)
        )
