# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of latent layers beside seeds: files of every kind, places between latents, palettes, directions."""

from __future__ import annotations

import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from stylegan_reactive.choreography import (
    Choreographer,
    ChromaLatent,
    DirectionLatent,
    FileLatent,
    LatentLayer,
    LoopLatent,
    Patch,
    Signal,
    StaticLatent,
)
from stylegan_reactive.errors import PatchError
from stylegan_reactive.generator import save_ws, sefa, toolbox
from stylegan_reactive.generator.directions import seeded_ws


@pytest.fixture(scope="module")
def network(make_small_network: Any) -> Any:
    """A StyleGAN2 of 32 px: 8 layers, w and z of 16 numbers."""
    return make_small_network(3)


def one(source: Any, **layer: Any) -> Patch:
    return Patch(latent_layers=(LatentLayer(source=source, **layer),))


def latents(network: Any, patch: Patch, **values: float) -> torch.Tensor:
    """ws of a frame, [num_ws, w_dim]."""
    return Choreographer(patch, network).inputs(values).ws[0]


def w_of(network: Any, seed: int) -> torch.Tensor:
    return latents(network, one(StaticLatent(latents=(seed,))))


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array.astype(np.float32))
    return str(path)


def rows(*shape: int) -> np.ndarray:
    return np.random.RandomState(5).standard_normal(shape).astype(np.float32)


# Places between latents


def test_a_position_blends_neighbours_and_after_the_last_comes_the_first(network: Any) -> None:
    patch = one(StaticLatent(latents=(1, 2, 3), position=Signal(1.0, "audio_bars")))
    one_, two, three = (w_of(network, seed) for seed in (1, 2, 3))
    for position, expected in (
        (0.0, one_),
        (1.0, two),
        (0.25, 0.75 * one_ + 0.25 * two),
        (2.5, 0.5 * three + 0.5 * one_),
        (-1.0, three),
        (3_000_000.0, one_),
    ):
        found = latents(network, patch, audio_bars=position)
        assert torch.allclose(found, expected, atol=1e-6)
        if position == round(position):
            assert torch.equal(found, expected)


# Files


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
@pytest.mark.parametrize("shape", [(5, 16), (5, 1, 16), (5, 8, 16)])
def test_w_of_every_kind_of_file_is_shown_as_it_is(
    network: Any, tmp_path: Path, ending: str, shape: tuple[int, ...]
) -> None:
    w, path = rows(*shape), tmp_path / f"latents.{ending}"
    if ending == "npy":
        np.save(path, w)
    elif ending == "npz":
        np.savez(path, w=w)
    else:
        save_file({"ws": w}, path)
    found = latents(network, one(StaticLatent(latents=(FileLatent(str(path), 3),))))
    assert torch.equal(found, torch.from_numpy(w[3]).expand(8, 16))


def test_a_projected_picture_is_shown_whole_and_in_a_range(network: Any, tmp_path: Path) -> None:
    ws = seeded_ws(network, 1, 4) + torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(0))
    save_ws(ws, tmp_path / "portrait.safetensors")
    source = StaticLatent(latents=(FileLatent(str(tmp_path / "portrait.safetensors")),))
    assert torch.equal(latents(network, one(source)), ws[0])
    fine = latents(network, one(source, range=(5, 6)))
    assert torch.equal(fine[5:7], ws[0, 5:7])
    assert torch.equal(fine[:5], network.w_avg.expand(5, -1))


def test_z_of_a_file_goes_through_the_mapping(network: Any, tmp_path: Path) -> None:
    z = rows(2, 16)
    source = StaticLatent(latents=(FileLatent(saved(tmp_path / "z.npy", z), 1, "z"),))
    assert torch.equal(latents(network, one(source))[0], network.mapping(torch.from_numpy(z[1:]))[0, 0])


def test_a_seed_s_own_z_in_a_file_gives_the_seed_s_picture(network: Any, tmp_path: Path) -> None:
    z = np.random.RandomState(7).randn(1, network.z_dim)
    source = StaticLatent(latents=(FileLatent(saved(tmp_path / "z.npy", z), 0, "z"),))
    assert torch.equal(latents(network, one(source)), w_of(network, 7))


def test_all_rows_of_a_file_stand_among_the_seeds_in_their_order(network: Any, tmp_path: Path) -> None:
    w = rows(3, 16)
    list_of = (1, FileLatent(saved(tmp_path / "w.npy", w)), 2)
    choreographer = Choreographer(one(StaticLatent(latents=list_of, position=Signal(1.0, "at"))), network)
    shown = [choreographer.inputs({"at": float(i)}).ws[0, 0] for i in range(5)]
    expected = [w_of(network, 1)[0], *torch.from_numpy(w), w_of(network, 2)[0]]
    assert all(torch.equal(*pair) for pair in zip(shown, expected, strict=True))


