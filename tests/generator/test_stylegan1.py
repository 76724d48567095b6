# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 1 out of every kind of file: its pictures, and what an artist can do with them.

The plain forwards here are written from the paper and from what is known of the formats, on the tensors as they lie in
a file, so they share nothing with the generator or with its readers.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator.canvas import MODES, Canvas
from stylegan_reactive.generator.formats import stylegan1
from stylegan_reactive.generator.formats.tensors import Reading
from stylegan_reactive.generator.stylegan1 import StyleGAN1, StyleGAN1Config
from stylegan_reactive.generator.unpickle import PlainObject, read_pickle

FILE = Path("network.pkl")
CHANNELS = {4: 12, 8: 12, 16: 10, 32: 8, 64: 6, 128: 4}
Z, W = 24, 20


def built(reading: Reading) -> StyleGAN1:
    """The generator of a reading, by way of one without memory, as files are read."""
    with torch.device("meta"):
        generator = StyleGAN1(reading.config)
    state = {"mapping.w_avg": torch.zeros(generator.w_dim), **reading.state}
    assert {n: t.shape for n, t in generator.state_dict().items()} == {n: t.shape for n, t in state.items()}
    generator = StyleGAN1(reading.config)
    generator.load_state_dict(state)
    return generator


def opened(data: object) -> StyleGAN1:
    assert stylegan1.recognise(data)
    return built(stylegan1.read(data, FILE))


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a part of the range."""
    return float((found - expected).abs().max() / (expected.max() - expected.min()))


def filtered(x: Tensor) -> Tensor:
    """1, 2, 1 over every channel, in both directions."""
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    return F.conv2d(x, torch.outer(row, row).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def four_shifted(kernel: Tensor) -> Tensor:
    wide = F.pad(kernel, (1, 1, 1, 1))
    return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]


# NVIDIA's own files -------------------------------------------------------------------------------------------------


def official_variables(classes: int = 0, top: int = 128) -> dict[str, dict[str, np.ndarray]]:
    """Variables of the three parts of the averaged network, as TensorFlow has them."""
    drawn = np.random.RandomState(5)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (drawn.standard_normal(shape) * scale).astype(np.float32)

    mapping = {"LabelConcat/weight": normal(classes, Z)} if classes else {}
    width = Z * 2 if classes else Z
    for index, out in enumerate((32, 32, W)):
        mapping[f"Dense{index}/weight"] = normal(width, out, scale=100)
        mapping[f"Dense{index}/bias"] = normal(out, scale=20)
        width = out
    synthesis: dict[str, np.ndarray] = {"lod": np.array(0, np.float32)}
    sizes = [size for size in CHANNELS if size <= top]
    before = 0
    for level, size in enumerate(sizes):
        count = CHANNELS[size]
        for number, part in enumerate(("Conv0_up", "Conv1") if level else ("Const", "Conv")):
            scope = f"{size}x{size}/{part}"
            if part == "Const":
                synthesis[f"{scope}/const"] = normal(1, count, 4, 4)
            else:
                synthesis[f"{scope}/weight"] = normal(3, 3, before if part == "Conv0_up" else count, count)
            synthesis[f"{scope}/bias"] = normal(count, scale=0.3)
            synthesis[f"{scope}/Noise/weight"] = normal(count, scale=0.3)
            synthesis[f"{scope}/StyleMod/weight"] = normal(W, 2 * count)
            synthesis[f"{scope}/StyleMod/bias"] = normal(2 * count, scale=0.3)
            synthesis[f"noise{2 * level + number}"] = normal(1, 1, size, size)
        synthesis[f"ToRGB_lod{len(sizes) - 1 - level}/weight"] = normal(1, 1, count, 3)
        synthesis[f"ToRGB_lod{len(sizes) - 1 - level}/bias"] = normal(3, scale=0.3)
        before = count
    return {"Gs": {"dlatent_avg": normal(W)}, "mapping": mapping, "synthesis": synthesis}


def official_file(variables: dict[str, dict[str, np.ndarray]], **settings: Any) -> tuple[PlainObject, ...]:
    def network(name: str, components: dict[str, PlainObject]) -> PlainObject:
        made = PlainObject("dnnlib.tflib.network", "Network")
        made.state = {"version": 3, "name": name, "static_kwargs": {"resolution": 128, **settings}}
        made.state |= {"components": components, "variables": list(variables.get(name, {}).items())}
        return made

    parts = {name: network(name, {}) for name in ("synthesis", "mapping")}
    return network("G", {}), network("D", {}), network("Gs", parts)


def official_w(variables: dict[str, dict[str, np.ndarray]], z: Tensor, c: Tensor | None = None) -> Tensor:
    named = {name: torch.from_numpy(value) for name, value in variables["mapping"].items()}
    x = z if c is None else torch.cat([z, c @ named["LabelConcat/weight"]], dim=1)
    x = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for index in range(3):
        weight, bias = named[f"Dense{index}/weight"], named[f"Dense{index}/bias"]
        x = F.leaky_relu(x @ weight * (math.sqrt(2 / len(weight)) * 0.01) + bias * 0.01, 0.2)
    return x


def official_picture(
    variables: dict[str, dict[str, np.ndarray]], ws: Tensor, noise: list[Tensor] | None, stop: int = 128
) -> Tensor:
    named = {name: torch.from_numpy(value) for name, value in variables["synthesis"].items()}
    x = torch.empty(0)
    for level, size in enumerate(CHANNELS):
        for number, part in enumerate(("Conv0_up", "Conv1") if level else ("Const", "Conv")):
            scope, index = f"{size}x{size}/{part}", 2 * level + number
            if part == "Const":
                x = named[f"{scope}/const"].repeat(len(ws), 1, 1, 1)
            else:
                weight = named[f"{scope}/weight"].permute(3, 2, 0, 1)
                weight = weight * math.sqrt(2 / (9 * weight.shape[1]))
                if part == "Conv0_up" and size >= 128:
                    x = F.conv_transpose2d(x, four_shifted(weight.transpose(0, 1)), stride=2, padding=1)
                else:
                    if part == "Conv0_up":
                        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
                    x = F.conv2d(x, weight, padding=1)
                if part == "Conv0_up":
                    x = filtered(x)
            if noise is not None:
                x = x + noise[index] * named[f"{scope}/Noise/weight"].view(1, -1, 1, 1)
            x = F.leaky_relu(x + named[f"{scope}/bias"].view(1, -1, 1, 1), 0.2)
            x = F.instance_norm(x, eps=1e-8)
            style = ws[:, index] @ named[f"{scope}/StyleMod/weight"] / math.sqrt(W) + named[f"{scope}/StyleMod/bias"]
            style = style.view(len(ws), 2, -1, 1, 1)
            x = x * (style[:, 0] + 1) + style[:, 1]
        if size == stop:
            weight = named[f"ToRGB_lod{5 - level}/weight"].permute(3, 2, 0, 1)
            return F.conv2d(x, weight / math.sqrt(weight.shape[1]), named[f"ToRGB_lod{5 - level}/bias"])
    raise AssertionError("no such size")


VARIABLES = official_variables()


@pytest.fixture(scope="module")
def official() -> StyleGAN1:
    return opened(official_file(VARIABLES))


@pytest.fixture(scope="module")
def mixed() -> Tensor:
    """A w of its own for each layer of two pictures."""
    return torch.randn(2, 12, W, generator=torch.Generator().manual_seed(3))


def own_noise() -> list[Tensor]:
    return [torch.from_numpy(VARIABLES["synthesis"][f"noise{index}"]) for index in range(12)]


def test_an_official_file_gives_its_ws_and_average(official: StyleGAN1) -> None:
    z = torch.randn(3, Z, generator=torch.Generator().manual_seed(1))
    w = official_w(VARIABLES, z)
    ws = official.mapping(z)
    assert ws.shape == (3, 12, W)
    assert float((ws - w[:, None]).abs().max()) < 1e-5 * float(w.abs().max())
    average = torch.from_numpy(VARIABLES["Gs"]["dlatent_avg"])
    truncated = official.mapping(z, truncation_psi=0.7, truncation_cutoff=8)
    assert torch.allclose(truncated[:, 7], average + 0.7 * (w - average), atol=1e-5)
    assert torch.allclose(truncated[:, 8], w, atol=1e-5)


@pytest.mark.parametrize("noise", ["const", "none", "given"])
def test_an_official_file_gives_its_picture(official: StyleGAN1, mixed: Tensor, noise: str) -> None:
    given = [torch.randn(2, 1, *shape) for shape in official.noise_shapes]
    maps = {"const": own_noise(), "none": None, "given": given}[noise]
    picture = official.synthesis(mixed, given if noise == "given" else noise)
    assert off(picture, official_picture(VARIABLES, mixed, maps)) < 1e-5


@pytest.mark.parametrize("stop", [4, 32, 64])
def test_an_early_stop_gives_the_colours_that_the_network_grew_with(
    official: StyleGAN1, mixed: Tensor, stop: int
) -> None:
    picture = official.synthesis(mixed, stop=stop)
    assert picture.shape == (2, 3, stop, stop)
    assert off(picture, official_picture(VARIABLES, mixed, own_noise(), stop)) < 1e-5


def test_a_network_that_still_grew_when_it_was_saved_gives_the_size_it_had_reached(mixed: Tensor) -> None:
    variables = official_variables()
    variables["synthesis"]["lod"] = np.array(0.75, np.float32)
    generator = opened(official_file(variables))
    assert generator.resolution == (64, 64)
    assert off(generator.synthesis(mixed[:, :10]), official_picture(VARIABLES, mixed, own_noise(), 64)) < 1e-5


def test_classes_of_an_official_file_are_joined_to_z(mixed: Tensor) -> None:
    variables = official_variables(classes=3)
    generator = opened(official_file(variables))
    assert (generator.c_dim, generator.z_dim) == (3, Z)
    z, c = torch.randn(2, Z), torch.eye(3)[:2]
    w = official_w(variables, z, c)
    assert float((generator.mapping(z, c)[:, 0] - w).abs().max()) < 1e-5 * float(w.abs().max())


def test_an_official_file_made_with_unknown_arithmetic_is_refused() -> None:
    with pytest.raises(CheckpointError, match="use_pixel_norm = True"):
        stylegan1.read(official_file(VARIABLES, use_pixel_norm=True), FILE)


@pytest.mark.parametrize(
    "name", ["16x16/Conv1/weight", "128x128/Conv0_up/StyleMod/bias", "noise3", "ToRGB_lod0/weight"]
)
def test_a_missing_tensor_is_named(name: str) -> None:
    variables = official_variables()
    del variables["synthesis"][name]
    with pytest.raises(CheckpointError, match=f"network.pkl.*lacks.*synthesis/{name}"):
        stylegan1.read(official_file(variables), FILE)


def test_a_surplus_or_broken_tensor_is_named() -> None:
    variables = official_variables()
    variables["synthesis"]["16x16/Conv2/weight"] = np.zeros((3, 3, 4, 4), np.float32)
    with pytest.raises(CheckpointError, match="synthesis/16x16/Conv2/weight"):
        stylegan1.read(official_file(variables), FILE)
    variables = official_variables()
    variables["synthesis"]["16x16/Conv1/bias"][3] = np.nan
    with pytest.raises(CheckpointError, match=r"synthesis/16x16/Conv1/bias.*finite"):
        stylegan1.read(official_file(variables), FILE)


# Versions in PyTorch ------------------------------------------------------------------------------------------------


def rosinality_tensors(levels: int, reached: int) -> dict[str, Tensor]:
    """Tensors as rosinality's generator has them; what training has not reached has zeros where it began with them."""
    torch.manual_seed(11)
    named: dict[str, Tensor] = {}
    for index in range(3):
        named[f"style.{2 * index + 1}.linear.weight_orig"] = torch.randn(W, W)
        named[f"style.{2 * index + 1}.linear.bias"] = torch.randn(W) * 0.2
    before = 0
    for level, (size, count) in enumerate(list(CHANNELS.items())[:levels]):
        place = f"generator.progression.{level}"
        known = float(level < reached)
        if level == 0:
            named[f"{place}.conv1.input"] = torch.randn(1, count, 4, 4)
        else:
            filters = torch.outer(*[torch.tensor([1.0, 2.0, 1.0]) / 4] * 2).repeat(count, 1, 1, 1)
            if size >= 64:  # a transposed convolution
                named[f"{place}.conv1.0.weight"] = torch.randn(before, count, 3, 3)
                named[f"{place}.conv1.0.bias"] = torch.randn(count) * 0.3 * known
                named[f"{place}.conv1.1.weight"] = named[f"{place}.conv1.1.weight_flip"] = filters
            else:
                named[f"{place}.conv1.1.conv.weight_orig"] = torch.randn(count, before, 3, 3)
                named[f"{place}.conv1.1.conv.bias"] = torch.randn(count) * 0.3 * known
                named[f"{place}.conv1.2.weight"] = named[f"{place}.conv1.2.weight_flip"] = filters
        named[f"{place}.conv2.conv.weight_orig"] = torch.randn(count, count, 3, 3)
        named[f"{place}.conv2.conv.bias"] = torch.randn(count) * 0.3 * known
        for number in (1, 2):
            named[f"{place}.noise{number}.weight_orig"] = torch.randn(1, count, 1, 1) * known
            named[f"{place}.adain{number}.style.linear.weight_orig"] = torch.randn(2 * count, W)
            named[f"{place}.adain{number}.style.linear.bias"] = torch.randn(2 * count)
        named[f"generator.to_rgb.{level}.conv.weight_orig"] = torch.randn(3, count, 1, 1)
        named[f"generator.to_rgb.{level}.conv.bias"] = torch.randn(3) * known
        before = count
    return named


