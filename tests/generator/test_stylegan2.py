# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 against pictures that another implementation made from known weights, and its manners."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator
from stylegan_reactive.generator.mapping import MappingConfig

SHARED = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
REFERENCE = SHARED / "reference" / "networks" / "ros_r64_small_converted.npz"
SMALL = StyleGAN2Config(
    mapping=MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16)), resolution=32, channels=(16, 16, 12, 8)
)


@pytest.fixture(scope="module")
def known() -> tuple[StyleGAN2, dict[str, Tensor]]:
    if not REFERENCE.is_file():
        pytest.skip(f"no reference networks: {REFERENCE} is missing (SGR_SHARED names their folder)")
    generator = load_generator(REFERENCE.with_suffix(".pt"))
    assert isinstance(generator, StyleGAN2)
    with np.load(REFERENCE) as arrays:
        return generator, {name: torch.from_numpy(arrays[name]) for name in arrays}


def test_mapping_gives_the_known_ws(known: tuple[StyleGAN2, dict[str, Tensor]]) -> None:
    generator, truth = known
    ws = generator.mapping(truth["z"])
    assert ws.shape == (2, generator.num_ws, 64)
    for layer in range(generator.num_ws):
        assert torch.allclose(ws[:, layer], truth["w"], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "psi", "noise"), [("img_const", 1, "const"), ("img_const_psi0.7", 0.7, "const"), ("img_none", 1, "none")]
)
def test_pictures_are_the_known_ones(
    known: tuple[StyleGAN2, dict[str, Tensor]], name: str, psi: float, noise: str
) -> None:
    generator, truth = known
    picture = generator.synthesis(generator.mapping(truth["z"], truncation_psi=psi), noise)
    assert (picture - truth[name]).abs().max() < 1e-4


def test_every_layer_reads_its_own_w(known: tuple[StyleGAN2, dict[str, Tensor]]) -> None:
    generator, truth = known
    assert (generator.synthesis(truth["ws_mix"]) - truth["img_mix_const"]).abs().max() < 1e-4


@pytest.fixture(scope="module")
def small() -> StyleGAN2:
    torch.manual_seed(0)
    generator = StyleGAN2(SMALL)
    for layer in generator.synthesis.layers:
        layer.noise_strength.fill_(0.3)
    return generator


def test_a_picture_does_not_depend_on_its_batch(small: StyleGAN2) -> None:
    ws = small.mapping(torch.randn(3, 8))
    together = small.synthesis(ws)
    assert together.shape == (3, 3, 32, 32)
    assert together.dtype == torch.float32
    for index in range(3):
        assert torch.allclose(together[index], small.synthesis(ws[index : index + 1])[0], atol=1e-5)


def test_truncation_with_a_cutoff_leaves_the_later_layers(small: StyleGAN2) -> None:
    z = torch.randn(2, 8)
    full, cut = small.mapping(z), small.mapping(z, truncation_psi=0.25, truncation_cutoff=3)
    assert torch.allclose(cut[:, :3], small.w_avg + 0.25 * (full[:, :3] - small.w_avg), atol=1e-6)
    assert torch.equal(cut[:, 3:], full[:, 3:])


def test_each_sample_of_a_batch_can_have_its_own_truncation(small: StyleGAN2) -> None:
    z, amounts = torch.randn(3, 8), (1.0, 0.3, -0.5)
    together = small.mapping(z, truncation_psi=torch.tensor(amounts), truncation_cutoff=4)
    for index, amount in enumerate(amounts):
        alone = small.mapping(z[index : index + 1], truncation_psi=amount, truncation_cutoff=4)
        assert torch.allclose(together[index], alone[0], atol=1e-6)
    assert torch.equal(small.mapping(z, truncation_psi=torch.tensor(0.3)), small.mapping(z, truncation_psi=0.3))


@pytest.mark.parametrize("psi", [math.nan, math.inf, torch.tensor([0.5, math.nan]), torch.ones(3), torch.ones(2, 1)])
def test_impossible_truncation_is_refused(small: StyleGAN2, psi: float | Tensor) -> None:
    with pytest.raises(ValueError, match="truncation_psi"):
        small.mapping(torch.randn(2, 8), truncation_psi=psi)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_ws_of_any_precision_are_painted_in_single(small: StyleGAN2, dtype: torch.dtype) -> None:
    ws = small.mapping(torch.randn(2, 8)).to(dtype)
    assert torch.equal(small.synthesis(ws), small.synthesis(ws.float()))
    layer = small.layer_names[3]
    features = small.features(ws, names=[layer])[layer]
    assert torch.equal(features, small.features(ws.float(), names=[layer])[layer])


def test_noise_can_be_given_for_single_inputs(small: StyleGAN2) -> None:
    ws = small.mapping(torch.randn(2, 8))
    own: list[Tensor | None] = [None] * len(small.noise_shapes)
    assert torch.equal(small.synthesis(ws, own), small.synthesis(ws))
    zeros = [torch.zeros(1, 1, *shape) for shape in small.noise_shapes]
    assert torch.allclose(small.synthesis(ws, zeros), small.synthesis(ws, "none"), atol=1e-6)
    one_for_each = [*own[:-1], torch.randn(2, 1, 32, 32)]
    changed = (small.synthesis(ws, one_for_each) - small.synthesis(ws)).abs().amax(dim=(1, 2, 3))
    assert bool((changed > 1e-3).all())


@pytest.mark.parametrize("noise", ["loud", [None], [torch.zeros(1, 1, 5, 5)] * 7])
def test_impossible_noise_is_refused(small: StyleGAN2, noise: object) -> None:
    with pytest.raises(ValueError, match="noise"):
        small.synthesis(small.mapping(torch.randn(1, 8)), noise)  # type: ignore[arg-type]


def test_a_generator_with_classes_asks_for_one() -> None:
    config = StyleGAN2Config(
        mapping=MappingConfig(z_dim=8, c_dim=3, w_dim=16, widths=(16, 16), embed_dim=16), resolution=8, channels=(8, 8)
    )
    generator = StyleGAN2(config)
    z = torch.randn(1, 8)
    first, second = (generator.mapping(z, torch.eye(3)[index : index + 1]) for index in (0, 1))
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="classes"):
        generator.mapping(z)