@pytest.mark.parametrize(("layers", "said"), [(14, "the finest are left out"), (6, "used for the rest")])
def test_w_of_a_network_of_another_depth_is_fitted_and_that_is_said(
    network: Any, tmp_path: Path, layers: int, said: str
) -> None:
    w = rows(2, layers, 16)
    source = StaticLatent(latents=(FileLatent(saved(tmp_path / "other.npy", w), 0),))
    choreographer = Choreographer(Patch(latent_layers=(LatentLayer(name="Portrait", source=source),)), network)
    expected = w[0, [min(i, layers - 1) for i in range(8)]]
    assert torch.equal(choreographer.inputs({}).ws[0], torch.from_numpy(expected))
    (note,) = choreographer.notes
    assert "Portrait" in note
    assert f"{layers} layers" in note
    assert said in note


def test_nothing_is_noted_where_everything_fits(network: Any, tmp_path: Path) -> None:
    fitting = (
        FileLatent(saved(tmp_path / "w.npy", rows(2, 8, 16))),
        FileLatent(saved(tmp_path / "v.npy", rows(3, 16))),
    )
    for source in (StaticLatent(latents=fitting), LoopLatent(latents=fitting), ChromaLatent(latents=fitting)):
        assert Choreographer(one(source), network).notes == ()


@pytest.mark.parametrize("source", [StaticLatent, LoopLatent, ChromaLatent])
def test_a_bad_file_is_named_before_the_first_frame(network: Any, tmp_path: Path, source: Any) -> None:
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00\x10")
    np.save(tmp_path / "pickled.npy", np.array([print], dtype=object), allow_pickle=True)
    saved(tmp_path / "narrow.npy", rows(2, 8))
    saved(tmp_path / "nan.npy", np.full((2, 16), np.nan))
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "missing.npz"):
        for space in ("w", "z"):
            patch = one(source(latents=(FileLatent(str(path), None, space),)))
            with pytest.raises(PatchError, match=rf"latent_layers\.0\.source\.latents\.0\.file: .*{path.name}"):
                Choreographer(patch, network)
            off = Patch(latent_layers=(LatentLayer(source=patch.latent_layers[0].source, enabled=False),))
            Choreographer(off, network)


def test_a_row_that_a_file_does_not_have_is_refused_with_how_many_it_has(network: Any, tmp_path: Path) -> None:
    file = saved(tmp_path / "w.npy", rows(3, 16))
    with pytest.raises(PatchError, match=r"latents\.1\.index: found latent 3, but .*w\.npy has 3, numbered 0 to 2"):
        Choreographer(one(StaticLatent(latents=(1, FileLatent(file, 3)))), network)


def test_more_latents_than_a_layer_takes_are_refused(network: Any, tmp_path: Path) -> None:
    file = saved(tmp_path / "w.npy", rows(300, 16))
    patch = one(LoopLatent(latents=(1, FileLatent(file))))
    with pytest.raises(PatchError, match="found 301 latents"):
        Choreographer(patch, network)
    waiting = Choreographer(one(patch.latent_layers[0].source, enabled=False), network)
    with pytest.raises(PatchError, match="found 300 latents"):
        waiting.inputs({"audio_bars": 0.0, "latent_layers.0.enabled": 1.0})


def test_files_of_latents_take_bounded_memory(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "MOST_BYTES", 1000)
    tools = toolbox.Toolbox(network)
    read = [
        weakref.ref(tools.latents(saved(tmp_path / f"{number}.npy", rows(9, 16)), "w")) for number in range(5)
    ]  # 576 bytes each
    assert [tensor() is None for tensor in read] == [True] * 4 + [False]


# Palettes


def test_a_palette_of_fewer_latents_than_bins_begins_again(network: Any) -> None:
    bins = tuple(f"audio_bin_{i}" for i in range(5))
    patch = one(ChromaLatent(latents=(1, 2), envelopes=bins))
    for sounding, seed in enumerate((1, 2, 1, 2, 1)):
        values = {name: float(index == sounding) for index, name in enumerate(bins)}
        assert torch.allclose(latents(network, patch, **values), w_of(network, seed), atol=1e-2)
    together = dict(zip(bins, (1.0, 0.0, 1.0, 0.0, 1.0), strict=True))  # three bins of the same latent
    assert torch.allclose(latents(network, patch, **together), w_of(network, 1), atol=1e-2)


def test_a_palette_of_more_latents_than_bins_leaves_the_rest_and_says_so(network: Any) -> None:
    patch = one(ChromaLatent(latents=(1, 2, 3, 4, 5), envelopes=("low", "high")))
    choreographer = Choreographer(patch, network)
    (note,) = choreographer.notes
    assert "the last 3 are not used" in note
    silent = choreographer.inputs({"low": 0.0, "high": 0.0}).ws[0]
    assert torch.allclose(silent, (w_of(network, 1) + w_of(network, 2)) / 2, atol=1e-6)