def scaled(named: dict[str, Tensor], name: str) -> Tensor:
    """A weight times the root of two through its number of inputs, with which all of rosinality's are used."""
    weight = named[name]
    return weight * math.sqrt(2 / (weight.shape[1] * weight[0, 0].numel()))


def rosinality_picture(named: dict[str, Tensor], ws: Tensor, noise: list[Tensor] | None, step: int) -> Tensor:
    x = torch.empty(0)
    for level in range(step + 1):
        place = f"generator.progression.{level}"
        if level == 0:
            x = named[f"{place}.conv1.input"].repeat(len(ws), 1, 1, 1)
        elif f"{place}.conv1.0.weight" in named:
            weight = named[f"{place}.conv1.0.weight"]
            weight = four_shifted(weight * math.sqrt(2 / (weight.shape[0] * 9))) / 4
            x = filtered(F.conv_transpose2d(x, weight, named[f"{place}.conv1.0.bias"], stride=2, padding=1))
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            weight, bias = scaled(named, f"{place}.conv1.1.conv.weight_orig"), named[f"{place}.conv1.1.conv.bias"]
            x = filtered(F.conv2d(x, weight, bias, padding=1))
        for number in (1, 2):
            if number == 2:
                weight = scaled(named, f"{place}.conv2.conv.weight_orig")
                x = F.conv2d(x, weight, named[f"{place}.conv2.conv.bias"], padding=1)
            if noise is not None:
                x = x + scaled(named, f"{place}.noise{number}.weight_orig") * noise[level]
            x = F.instance_norm(F.leaky_relu(x, 0.2))
            adain = f"{place}.adain{number}.style.linear"
            style = F.linear(ws[:, 2 * level + number - 1], scaled_linear(named, adain), named[f"{adain}.bias"])
            gamma, beta = style[:, :, None, None].chunk(2, dim=1)
            x = gamma * x + beta
    colours = f"generator.to_rgb.{step}.conv"
    return F.conv2d(x, scaled(named, f"{colours}.weight_orig"), named[f"{colours}.bias"])


