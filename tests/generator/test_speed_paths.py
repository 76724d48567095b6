# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick ways to a picture give the same picture as the plain one, whatever is asked for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, plan
from stylegan_reactive.generator.canvas import Canvas
from stylegan_reactive.generator.convolution import Modulation
from stylegan_reactive.generator.execution import captured, layer_shapes, prepare, tune
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.plan import LayerShape, Plan, PreparedWeights, packed_weights_work, ready
from stylegan_reactive.generator.workspace import Workspace, keep_freed_memory

CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16)), resolution=64, channels=(128, 128, 24, 16, 8)
)


@dataclass(frozen=True)
class Doubled:
    """A bend that hands on twice the map."""

    layer: str
    side: str = "output"

    def __call__(self, x: Tensor) -> Tensor:
        return 2 * x + x.mean(dim=2, keepdim=True)

    def sample(self, index: int) -> Doubled:
        return self


@dataclass(frozen=True)
class Halved:
    """A rewrite of a layer's weights."""

    layer: str
    differs: bool = False
    idle: bool = False

    def __call__(self, weight: Tensor) -> Tensor:
        return torch.where(torch.arange(weight.shape[1])[:, None, None] % 2 == 0, weight, 0.5 * weight)

    def sample(self, index: int) -> Halved:
        return self


def made(config: StyleGAN2Config = CONFIG) -> StyleGAN2:
    torch.manual_seed(3)
    generator = StyleGAN2(config)
    for layer in generator.synthesis.layers:
        layer.noise_strength.fill_(0.3)
        layer.bias.normal_()
    return generator


@pytest.fixture
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several strips, the last one shorter, and Winograd's algorithm, even for small maps."""
    monkeypatch.setattr(plan, "STRIP_VALUES", 1)
    monkeypatch.setattr(LayerShape, "strip_rows", 12)
    monkeypatch.setattr(plan, "WINOGRAD_CHANNELS", 16)
    monkeypatch.setattr(plan, "WINOGRAD_PIXELS", 16)


def plain(generator: StyleGAN2, ws: Tensor, **options: Any) -> Tensor:
    """The picture by whole maps, as it is painted when a gradient is asked for."""
    with torch.enable_grad():
        return generator.synthesis(ws.clone().requires_grad_(), **options).detach()


def same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() < 1e-5 * (other.max() - other.min()))


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no noise": {"noise": "none"},
    "noise per sample": {"noise": [None] * 8 + [torch.full((2, 1, 64, 64), 0.7)]},
    "early stop": {"stop": 16},
    "bent output": {"bends": [Doubled("b32.conv1")]},
    "bent input": {"bends": [Doubled("b64.conv1", "input")]},
    "bent first layer": {"bends": [Doubled("b16.conv0"), Doubled("b32.conv0", "input")]},
    "bent colours": {"bends": [Doubled("b16.torgb", "input"), Doubled("b64.torgb")]},
    "bent constant": {"bends": [Doubled("input")]},
    "rewritten": {"rewrites": [Halved("b4.conv1"), Halved("b16.conv0"), Halved("b64.torgb")]},
    "wide": {"canvas": Canvas(112, 64)},
    "odd size": {"canvas": Canvas(75, 49, "b16.conv1", "reflect")},
    "inside a block": {"canvas": Canvas(80, 50, "b32.conv0", "zero")},
}


@pytest.mark.usefixtures("short_strips")
@pytest.mark.parametrize("name", OPTIONS)
def test_strips_give_the_picture_of_whole_maps(name: str) -> None:
    generator = made()
    ws = generator.mapping(torch.randn(2, 8))
    assert same(generator.synthesis(ws, **OPTIONS[name]), plain(generator, ws, **OPTIONS[name]))


@pytest.mark.usefixtures("short_strips")
@pytest.mark.parametrize(
    "changes",
    [
        {"connection": "orig"},
        {"connection": "resnet", "conv_clamp": 1.5},
        {"img_channels": 4, "conv_clamp": 0.5},
        {"resample_taps": (1.0, 2.0, 1.0)},
        {"resample_taps": (1.0, 4.0)},
        {"resample_taps": (1.0, 2.0, 5.0, 3.0, 1.0, 0.5)},
        {"noise": False, "img_channels": 1},
    ],
)
def test_strips_give_the_picture_of_whole_maps_for_every_network(changes: dict[str, Any]) -> None:
    generator = StyleGAN2(replace(CONFIG, **changes))
    ws = generator.mapping(torch.randn(1, 8))
    assert same(generator.synthesis(ws), plain(generator, ws))


