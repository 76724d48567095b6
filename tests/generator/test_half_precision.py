# SPDX-License-Identifier: GPL-3.0-or-later
"""Half precision: close to single precision, and never NaN, however large the weights are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, builtin_checkpoint, load_generator
from stylegan_reactive.generator.execution import prepare
from stylegan_reactive.generator.mapping import MappingConfig

CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16)), resolution=32, channels=(32, 32, 16, 16)
)
HALVES = ("float16", "bfloat16")


def made(config: StyleGAN2Config = CONFIG, seed: int = 0) -> StyleGAN2:
    torch.manual_seed(seed)
    generator = StyleGAN2(config)
    for layer in generator.synthesis.layers:
        if config.noise:
            layer.noise_strength.fill_(0.1)
    for block in generator.synthesis.blocks:  # so that the picture is of about -1 to 1
        if hasattr(block, "torgb"):
            block.torgb.weight.mul_(0.2)
    return generator


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("connection", ["skip", "orig", "resnet"])
def test_the_picture_is_close_to_that_of_single_precision(precision: str, connection: str) -> None:
    generator = made(replace(CONFIG, connection=connection))
    ws = generator.mapping(torch.randn(2, 8))
    exact = generator.synthesis(ws)
    chosen = prepare(generator, precision=precision)
    assert chosen.precision == precision
    assert chosen.half_from is not None
    picture = generator.synthesis(ws)
    assert picture.dtype == torch.float32
    assert not torch.equal(picture, exact)
    assert (picture - exact).abs().mean() < 1 / 255
    prepare(generator, precision="float32")
    assert torch.equal(generator.synthesis(ws), exact)


def test_the_builtin_network_is_close_to_single_precision() -> None:
    generator = load_generator(builtin_checkpoint())
    ws = generator.mapping(torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    exact = generator.synthesis(ws)
    prepare(generator, precision="float16")
    assert (generator.synthesis(ws) - exact).abs().mean() < 1 / 255


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("clamp", [None, 256.0])
@pytest.mark.parametrize("large", ["weight", "affine.weight", "bias", "const", "noise_strength", "everything"])
def test_large_values_never_become_nan(precision: str, clamp: float | None, large: str) -> None:
    generator = made(replace(CONFIG, conv_clamp=clamp))
    for name, tensor in generator.synthesis.named_parameters():
        if name.endswith(large) or large == "everything":
            tensor.mul_(1e3)
    ws = generator.mapping(torch.randn(2, 8))
    exact = generator.synthesis(ws)
    generator.synthesis.half_dtype = getattr(torch, precision)  # whether it is exact enough or not
    picture = generator.synthesis(ws)
    assert bool(picture.isfinite().all())
    spread = exact.max() - exact.min()
    if large != "everything":  # there the range of float16 is left for good
        assert (picture - exact).abs().mean() < spread / 255


def test_bends_rewrites_and_gradients_work_in_half_precision() -> None:
    generator = made()
    prepare(generator, precision="float16")
    ws = generator.mapping(torch.randn(1, 8)).requires_grad_()
    with torch.enable_grad():
        generator.synthesis(ws).square().mean().backward()
    assert ws.grad is not None
    assert bool(ws.grad.isfinite().all())
    features = generator.features(ws.detach())
    assert all(feature.dtype == torch.float32 and bool(feature.isfinite().all()) for feature in features.values())


def test_new_weights_are_used_at_once_in_half_precision() -> None:
    generator = made()
    prepare(generator, precision="float16")
    ws = generator.mapping(torch.randn(1, 8))
    before = generator.synthesis(ws)
    generator.get_parameter("synthesis.b32.conv1.weight").copy_(torch.randn(16, 16, 3, 3))
    assert (generator.synthesis(ws) - before).abs().mean() > 0.01


@pytest.mark.parametrize("precision", ["double", "half", ""])
def test_an_unknown_precision_is_refused(precision: str) -> None:
    with pytest.raises(ValueError, match="precision"):
        prepare(made(), precision=precision)


def test_a_cpu_stays_in_single_precision_by_itself() -> None:
    assert prepare(made()).precision == "float32"