def scaled_linear(named: dict[str, Tensor], place: str) -> Tensor:
    weight = named[f"{place}.weight_orig"]
    return weight * math.sqrt(2 / weight.shape[1])


@pytest.mark.parametrize("wrapped", ["bare", "training"])
def test_a_file_of_rosinality_gives_its_picture(wrapped: str) -> None:
    named = rosinality_tensors(6, 6)
    other = {name: tensor + 1 for name, tensor in named.items()}
    data = named if wrapped == "bare" else {"generator": other, "g_running": named, "g_optimizer": {"state": {}}}
    generator = opened(data)
    assert generator.resolution == (128, 128)
    assert generator.noise_shapes == ((4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (128, 128))
    z = torch.randn(2, W)
    x = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for number in (1, 3, 5):
        x = F.leaky_relu(
            F.linear(x, scaled_linear(named, f"style.{number}.linear"), named[f"style.{number}.linear.bias"]), 0.2
        )
    assert float((generator.mapping(z)[:, 0] - x).abs().max()) < 1e-5 * float(x.abs().max())
    ws = torch.randn(2, 12, W)
    noise = [torch.randn(2, 1, *shape) for shape in generator.noise_shapes]
    assert off(generator.synthesis(ws, noise), rosinality_picture(named, ws, noise, 5)) < 1e-5
    assert off(generator.synthesis(ws, "none", stop=32), rosinality_picture(named, ws, None, 3)) < 1e-5


def test_blocks_that_training_never_reached_are_left_out() -> None:
    named = rosinality_tensors(6, 4)
    generator = opened({"g_running": {f"module.{name}": tensor for name, tensor in named.items()}})
    assert generator.resolution == (32, 32)
    ws = torch.randn(1, 8, W)
    assert off(generator.synthesis(ws, "none"), rosinality_picture(named, ws, None, 3)) < 1e-5


@pytest.fixture(scope="module")
def port(shared_folder: Path) -> tuple[StyleGAN1, dict[str, Tensor]]:
    path = shared_folder / "reference" / "networks" / "sg1lern_r128.pt"
    if not path.is_file():
        pytest.skip(f"no reference network at {path}")
    with np.load(path.with_suffix(".npz")) as arrays:
        true = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return built(stylegan1.read(read_pickle(path), path)), true


def test_a_port_gives_the_reference_pictures(port: tuple[StyleGAN1, dict[str, Tensor]]) -> None:
    generator, true = port
    ws = generator.mapping(true["z"])
    assert float((ws[:, 0] - true["w"]).abs().max()) < 1e-5
    noise = [true[f"noise_{index}"] for index in range(12)]
    assert off(generator.synthesis(ws, noise), true["img_const"]) < 1e-4
    generator.w_avg.copy_(true["avg_latent"])
    ws = generator.mapping(true["z"], truncation_psi=0.7, truncation_cutoff=8)
    assert off(generator.synthesis(ws, noise), true["img_const_psi0.7_cut8"]) < 1e-4


def test_a_port_has_the_same_constant_noise_whenever_it_is_read(
    port: tuple[StyleGAN1, dict[str, Tensor]], shared_folder: Path
) -> None:
    path = shared_folder / "reference" / "networks" / "sg1lern_r128.pt"
    again = built(stylegan1.read(read_pickle(path), path))
    ws = torch.zeros(1, 12, 512)
    assert torch.equal(again.synthesis(ws), port[0].synthesis(ws))
    assert not torch.equal(again.synthesis(ws), again.synthesis(ws, "none"))
    with pytest.raises(ValueError, match="can give 128"):  # it has the last colours only
        again.synthesis(ws, stop=64)


# What an artist does ------------------------------------------------------------------------------------------------


def test_a_picture_is_the_same_alone_and_in_a_batch(official: StyleGAN1, mixed: Tensor) -> None:
    together = official.synthesis(mixed)
    assert torch.allclose(together[1:], official.synthesis(mixed[1:]), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "mode"), list(zip(("input", "b4.conv0", "b8.conv0", "b32.conv1"), MODES, strict=True))
)
def test_a_canvas_has_the_size_asked_for(official: StyleGAN1, mixed: Tensor, layer: str, mode: str) -> None:
    canvas = Canvas(200, 100, layer, mode)
    picture = official.synthesis(mixed, canvas=canvas)
    assert picture.shape == (2, 3, 100, 200)
    assert bool(picture.isfinite().all())
    noise = [torch.randn(1, 1, *shape) for shape in official.synthesis.noise_shapes_on(canvas)]
    assert not torch.allclose(official.synthesis(mixed, noise, canvas=canvas), picture)
    same = Canvas(128, 128, layer, mode)
    assert torch.allclose(official.synthesis(mixed, canvas=same), official.synthesis(mixed), atol=1e-5)


