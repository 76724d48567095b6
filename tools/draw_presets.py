# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the presets for the documentation: docs/presets.md, and a strip of pictures of the built-in song for each.

The upper row goes through the whole song, the lower one through one bar in steps of an eighth, so that both what
changes slowly and what a drum does can be seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from stylegan_reactive.audio import DEFAULT_RECIPES, Analysis, analyse, bake, features_of  # noqa: E402
from stylegan_reactive.choreography import Choreographer, load_preset, preset_descriptions  # noqa: E402
from stylegan_reactive.generator import Generator, builtin_checkpoint, load_generator  # noqa: E402

SONG = ROOT / "stylegan_reactive" / "assets" / "song.ogg"
FPS = Fraction(30)
COLUMNS, SIDE, GAP = 8, 144, 4  # pictures in a row, their pixels, and pixels between them


def frames_shown(analysis: Analysis) -> tuple[list[int], list[int]]:
    """Frames all through the song, and frames an eighth apart from a downbeat in its fullest part."""
    through = [round((column + 0.5) / COLUMNS * analysis.frames) for column in range(COLUMNS)]
    downbeats = [time for time in analysis.downbeats if time + 3.0 < analysis.duration]
    loud = analysis["rms"]
    first = max(downbeats, key=lambda time: float(loud[round(time * FPS) : round((time + 2.0) * FPS)].mean()))
    eighth = 60.0 / analysis.tempo / 2
    # The frame in which the eighth sounds, as everywhere: its attack is in it.
    return through, [int((first + column * eighth) * FPS) for column in range(COLUMNS)]


def strip(name: str, generator: Generator, curves: dict[str, np.ndarray], rows: Sequence[Sequence[int]]) -> Image.Image:
    """The pictures of a preset, row by row."""
    choreographer = Choreographer(load_preset(name), generator)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP), "white")
    for row, frames in enumerate(rows):
        for column, frame in enumerate(frames):
            inputs = choreographer.inputs({each: float(curve[frame]) for each, curve in curves.items()})
            with torch.inference_mode():
                picture = inputs.paint(generator)
                small = functional.interpolate(picture, (SIDE, SIDE), mode="bilinear", antialias=True)[0]
            pixels = ((small.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
            sheet.paste(Image.fromarray(pixels), (column * (SIDE + GAP), row * (SIDE + GAP)))
    return sheet


def page(names: dict[str, dict[str, str]]) -> str:
    """docs/presets.md."""
    lines = [
        "# The presets",
        "",
        "Each shows one idea, here with the built-in network and the built-in song. Upper row: the whole song.",
        "Lower row: one bar in eighths. Choose one under *Latent Layers › Presets*, then make it yours.",
        "`make docs` draws this page.",
        "",
    ]
    for name, about in names.items():
        lines += [f"## {about['title']}", "", about["description"], "", f"![{about['title']}](presets/{name}.jpg)", ""]
    return "\n".join(lines)


def main() -> None:
    """Draw all presets, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page (default: docs)")
    asked = parser.parse_args()
    recipes = DEFAULT_RECIPES
    analysis = analyse(SONG, FPS, features_of(recipes))
    curves = {recipe.name: bake(analysis, recipe) for recipe in recipes}
    generator = load_generator(builtin_checkpoint())
    descriptions = preset_descriptions()
    folder = asked.out / "presets"
    folder.mkdir(parents=True, exist_ok=True)
    for name in asked.presets or descriptions:
        strip(name, generator, curves, frames_shown(analysis)).save(folder / f"{name}.jpg", quality=88)
        print(f"drew {name}")
    (asked.out / "presets.md").write_text(page(descriptions), encoding="utf-8")


if __name__ == "__main__":
    main()