def test_a_palette_of_one_bin_shows_its_latent_whatever_sounds(network: Any) -> None:
    patch = one(ChromaLatent(latents=(4,), envelopes=("all",)))
    for level in (0.0, 1e-9, 0.3, 50.0, -1.0):
        assert torch.allclose(latents(network, patch, all=level), w_of(network, 4), atol=1e-6)


# Directions


def test_a_direction_moves_what_is_below_it_on_its_range_alone(network: Any) -> None:
    base = LatentLayer(source=StaticLatent(latents=(3,)))
    way = LatentLayer(source=DirectionLatent(index=1, amount=Signal(2.0, "audio_rms")), range=(2, 4))
    patch = Patch(latent_layers=(base, way))
    below = w_of(network, 3)
    assert torch.equal(latents(network, patch, audio_rms=0.0), below)
    found = latents(network, patch, audio_rms=0.75)
    directions = sefa(network, 2, 4)
    expected = below[2:5] + 1.5 * directions.spread[1] * directions.vectors[1]
    assert torch.allclose(found[2:5], expected, atol=1e-6)
    assert torch.equal(found[:2], below[:2])
    assert torch.equal(found[5:], below[5:])


def test_the_influence_of_a_direction_is_a_share_of_its_amount(network: Any) -> None:
    halved = one(DirectionLatent(amount=Signal(2.0)), influence=Signal(0.5))
    assert torch.allclose(latents(network, halved), latents(network, one(DirectionLatent())), atol=1e-6)


def test_a_direction_of_a_file_moves_all_layers_alike_or_each_by_its_own_row(network: Any, tmp_path: Path) -> None:
    for name, way in (("same.npy", rows(8, 16)), ("each.npy", rows(2, 8, 16))):
        source = DirectionLatent(method="file", file=saved(tmp_path / name, way), index=1, amount=Signal(-0.5))
        choreographer = Choreographer(one(source), network)
        expected = network.w_avg - 0.5 * torch.from_numpy(way[1]).expand(8, 16)
        assert torch.allclose(choreographer.inputs({}).ws[0], expected, atol=1e-6)
        assert choreographer.notes == ()


def test_a_direction_of_a_network_of_another_depth_is_fitted_and_that_is_said(network: Any, tmp_path: Path) -> None:
    way = rows(1, 18, 16)
    source = DirectionLatent(method="file", file=saved(tmp_path / "deep.npy", way))
    choreographer = Choreographer(one(source), network)
    assert torch.allclose(choreographer.inputs({}).ws[0], network.w_avg + torch.from_numpy(way[0, :8]), atol=1e-6)
    assert "18 layers" in choreographer.notes[0]


def test_a_direction_that_does_not_exist_is_refused_with_how_many_there_are(network: Any, tmp_path: Path) -> None:
    file = saved(tmp_path / "ways.npy", rows(3, 16))
    for source, said in (
        (DirectionLatent(index=16), "this network has 16, numbered 0 to 15"),
        (DirectionLatent(method="file", file=file, index=3), r"ways\.npy has 3, numbered 0 to 2"),
        (DirectionLatent(method="file"), r"source\.file: found no file"),
    ):
        with pytest.raises(PatchError, match=said):
            Choreographer(one(source), network)
    with pytest.raises(PatchError, match=r"latent_layers\.0\.source\.file: .*narrow\.npy"):
        Choreographer(one(DirectionLatent(method="file", file=saved(tmp_path / "narrow.npy", rows(3, 8)))), network)


# Truncation


def test_a_keyed_cutoff_truncates_the_next_layer_in_part(network: Any) -> None:
    patch = one(StaticLatent(latents=(3,)))
    whole = w_of(network, 3)
    average = network.w_avg
    found = latents(network, patch, **{"truncation.amount": 0.5, "truncation_cutoff.amount": 2.25})
    assert torch.allclose(found[:2], average + 0.5 * (whole[:2] - average), atol=1e-6)
    assert torch.allclose(found[2], average + 0.875 * (whole[2] - average), atol=1e-6)
    assert torch.equal(found[3:], whole[3:])
    path = [
        latents(network, patch, **{"truncation.amount": -0.5, "truncation_cutoff.amount": float(cutoff)})
        for cutoff in np.arange(0, 8.01, 0.125)
    ]
    moves = torch.stack([(after - before).norm() for before, after in pairwise(path)])
    assert moves.max() < 1.001 * 1.5 * 0.125 * (whole - average).norm(dim=1).max()
    assert moves.min() > 0
