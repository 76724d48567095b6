# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents of a frame: seeds, loops, chroma and how layers are stacked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.choreography import (
    Choreographer,
    ChromaLatent,
    LatentLayer,
    LoopLatent,
    Patch,
    Signal,
    StaticLatent,
)
from stylegan_reactive.choreography.latent_bank import seeded_z
from stylegan_reactive.choreography.sources import PITCH_CLASSES
from stylegan_reactive.errors import PatchError

TWELVE = tuple(range(100, 112))


def latents(network: Any, patch: Patch, **values: float) -> torch.Tensor:
    """ws of a frame, [num_ws, w_dim]."""
    return Choreographer(patch, network).inputs(values).ws[0]


def one(source: Any, **layer: Any) -> Patch:
    return Patch(latent_layers=(LatentLayer(source=source, **layer),))


def w_of(network: Any, seed: int) -> torch.Tensor:
    return network.mapping(seeded_z(seed, network.z_dim))[0, 0]


def chroma(**levels: float) -> dict[str, float]:
    names = {name.replace("#", "s"): f"audio_chroma_{name}" for name in PITCH_CLASSES}
    return {envelope: levels.get(name, 0.0) for name, envelope in names.items()}


def test_a_seed_shows_the_picture_that_the_published_scripts_give_it() -> None:
    # np.random.RandomState(7).randn, whose stream NumPy has frozen; printed by NumPy itself.
    expected = [1.690525703800356, -0.4659373705408328, 0.03282016299608748, 0.40751628299650783]
    assert seeded_z(7, 512)[0, :4].tolist() == pytest.approx(expected, abs=1e-7)


def test_without_layers_the_picture_is_the_average(network: Any) -> None:
    assert torch.equal(latents(network, Patch()), network.w_avg.expand(network.num_ws, -1))


def test_a_static_latent_is_the_network_s_latent_of_that_seed(network: Any) -> None:
    assert torch.equal(latents(network, one(StaticLatent(latents=(7,))))[3], w_of(network, 7))


def test_a_single_note_shows_its_latent(network: Any) -> None:
    here = latents(network, one(ChromaLatent(latents=TWELVE)), **chroma(D=1.0))[0]
    assert torch.allclose(here, w_of(network, TWELVE[2]), atol=5e-3)


def test_loudness_of_a_chord_does_not_change_its_colours(network: Any) -> None:
    patch = one(ChromaLatent(latents=TWELVE))
    soft, loud = (latents(network, patch, **chroma(C=x, E=x, G=x))[0] for x in (0.3, 1.0))
    assert torch.allclose(soft, loud, atol=1e-2)


def test_a_chord_shows_the_mean_of_its_notes_as_vividly_as_a_note(network: Any) -> None:
    palette = torch.stack([w_of(network, seed) for seed in TWELVE])
    average = palette.mean(dim=0)
    chord = latents(network, one(ChromaLatent(latents=TWELVE)), **chroma(C=1.0, E=1.0, G=1.0))[0] - average
    of_notes = palette[[0, 4, 7]].mean(dim=0) - average
    assert torch.cosine_similarity(chord, of_notes, dim=0) > 0.999
    assert float(chord.norm()) == pytest.approx(float((palette - average).norm(dim=1).mean()), rel=0.15)


def test_silence_shows_the_average_of_the_palette(network: Any) -> None:
    patch = one(ChromaLatent(latents=TWELVE))
    average = sum(w_of(network, seed) for seed in TWELVE) / 12
    assert torch.allclose(latents(network, patch, **chroma())[0], average, atol=1e-6)
    below = {name: -0.1 for name in chroma()}
    assert torch.allclose(latents(network, patch, **below)[0], average, atol=1e-6)


def test_a_fade_to_silence_never_jumps(network: Any) -> None:
    patch = one(ChromaLatent(latents=TWELVE))
    levels = np.geomspace(1.0, 1e-7, 400)
    path = torch.stack([latents(network, patch, **chroma(C=level, A=level / 2))[0] for level in levels])
    whole = (path[0] - path[-1]).norm()
    assert torch.diff(path, dim=0).norm(dim=1).max() < 0.05 * whole


def test_an_onset_moves_only_the_range_of_its_layer(network: Any) -> None:
    patch = Patch(
        latent_layers=(
            LatentLayer(source=LoopLatent(latents=(1, 2, 3))),
            LatentLayer(source=StaticLatent(latents=(7,)), range="medium", influence=Signal(0.6, "audio_snare")),
        )
    )
    quiet = latents(network, patch, audio_bars=0.4, audio_snare=0.0)
    hit = latents(network, patch, audio_bars=0.4, audio_snare=1.0)
    moved = (quiet != hit).any(dim=1)
    assert moved.tolist() == [3 <= i <= 4 for i in range(10)]  # 16 px, the middle third of a 64 px network
    assert torch.allclose(hit[3], 0.4 * quiet[3] + 0.6 * w_of(network, 7), atol=1e-6)


