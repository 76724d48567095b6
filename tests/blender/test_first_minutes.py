# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever opens the panel for the first time is told the next step, and every word in it explains itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

from stylegan_reactive import blender
from stylegan_reactive.blender import manual, preferences_panel
from stylegan_reactive.blender.next_step import next_step
from stylegan_reactive.blender.properties import settings_of

INTERNAL = {"bl_idname", "rna_type", "name"}


def groups() -> Iterator[type]:
    """All property groups of the extension, and its preferences."""
    for kind in bpy.types.PropertyGroup.__subclasses__():
        if kind.__name__.startswith("SGR_") and kind.is_registered:
            yield kind
    yield preferences_panel.SGR_Preferences


def shown_properties() -> Iterator[tuple[str, Any]]:
    """All properties of the extension and of its operators that an artist can meet, by their full names."""
    owners = [*groups(), *(cls for cls in blender._CLASSES if issubclass(cls, bpy.types.Operator))]
    for owner in owners:
        for rna in owner.bl_rna.properties:
            own = rna.identifier in getattr(owner, "__annotations__", {}) or any(
                rna.identifier in getattr(base, "__annotations__", {}) for base in owner.__mro__
            )
            if own and rna.identifier not in INTERNAL and not rna.is_hidden:
                yield f"{owner.__name__}.{rna.identifier}", rna


def test_empty_panel_says_the_next_step_until_none_is_left(
    scene: bpy.types.Scene, beat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Choose a sound file" in next_step(scene)
    settings_of(scene).song = str(beat)
    assert "Set Up Scene" in next_step(scene)
    bpy.ops.stylegan_reactive.set_up()
    assert "Bake" in next_step(scene)
    bpy.ops.stylegan_reactive.bake()
    assert "Render Film" in next_step(scene)
    monkeypatch.setenv("STYLEGAN_REACTIVE_PYTHON", "/nowhere/python")
    assert "preferences" in next_step(scene)


def test_every_property_has_a_tooltip_in_blender_s_style(registered: None) -> None:
    wrong = {}
    for name, rna in shown_properties():
        tip = rna.description
        if not tip and rna.type not in ("POINTER", "COLLECTION") and not name.endswith("_index"):
            wrong[name] = "no tooltip"
        elif tip.endswith("."):
            wrong[name] = f"full stop: {tip}"
        elif tip and not (tip[0].isupper() or tip[0].isdigit()):
            wrong[name] = f"begins small: {tip}"
    assert wrong == {}


def test_every_label_is_in_words(registered: None) -> None:
    labels = {
        name: rna.name
        for name, rna in shown_properties()
        if rna.type not in ("POINTER", "COLLECTION") and not name.endswith("_index")
    }
    wrong = {
        name: label
        for name, label in labels.items()
        if "_" in label or (label and not (label[0].isupper() or label[0].isdigit()))
    }
    assert wrong == {}


def test_every_choice_of_a_menu_explains_itself(registered: None) -> None:
    wrong = []
    for name, rna in shown_properties():
        if rna.type == "ENUM":
            items = rna.enum_items_static
            wrong += [f"{name} {item.identifier}" for item in items if not item.name or "_" in item.name]
            wrong += [f"{name} {item.identifier}: {item.description}" for item in items if item.description[-1:] == "."]
    assert wrong == []


def test_every_button_has_a_label_in_title_case_and_a_tooltip(registered: None) -> None:
    small = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "the", "to", "were"}
    wrong = {}
    for cls in blender._CLASSES:
        if not issubclass(cls, bpy.types.Operator):
            continue
        words = cls.bl_label.split()
        if not all(word[0].isupper() or word in small for word in words) or "_" in cls.bl_label:
            wrong[cls.__name__] = cls.bl_label
        tip = getattr(bpy.ops.stylegan_reactive, cls.bl_idname.partition(".")[2]).get_rna_type().description
        if not tip or tip.endswith("."):
            wrong[cls.__name__] = f"tooltip: {tip!r}"
    assert wrong == {}


def panels() -> set[str]:
    """The panels of the tab, each once."""
    kinds = (cls for cls in blender._CLASSES if issubclass(cls, bpy.types.Panel))
    return {cls.__mro__[2].__name__ for cls in kinds}


def test_every_panel_has_its_page_of_help(registered: None, repository: Path) -> None:
    assert panels() - set(manual.PAGES) == set()
    for page in manual.PAGES.values():
        assert (repository / "docs" / "panels" / f"{page}.md").is_file(), page


def test_online_manual_finds_a_page_for_every_property_and_button(registered: None, repository: Path) -> None:
    import fnmatch

    prefix, patterns = manual.online_manual()
    for group in groups():
        path = f"bpy.types.{group.__name__.lower()}.something"
        page = next(page for pattern, page in patterns if fnmatch.fnmatch(path, pattern))
        assert (repository / "docs" / page).is_file(), f"{prefix}{page}"


def test_every_data_path_of_the_page_about_the_paper_is_there(scene: bpy.types.Scene, repository: Path) -> None:
    text = (repository / "docs" / "paper-to-panel.md").read_text("utf-8")
    paths = set(re.findall(r"`([a-z_]+(?:\[\])?(?:\.[a-z_\[\].]+)?)(?: = \"(\w+)\")?` ?[|,]", text))
    paths = {(path, value) for path, value in paths if not path.startswith("scene.")}
    assert len(paths) > 20
    missing = []
    for path, value in sorted(paths):
        owner, rna = settings_of(scene).bl_rna, None
        for name in path.replace("[]", "").split("."):
            rna = owner.properties.get(name) if owner is not None else None
            owner = getattr(rna, "fixed_type", None)
        if rna is None or (value and value not in {item.identifier for item in rna.enum_items}):
            missing.append(f"{path} {value}")
    assert missing == []
