# SPDX-License-Identifier: GPL-3.0-or-later
"""Half precision: close to single precision, and never NaN, however large the weights are."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.stylegan3 import random_network
from stylegan_reactive.generator import (
    Bend,
    Canvas,
    Generator,
    Rewrite,
    StyleGAN2,
    StyleGAN2Config,
    builtin_checkpoint,
    load_generator,
    transform_matrix,
)
from stylegan_reactive.generator.execution import prepare
from stylegan_reactive.generator.lucidrains import Lucidrains, LucidrainsConfig
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.rewriting import layer_weight, weighted_layers
from stylegan_reactive.generator.stylegan1 import StyleGAN1, StyleGAN1Config
from stylegan_reactive.generator.stylegan3 import StyleGAN3

SHARED = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
MAPPING = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16))
CONFIG = StyleGAN2Config(mapping=MAPPING, resolution=32, channels=(32, 32, 16, 16))
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


def randomised(generator: Generator, colours: float = 1.0) -> Generator:
    """With noise and biases, which a new network has not, and a picture of about -1 to 1."""
    for name, tensor in generator.synthesis.named_parameters():
        if name.endswith("noise_strength") or (name.endswith("bias") and "affine" not in name):
            tensor.copy_(0.1 * torch.randn(tensor.shape))
        if name.endswith("torgb.weight"):
            tensor.mul_(colours)
    return generator


def stylegan1(*, old: bool = False) -> Generator:
    torch.manual_seed(0)
    config = StyleGAN1Config(MAPPING, 32, (32, 32, 16, 16), bias_before_filter=old, shared_noise=old, every_torgb=old)
    return randomised(StyleGAN1(config), 0.5)


def lucidrains() -> Generator:
    torch.manual_seed(0)
    config = LucidrainsConfig(
        MAPPING, 32, (32, 32, 16, 16), 32, constant=False, attention=(1, 3), attention_width=16, img_channels=4
    )
    return randomised(Lucidrains(config), 0.005)


def stylegan3(*, radial: bool = False, clamp: float | None = 256.0) -> Generator:
    made = random_network(32, radial=radial, base=256, widest=8, w_dim=16)
    generator = StyleGAN3(replace(made.config, conv_clamp=clamp))
    generator.load_state_dict(made.state_dict())
    torch.manual_seed(0)
    return randomised(generator)


OTHERS: dict[str, Callable[[], Generator]] = {
    "StyleGAN 1": stylegan1,
    "StyleGAN 1, as ports of it are": lambda: stylegan1(old=True),
    "lucidrains": lucidrains,
    "StyleGAN 3-T": stylegan3,
    "StyleGAN 3-R": lambda: stylegan3(radial=True),
}
UNCLAMPED = OTHERS | {
    "StyleGAN 3-T": lambda: stylegan3(clamp=None),
    "StyleGAN 3-R": lambda: stylegan3(radial=True, clamp=None),
}


def some_ws(generator: Generator, count: int = 1) -> torch.Tensor:
    return generator.mapping(torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("kind", OTHERS)
def test_every_architecture_is_close_to_its_pictures_in_single_precision(kind: str) -> None:
    generator = OTHERS[kind]()
    ws = some_ws(generator)
    exact = generator.synthesis(ws)
    chosen = prepare(generator, precision="float16")
    assert chosen.precision == "float16"
    assert chosen.half_from is not None
    picture = generator.synthesis(ws)
    assert picture.dtype == torch.float32
    assert not torch.equal(picture, exact)
    assert (picture - exact).abs().mean() < 1 / 255
    prepare(generator, precision="float32")
    assert torch.equal(generator.synthesis(ws), exact)


@pytest.mark.parametrize("name", ["sg1lern_r128.pt", "lucid_r64.pt"])
def test_reference_networks_are_close_to_single_precision(name: str) -> None:
    path = SHARED / "reference" / "networks" / name
    if not path.is_file():
        pytest.skip(f"no reference networks: {path} is missing (SGR_SHARED names their folder)")
    generator = load_generator(path)
    ws = some_ws(generator)
    exact = generator.synthesis(ws)
    generator.synthesis.half_dtype = torch.float16
    assert 0 < (generator.synthesis(ws) - exact).abs().mean() < 1 / 255


@pytest.mark.parametrize("kind", UNCLAMPED)
@pytest.mark.parametrize("large", ["weight", "affine.weight", "bias", "everything"])
def test_large_values_of_no_architecture_become_nan(kind: str, large: str) -> None:
    generator = UNCLAMPED[kind]()
    for name, tensor in generator.synthesis.named_parameters():
        if name.endswith(large) or large == "everything":
            tensor.mul_(1e3)
    ws = some_ws(generator)
    exact = generator.synthesis(ws)
    within_range = all(
        name.endswith("torgb") or name == generator.layer_names[-1] or float(map_.abs().max()) < 65504
        for name, map_ in generator.features(ws).items()
    )
    generator.synthesis.half_dtype = torch.float16  # whether it is exact enough or not
    picture = generator.synthesis(ws)
    assert bool(picture.isfinite().all())
    if within_range:
        assert (picture - exact).abs().mean() < (exact.max() - exact.min()) / 255


@pytest.mark.parametrize("mean", [2e4, 1e6])
def test_sums_in_which_nothing_cancels_never_become_nan(mean: float) -> None:
    generator = stylegan1()
    for name, tensor in generator.synthesis.named_parameters():
        if name.endswith("affine.bias"):
            tensor[len(tensor) // 2 :] = mean
        elif name.endswith("weight"):
            tensor.abs_()
    ws = some_ws(generator)
    exact = generator.synthesis(ws)
    generator.synthesis.half_dtype = torch.float16
    picture = generator.synthesis(ws)
    assert bool(picture.isfinite().all())
    if mean < 65504:
        assert (picture - exact).abs().max() < exact.abs().max() / 255


@pytest.mark.parametrize("kind", OTHERS)
def test_all_that_can_be_asked_of_a_picture_works_in_half_precision(kind: str) -> None:
    generator = OTHERS[kind]()
    ws = some_ws(generator)
    layers = [layer for layer in weighted_layers(generator) if "torgb" not in layer]
    delta = 0.5 * torch.randn(layer_weight(generator, layers[-3]).shape)
    bends = [Bend(layers[-3], "multiply", {"factor": 60.0}), Bend(layers[-4], "rotate", {"angle": 30.0})]
    options: dict[str, Any] = {"bends": bends, "rewrites": [Rewrite(layers[-3], delta, 1.0)]}
    options["canvas"] = Canvas(48, 32, layers[-5] if "StyleGAN 1" not in kind else "b8.conv1")
    if isinstance(generator, StyleGAN3):
        options["transform"] = transform_matrix(rotate=30.0)
    exact = generator.synthesis(ws, **options)
    prepare(generator, precision="float16")
    features = generator.features(ws, **options)
    assert all(map_.dtype == torch.float32 and bool(map_.isfinite().all()) for map_ in features.values())
    picture = generator.synthesis(ws, **options)
    assert picture.shape == exact.shape == (1, generator.img_channels, 32, 48)
    assert 0 < (picture - exact).abs().mean() < (exact.max() - exact.min()) / 255


@pytest.mark.parametrize("kind", OTHERS)
def test_the_strongest_bends_never_become_nan(kind: str) -> None:
    generator = OTHERS[kind]()
    generator.synthesis.half_dtype = torch.float16
    names = generator.layer_names[1:]
    for chosen in (names[:-1], names[-4:-2]):
        bends = [Bend(name, "multiply", {"factor": 100.0}) for name in chosen]
        assert bool(generator.synthesis(some_ws(generator), bends=bends).isfinite().all())


@pytest.mark.parametrize("kind", OTHERS)
def test_gradients_are_as_exact_as_ever(kind: str) -> None:
    generator = OTHERS[kind]()
    ws = some_ws(generator)
    gradients = []
    for dtype in (None, torch.float16):
        generator.synthesis.half_dtype = dtype
        asked = ws.clone().requires_grad_()
        with torch.enable_grad():
            generator.synthesis(asked).square().mean().backward()
        assert asked.grad is not None
        gradients.append(asked.grad)
    assert gradients[0].abs().max() > 0
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-3 * float(gradients[0].std()))


@pytest.mark.parametrize("kind", OTHERS)
def test_new_weights_of_every_architecture_are_used_at_once(kind: str) -> None:
    generator = OTHERS[kind]()
    generator.synthesis.half_dtype = torch.float16
    ws = some_ws(generator)
    before = generator.synthesis(ws)
    weight = layer_weight(generator, weighted_layers(generator)[-3])
    weight.copy_(torch.randn(weight.shape))
    assert (generator.synthesis(ws) - before).abs().mean() > 0.01 * before.std()


@pytest.mark.parametrize("kind", OTHERS)
def test_a_card_is_given_half_precision_by_itself(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = OTHERS[kind]()
    assert prepare(generator).precision == "float32"
    monkeypatch.setattr(Generator, "device", torch.device("cuda"))  # asked for, never computed on
    monkeypatch.setattr("stylegan_reactive.generator.execution.possible_half_levels", lambda generator, dtype: 4)
    assert prepare(generator).precision == "float16"


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
    generator = load_generator(builtin_checkpoint("silk"))
    ws = generator.mapping(torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    exact = generator.synthesis(ws)
    prepare(generator, precision="bfloat16")
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
