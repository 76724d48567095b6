# SPDX-License-Identifier: GPL-3.0-or-later
"""The presets that are shipped: each shows an idea of its own, and what the music does in it can be told apart."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.separability import SECTION, opponent, reactions, resting, too_alike, unseen
from stylegan_reactive.audio import DEFAULT_RECIPES
from stylegan_reactive.choreography import (
    Choreographer,
    ChromaLatent,
    DirectionLatent,
    EvolvingNoise,
    GradientNoise,
    LoopLatent,
    StaticLatent,
    load_preset,
    preset_descriptions,
    preset_names,
)
from stylegan_reactive.generator import Generator, builtin_checkpoint, load_generator


@pytest.fixture(scope="module")
def builtin() -> Generator:
    return load_generator(builtin_checkpoint())


def test_each_preset_has_a_title_a_description_and_a_strip_of_pictures(repository: Path) -> None:
    descriptions = preset_descriptions()
    assert set(descriptions) == set(preset_names())
    assert len(descriptions) >= 8
    page = (repository / "docs" / "presets.md").read_text(encoding="utf-8")
    for name, about in descriptions.items():
        assert about["title"] in page
        assert about["description"] in page
        assert (repository / "docs" / "presets" / f"{name}.jpg").is_file()


def test_each_technique_of_the_paper_has_a_preset() -> None:
    patches = [load_preset(name) for name in preset_names()]
    sources = [layer.source for patch in patches for layer in (*patch.latent_layers, *patch.noise_layers)]
    kinds = {type(source) for source in sources}
    assert kinds >= {StaticLatent, LoopLatent, ChromaLatent, DirectionLatent, EvolvingNoise, GradientNoise}
    loops = [source for source in sources if isinstance(source, LoopLatent)]
    assert {loop.method for loop in loops} == {"spline", "gaussian", "geodesic"}
    assert any(
        len({layer.range for layer in patch.latent_layers} & {"coarse", "medium", "fine"}) == 3 for patch in patches
    )
    assert any(
        {layer.mask.invert for layer in patch.noise_layers if layer.mask.shape == "disc"} == {True, False}
        for patch in patches
    )
    assert any("audio_rms" in layer.influence.envelopes for patch in patches for layer in patch.latent_layers)
    assert any(SECTION in name for patch in patches for name in patch.envelopes)
    assert any(patch.bends for patch in patches)
    assert any(patch.rewrites for patch in patches)


def test_a_preset_listens_only_to_envelopes_that_a_new_scene_has() -> None:
    known = {recipe.name for recipe in DEFAULT_RECIPES}
    for name in preset_names():
        assert set(load_preset(name).envelopes) <= known, name


@pytest.mark.parametrize("name", preset_names())
def test_no_two_envelopes_of_a_preset_do_the_same_and_each_can_be_seen(name: str, builtin: Generator) -> None:
    found = reactions(load_preset(name), builtin, moments=2)
    assert too_alike(found) == []
    assert unseen(found) == []


def test_presets_look_clearly_different(builtin: Generator) -> None:
    def look(name: str) -> Any:
        choreographer = Choreographer(load_preset(name), builtin)
        with torch.inference_mode():
            return [
                opponent(choreographer.inputs(resting(choreographer.patch, moment)).paint(builtin))[0].numpy()
                for moment in range(2)
            ]

    looks = {name: look(name) for name in preset_names()}
    for one, other in combinations(looks, 2):
        apart = [np.sqrt(np.mean(np.square(a - b))) for a in looks[one] for b in looks[other]]
        assert np.mean(apart) > 0.08, (one, other)  # half of each picture is the same dark sky