@pytest.mark.usefixtures("short_strips")
def test_inner_features_are_those_of_whole_maps() -> None:
    generator = made()
    ws = generator.mapping(torch.randn(2, 8))
    quick = generator.features(ws)
    with torch.enable_grad():
        slow = generator.features(ws.clone().requires_grad_())
    assert quick.keys() == slow.keys() == set(generator.layer_names)
    for layer, feature in slow.items():
        assert same(quick[layer], feature.detach()), layer


def test_a_picture_is_the_same_to_the_last_bit_in_any_batch_and_every_time() -> None:
    generator = made()
    ws = generator.mapping(torch.randn(3, 8))
    together = generator.synthesis(ws)
    for index in (2, 0, 1):
        assert torch.equal(generator.synthesis(ws[index : index + 1])[0], together[index])


@pytest.mark.usefixtures("short_strips")
def test_pictures_can_be_painted_inside_and_outside_of_inference_mode_by_turns() -> None:
    generator = made()
    ws = torch.randn(1, generator.num_ws, generator.w_dim)
    with torch.inference_mode():
        first = generator.synthesis(ws)
    with torch.no_grad():
        second = generator.synthesis(ws)
    with torch.inference_mode():
        third = generator.synthesis(ws)
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_what_a_bend_kept_is_not_painted_over() -> None:
    generator = made()
    kept: list[Tensor] = []

    class Looking(Doubled):
        def __call__(self, x: Tensor) -> Tensor:
            kept.append(x)
            return x

    ws = generator.mapping(torch.randn(2, 8))
    generator.synthesis(ws[:1], bends=[Looking("b32.conv1"), Looking("b64.conv0")])
    before = [feature.clone() for feature in kept]
    generator.synthesis(ws[1:])
    assert len(before) == 2
    assert all(torch.equal(old, now) for old, now in zip(before, kept, strict=False))


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("same", "direct"), ("same", "packed"), ("same", "winograd"), ("up", "direct"), ("up", "packed")],
)
@pytest.mark.parametrize(("channels_in", "channels_out"), [(16, 48), (3, 5)])
def test_every_algorithm_computes_the_same_convolution(
    kind: str, algorithm: str, channels_in: int, channels_out: int
) -> None:
    shape = LayerShape(kind, channels_in, channels_out, 8, 12)
    if algorithm not in shape.candidates:
        pytest.skip(f"{algorithm} cannot compute a {shape} here")
    torch.manual_seed(0)
    border = 2 if kind == "same" else 0
    x = torch.randn(8 + border, 12 + border, channels_in)
    weight = torch.randn(channels_out, channels_in, 3, 3)
    modulation = Modulation(torch.randn(channels_in), torch.rand(channels_out), torch.randn(channels_out))
    layer = ready(algorithm, "any", weight, shape, modulation, PreparedWeights(), Workspace())
    given = layer.run(x if layer.scale is None else x * layer.scale)
    scaled = (x * modulation.styles).permute(2, 0, 1)[None].double()
    if kind == "same":
        true = torch.nn.functional.conv2d(scaled, weight.double())[0].permute(1, 2, 0)
        true = true * modulation.factor + modulation.offset
    else:
        true = torch.nn.functional.conv_transpose2d(scaled, weight.double().transpose(0, 1), stride=2)
        true = true[0].permute(1, 2, 0)
    assert (given - true).abs().max() < 1e-5 * true.abs().max()


def test_winograd_needs_no_private_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = made()
    ws = generator.mapping(torch.randn(1, 8))
    monkeypatch.setattr(plan, "WINOGRAD_PIXELS", 16)
    monkeypatch.setattr(plan, "packed_weights_work", lambda: False)
    assert same(generator.synthesis(ws), plain(generator, ws))


def written_in_place(generator: StyleGAN2) -> None:
    generator.get_parameter("synthesis.b8.conv1.weight")[:, 3] = 0