def test_layers_are_mixed_from_the_bottom_to_the_top(network: Any) -> None:
    bottom = LatentLayer(source=StaticLatent(latents=(1,)))
    top = LatentLayer(source=StaticLatent(latents=(2,)), influence=Signal(0.25))
    expected = 0.75 * w_of(network, 1) + 0.25 * w_of(network, 2)
    assert torch.allclose(latents(network, Patch(latent_layers=(bottom, top)))[0], expected, atol=1e-6)
    covered = latents(network, Patch(latent_layers=(top, bottom)))[0]
    assert torch.equal(covered, w_of(network, 1))


@pytest.mark.parametrize(("level", "expected"), [(-1.0, 0.0), (0.0, 0.0), (0.5, 0.5), (3.0, 1.0)])
def test_influence_stays_between_none_and_all(network: Any, level: float, expected: float) -> None:
    here = latents(network, one(StaticLatent(latents=(1,)), influence=Signal(1.0, "audio_kick")), audio_kick=level)[0]
    assert torch.allclose(here, network.w_avg + expected * (w_of(network, 1) - network.w_avg), atol=1e-6)


def test_gain_and_offset_shape_the_envelope(network: Any) -> None:
    signal = Signal(amount=0.5, envelope="audio_rms", gain=-1.0, offset=1.0)  # a ducking layer: 0.5 * (1 - rms)
    here = latents(network, one(StaticLatent(latents=(1,)), influence=signal), audio_rms=0.2)[0]
    assert torch.allclose(here, network.w_avg + 0.4 * (w_of(network, 1) - network.w_avg), atol=1e-6)


def test_a_layer_that_is_off_is_as_if_it_were_not_there(network: Any) -> None:
    assert torch.equal(latents(network, one(StaticLatent(latents=(1,)), enabled=False)), latents(network, Patch()))


def test_truncation_comes_last_and_stops_at_its_cutoff(network: Any) -> None:
    patch = one(StaticLatent(latents=(1,)))
    whole = latents(network, patch)
    half = latents(network, patch, **{"truncation.amount": 0.5})
    assert torch.allclose(half - network.w_avg, 0.5 * (whole - network.w_avg), atol=1e-6)
    cut = latents(network, patch, **{"truncation.amount": 0.5, "truncation_cutoff.amount": 4})
    assert torch.equal(cut[:4], half[:4])
    assert torch.equal(cut[4:], whole[4:])
    assert torch.allclose(
        latents(network, patch, **{"truncation.amount": 0.0}), network.w_avg.expand(10, -1), atol=1e-6
    )


def test_layers_without_influence_map_no_seed(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped: list[int] = []
    mapping = network.mapping
    monkeypatch.setattr(network, "mapping", lambda *inputs: mapped.append(1) or mapping(*inputs))
    patch = one(LoopLatent(latents=(1, 2, 3)), influence=Signal(1.0, "audio_kick"))
    choreographer = Choreographer(patch, network)
    choreographer.inputs({"audio_kick": 0.0, "audio_bars": 0.0})
    assert not mapped
    for bars in range(20):
        choreographer.inputs({"audio_kick": 1.0, "audio_bars": bars / 7})
    assert len(mapped) == 3


def test_a_missing_envelope_is_named_even_while_its_layer_is_silent(network: Any) -> None:
    patch = one(LoopLatent(latents=(1, 2)), influence=Signal(1.0, "audio_kick"))
    with pytest.raises(PatchError, match="'audio_kick'"):
        latents(network, patch, audio_bars=0.0)
    with pytest.raises(PatchError, match="'audio_bars'"):
        latents(network, patch, audio_kick=0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5"])
def test_an_envelope_that_is_no_finite_number_is_named(network: Any, value: Any) -> None:
    with pytest.raises(PatchError, match="'audio_kick'"):
        latents(network, one(StaticLatent(latents=(1,)), influence=Signal(1.0, "audio_kick")), audio_kick=value)


def test_a_patch_built_wrongly_in_python_is_refused(network: Any) -> None:
    with pytest.raises(PatchError, match=r"latent_layers\.0\.source\.latents"):
        Choreographer(one(ChromaLatent(latents=())), network)
    with pytest.raises(PatchError, match=r"latent_layers\.0\.range.*smaller layer first"):
        Choreographer(one(StaticLatent(latents=(1,)), range=(3, 2)), network)


def test_a_network_with_classes_paints_the_one_asked_for(network: Any) -> None:
    network.c_dim = 10
    layers = (LatentLayer(source=StaticLatent(latents=(3,))),)
    pictures = [Choreographer(Patch(label=label, latent_layers=layers), network).inputs({}).ws for label in (0, 4)]
    assert not torch.allclose(*pictures)
    assert torch.equal(Choreographer(Patch(latent_layers=layers), network).inputs({"label": 4.0}).ws, pictures[1])
    beyond = Choreographer(Patch(label=12, latent_layers=layers), network)
    assert "no class 12, only 0 to 9" in beyond.notes[0]
    assert torch.equal(beyond.inputs({}).ws, Choreographer(Patch(label=9, latent_layers=layers), network).inputs({}).ws)
