# SPDX-License-Identifier: GPL-3.0-or-later
"""The patches that come with the extension: ``presets/*.json`` beside this file, plain data that any room may read.

``presets.json`` says what each shows, in the order of the menu.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import PatchError
from .patch import Patch

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> tuple[str, ...]:
    """Names of the presets, sorted."""
    return tuple(sorted(file.stem for file in PRESETS.glob("*.json")))


def preset_descriptions() -> dict[str, dict[str, str]]:
    """Title and description of each preset, by name, in the order of the menu."""
    return dict(json.loads(PRESETS.with_suffix(".json").read_text(encoding="utf-8")))


def load_preset(name: str) -> Patch:
    """The patch of a preset; raises PatchError if there is none of that name."""
    if name not in preset_names():
        raise PatchError(f"There is no preset {name!r}. Choose one of {', '.join(preset_names())}.")
    return Patch.from_json((PRESETS / f"{name}.json").read_text(encoding="utf-8"))