def written_behind_the_back(generator: StyleGAN2) -> None:
    generator.get_parameter("synthesis.b8.conv1.weight").data.mul_(torch.rand(128, 1, 1, 1))
    generator.get_parameter("synthesis.b16.conv0.weight").data.copy_(torch.randn(24, 128, 3, 3))


def loaded(generator: StyleGAN2) -> None:
    torch.manual_seed(7)
    generator.load_state_dict(StyleGAN2(CONFIG).state_dict())


def assigned(generator: StyleGAN2) -> None:
    torch.manual_seed(7)
    generator.load_state_dict(StyleGAN2(CONFIG).state_dict(), assign=True)


def rounded(generator: StyleGAN2) -> None:
    generator.to(torch.float16).to(torch.float32)


@pytest.mark.usefixtures("short_strips")
@pytest.mark.parametrize("change", [written_in_place, written_behind_the_back, loaded, assigned, rounded])
def test_new_weights_are_used_at_once(change: Callable[[StyleGAN2], None]) -> None:
    generator = made()
    ws = generator.mapping(torch.randn(1, 8))
    before = generator.synthesis(ws)
    change(generator)
    after = generator.synthesis(ws)
    assert not torch.equal(before, after)
    assert same(after, plain(generator, ws))


def test_what_is_prepared_is_neither_saved_nor_copied() -> None:
    generator = made()
    names = set(generator.state_dict())
    ws = generator.mapping(torch.randn(1, 8))
    picture = generator.synthesis(ws)
    assert set(generator.state_dict()) == names
    twin = copy.deepcopy(generator)
    twin.get_parameter("synthesis.b8.conv1.weight").zero_()
    assert not same(twin.synthesis(ws), picture)
    assert torch.equal(generator.synthesis(ws), picture)


def test_a_gradient_reaches_w() -> None:
    generator = made()
    ws = generator.mapping(torch.randn(1, 8)).requires_grad_()
    with torch.enable_grad():
        generator.synthesis(ws).square().mean().backward()
    assert ws.grad is not None
    assert bool((ws.grad.abs().amax(dim=(0, 2)) > 0).all())


def test_a_measured_plan_is_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = made()
    shape = str(layer_shapes(generator)[-1])
    monkeypatch.setattr("stylegan_reactive.generator.execution.tune", lambda generator: Plan({shape: "winograd"}))
    assert prepare(generator, plan_cache=tmp_path / "plans").algorithms[shape] == "winograd"
    monkeypatch.setattr("stylegan_reactive.generator.execution.tune", lambda generator: pytest.fail("measured again"))
    other = made()
    assert prepare(other, plan_cache=tmp_path / "plans").algorithms[shape] == "winograd"
    ws = other.mapping(torch.randn(1, 8))
    assert same(other.synthesis(ws), plain(other, ws))


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', json.dumps({"same 8>8 64x64": "magic"})])
def test_a_damaged_plan_does_no_harm(text: str, tmp_path: Path) -> None:
    generator = made()
    prepare(generator, plan_cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    prepare(generator, plan_cache=tmp_path)
    ws = generator.mapping(torch.randn(1, 8))
    assert same(generator.synthesis(ws), plain(generator, ws))


def test_tuning_chooses_among_what_is_possible() -> None:
    generator = made()
    shapes = {str(shape): shape for shape in layer_shapes(generator)}
    for name, algorithm in tune(generator).choices.items():
        assert algorithm in shapes[name].candidates
        assert algorithm != shapes[name].default


def test_without_cuda_a_captured_generator_paints_as_usual() -> None:
    generator = made()
    if generator.device.type != "cpu":
        pytest.skip("a graph could be captured here")
    ws = generator.mapping(torch.randn(1, 8))
    assert torch.equal(captured(generator)(ws, "const"), generator.synthesis(ws))


def test_memory_can_be_kept_without_harm() -> None:
    assert keep_freed_memory() in (True, False)
    assert torch.ones(1000, 1000).sum() == 1e6


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # torch's own, whenever the library is switched
def test_packed_weights_are_left_alone_when_the_library_is_off() -> None:
    with torch.backends.mkldnn.flags(enabled=False):  # type: ignore[attr-defined]
        assert not packed_weights_work()
        generator = made()
        ws = generator.mapping(torch.randn(1, 8))
        assert same(generator.synthesis(ws), plain(generator, ws))