def test_no_canvas_can_begin_between_layers_that_share_their_noise() -> None:
    generator = opened(rosinality_tensors(4, 4))
    ws = torch.randn(1, 8, W)
    assert generator.synthesis(ws, canvas=Canvas(50, 40, "b8.conv1")).shape == (1, 3, 40, 50)
    with pytest.raises(ValueError, match=r"canvas at layer 'b8\.conv0'"):
        generator.synthesis(ws, canvas=Canvas(50, 40, "b8.conv0"))


def test_every_layer_can_be_read(official: StyleGAN1, mixed: Tensor) -> None:
    features = official.features(mixed)
    assert tuple(features) == official.layer_names
    assert official.layer_names[:4] == ("input", "b4.conv0", "b4.conv1", "b4.torgb")
    assert features["b64.conv0"].shape == (2, 6, 64, 64)
    style = mixed[:, 8] @ torch.from_numpy(VARIABLES["synthesis"]["64x64/Conv0_up/StyleMod/weight"]) / math.sqrt(W)
    style = style + torch.from_numpy(VARIABLES["synthesis"]["64x64/Conv0_up/StyleMod/bias"])
    # A layer's output has the mean and the spread that its style asks for.
    assert torch.allclose(features["b64.conv0"].mean(dim=(2, 3)), style[:, 6:], atol=1e-4)
    assert torch.allclose(features["b64.conv0"].std(dim=(2, 3)), (style[:, :6] + 1).abs(), rtol=1e-2)
    assert torch.equal(features["b128.torgb"], official.synthesis(mixed))


def test_a_picture_has_a_gradient_for_its_ws(official: StyleGAN1, mixed: Tensor) -> None:
    ws = mixed[:1].clone().requires_grad_()
    official.synthesis(ws, stop=16).square().sum().backward()
    assert ws.grad is not None
    assert bool((ws.grad[:, :6].abs().sum(dim=2) > 0).all())
    assert bool((ws.grad[:, 6:] == 0).all())


def test_an_impossible_architecture_is_refused(official: StyleGAN1) -> None:
    with pytest.raises(ValueError, match="resample_taps"):
        StyleGAN1Config(official.config.mapping, 8, (4, 4), resample_taps=(1.0, 1.0))
    with pytest.raises(ValueError, match="channels"):
        StyleGAN1Config(official.config.mapping, 16, (4, 4))
    with pytest.raises(ValueError, match="norm_epsilon"):
        StyleGAN1Config(official.config.mapping, 8, (4, 4), norm_epsilon=0.0)
