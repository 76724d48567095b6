# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of lucidrains' stylegan2_pytorch: their pictures, and what an artist can do with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator.canvas import Canvas
from stylegan_reactive.generator.formats import lucidrains
from stylegan_reactive.generator.formats.tensors import Reading
from stylegan_reactive.generator.lucidrains import Lucidrains, LucidrainsConfig
from stylegan_reactive.generator.unpickle import read_pickle

W = 12
CHANNELS = (16, 8, 6, 4)  # 4 to 32 px
FILE = Path("model_3.pt")


def built(reading: Reading) -> Lucidrains:
    """The generator of a reading, by way of one without memory, as files are read."""
    with torch.device("meta"):
        generator = Lucidrains(reading.config)
    state = {"mapping.w_avg": torch.zeros(generator.w_dim), **reading.state}
    assert {n: t.shape for n, t in generator.state_dict().items()} == {n: t.shape for n, t in state.items()}
    generator = Lucidrains(reading.config)
    generator.load_state_dict(state)
    return generator


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a part of the range; ours is -1 to 1 where the original is 0 to 1."""
    return float(((found + 1) / 2 - expected).abs().max() / (expected.max() - expected.min()))


def file_tensors(*, attention: bool = True, constant: bool = False, img_channels: int = 4) -> dict[str, Tensor]:
    """The tensors of a file, with all that a network of this kind can have."""
    torch.manual_seed(7)
    named: dict[str, Tensor] = {}
    for index in range(3):
        named[f"SE.net.{2 * index}.weight"], named[f"SE.net.{2 * index}.bias"] = torch.randn(W, W) * 4, torch.randn(W)
    if constant:
        named["GE.initial_block"] = torch.randn(1, 16, 4, 4)
    else:
        named["GE.to_initial_block.weight"] = torch.randn(W, 16, 4, 4)
    named["GE.initial_conv.weight"], named["GE.initial_conv.bias"] = torch.randn(16, 16, 3, 3) / 12, torch.randn(16)
    before = 16
    for index, count in enumerate(CHANNELS):
        place = f"GE.blocks.{index}"
        for number, channels in ((1, before), (2, count)):
            named[f"{place}.to_style{number}.weight"] = torch.randn(channels, W)
            named[f"{place}.to_style{number}.bias"] = torch.randn(channels) * 0.3
            named[f"{place}.to_noise{number}.weight"] = torch.randn(count, 1)
            named[f"{place}.to_noise{number}.bias"] = torch.randn(count) * 0.3
            named[f"{place}.conv{number}.weight"] = torch.randn(count, channels, 3, 3)
        named[f"{place}.to_rgb.to_style.weight"] = torch.randn(count, W)
        named[f"{place}.to_rgb.to_style.bias"] = torch.randn(count)
        named[f"{place}.to_rgb.conv.weight"] = torch.randn(img_channels, count, 1, 1)
        if index < len(CHANNELS) - 1:
            named[f"{place}.to_rgb.upsample.1.f"] = torch.tensor([1.0, 2.0, 1.0])
        if attention and index == 2:
            place = f"GE.attns.{index}"
            for part in (0, 1):
                named[f"{place}.{part}.fn.norm.g"] = torch.randn(1, before, 1, 1)
                named[f"{place}.{part}.fn.norm.b"] = torch.randn(1, before, 1, 1)
            named[f"{place}.0.fn.fn.to_q.weight"] = torch.randn(64, before, 1, 1)
            named[f"{place}.0.fn.fn.to_kv.net.0.weight"] = torch.randn(before, 1, 3, 3)
            named[f"{place}.0.fn.fn.to_kv.net.1.weight"] = torch.randn(128, before, 1, 1)
            named[f"{place}.0.fn.fn.to_out.weight"] = torch.randn(before, 64, 1, 1)
            named[f"{place}.0.fn.fn.to_out.bias"] = torch.randn(before)
            named[f"{place}.1.fn.fn.0.weight"] = torch.randn(2 * before, before, 1, 1)
            named[f"{place}.1.fn.fn.0.bias"] = torch.randn(2 * before)
            named[f"{place}.1.fn.fn.2.weight"] = torch.randn(before, 2 * before, 1, 1) / 4
            named[f"{place}.1.fn.fn.2.bias"] = torch.randn(before)
        before = count
    return named


def true_w(named: dict[str, Tensor], z: Tensor, lr: float = 0.1) -> Tensor:
    x = z / z.norm(dim=1, keepdim=True)
    for index in (0, 2, 4):
        x = F.leaky_relu(x @ (named[f"SE.net.{index}.weight"].T * lr) + named[f"SE.net.{index}.bias"] * lr, 0.2)
    return x


def true_attention(named: dict[str, Tensor], place: str, x: Tensor) -> Tensor:
    """Pixel by pixel and head by head, as the paper has it."""

    def normed(part: int, x: Tensor) -> Tensor:
        mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, unbiased=False, keepdim=True)
        gain, bias = named[f"{place}.{part}.fn.norm.g"], named[f"{place}.{part}.fn.norm.b"]
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias

    inner = f"{place}.0.fn.fn"
    y = normed(0, x)
    query = F.conv2d(y, named[f"{inner}.to_q.weight"])
    y = F.conv2d(y, named[f"{inner}.to_kv.net.0.weight"], padding=1, groups=x.shape[1])
    key, value = F.conv2d(y, named[f"{inner}.to_kv.net.1.weight"]).chunk(2, dim=1)
    read = torch.zeros_like(query)
    for sample in range(len(x)):
        for head in range(8):
            features = slice(8 * head, 8 * head + 8)
            q = query[sample, features].flatten(1).softmax(dim=0) * 8**-0.5
            k = key[sample, features].flatten(1).softmax(dim=1)
            v = value[sample, features].flatten(1)
            for pixel in range(q.shape[1]):
                weights = (k * q[:, pixel : pixel + 1]).sum(dim=0)  # how much this pixel looks at every other one
                read[sample, features].flatten(1)[:, pixel] = v @ weights
    x = x + F.conv2d(F.gelu(read), named[f"{inner}.to_out.weight"], named[f"{inner}.to_out.bias"])
    inner = f"{place}.1.fn.fn"
    y = F.leaky_relu(F.conv2d(normed(1, x), named[f"{inner}.0.weight"], named[f"{inner}.0.bias"]), 0.2)
    return x + F.conv2d(y, named[f"{inner}.2.weight"], named[f"{inner}.2.bias"])


def true_conv(named: dict[str, Tensor], place: str, style: str, x: Tensor, w: Tensor, demodulate: bool) -> Tensor:
    """Every sample with weights of its own."""
    maps = []
    for sample, one_w in zip(x, w, strict=True):
        scale = named[f"{style}.weight"] @ one_w + named[f"{style}.bias"] + 1
        weight = named[f"{place}.weight"] * scale[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        maps.append(F.conv2d(sample[None], weight, padding=weight.shape[-1] // 2))
    return torch.cat(maps)


def true_picture(named: dict[str, Tensor], ws: Tensor, noise: Tensor | None, blocks: int = 4) -> Tensor:
    """Noise is [batch, size, size, 1], as the original takes it."""
    if "GE.initial_block" in named:
        x = named["GE.initial_block"].repeat(len(ws), 1, 1, 1)
    else:
        x = F.conv_transpose2d(ws.mean(dim=1)[:, :, None, None], named["GE.to_initial_block.weight"])
    x = F.conv2d(x, named["GE.initial_conv.weight"], named["GE.initial_conv.bias"], padding=1)
    blur = torch.outer(*[torch.tensor([1.0, 2.0, 1.0]) / 4] * 2)
    rgb: Tensor | None = None
    for index in range(blocks):
        place = f"GE.blocks.{index}"
        if f"GE.attns.{index}.0.fn.norm.g" in named:
            x = true_attention(named, f"GE.attns.{index}", x)
        if index:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        for number in (1, 2):
            x = true_conv(named, f"{place}.conv{number}", f"{place}.to_style{number}", x, ws[:, index], True)
            grain = torch.zeros(1, x.shape[2], x.shape[3], 1) if noise is None else noise
            grain = grain[:, : x.shape[2], : x.shape[3]]
            weight, bias = named[f"{place}.to_noise{number}.weight"], named[f"{place}.to_noise{number}.bias"]
            x = F.leaky_relu(x + F.linear(grain, weight, bias).permute(0, 3, 2, 1), 0.2)
        colours = true_conv(named, f"{place}.to_rgb.conv", f"{place}.to_rgb.to_style", x, ws[:, index], False)
        if rgb is not None:
            rgb = F.interpolate(rgb, scale_factor=2, mode="bilinear", align_corners=False)
            rgb = F.conv2d(F.pad(rgb, (1, 1, 1, 1), "reflect").flatten(0, 1)[:, None], blur[None, None])
            colours = colours + rgb.reshape(colours.shape)
        rgb = colours
    assert rgb is not None
    return rgb


NAMED = file_tensors()


@pytest.fixture(scope="module")
def network() -> Lucidrains:
    """A network with attention, transparency and a first map made of its ws."""
    data = {"GAN": {**NAMED, "D.blocks.0.conv_res.weight": torch.zeros(1)}, "version": "1.9.0"}
    assert lucidrains.recognise(data)
    return built(lucidrains.read(data, FILE))


@pytest.fixture(scope="module")
def ws() -> Tensor:
    return torch.randn(2, 4, W, generator=torch.Generator().manual_seed(2))


def test_the_reference_file_gives_its_pictures(shared_folder: Path) -> None:
    path = shared_folder / "reference" / "networks" / "lucid_r64.pt"
    if not path.is_file():
        pytest.skip(f"no reference network at {path}")
    with np.load(path.with_suffix(".npz")) as arrays:
        true = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    generator = built(lucidrains.read(read_pickle(path), path))
    assert generator.noise_shapes == ((64, 64),)
    generator.w_avg.copy_(true["av"][0])
    noise = [true["noise"].permute(0, 3, 1, 2)]
    for psi, name in ((1.0, "img"), (0.75, "img_psi0.75")):
        found = generator.mapping(true["z"], truncation_psi=psi)
        assert off(generator.synthesis(found, noise), true[name]) < 1e-4
    assert float((generator.mapping(true["z"])[:, 0] - true["w"]).abs().max()) < 1e-5


def test_a_file_with_all_that_there_can_be_gives_its_picture(network: Lucidrains, ws: Tensor) -> None:
    assert network.resolution == (32, 32)
    assert network.img_channels == 4
    noise = torch.rand(2, 32, 32, 1)
    assert off(network.synthesis(ws, [noise.permute(0, 3, 1, 2)]), true_picture(NAMED, ws, noise)) < 1e-5
    assert off(network.synthesis(ws, "none"), true_picture(NAMED, ws, None)) < 1e-5
    assert off(network.synthesis(ws, "none", stop=8), true_picture(NAMED, ws, None, blocks=2)) < 1e-5


def test_constant_noise_is_between_0_and_1_and_always_the_same(network: Lucidrains, ws: Tensor) -> None:
    again = built(lucidrains.read({"GAN": NAMED}, FILE))
    assert torch.equal(network.synthesis(ws), again.synthesis(ws))
    constant = network.synthesis.noise_const
    assert 0 <= float(constant.min()) < 0.01
    assert 0.99 < float(constant.max()) <= 1
    noise = constant[None, :, :, None]
    assert off(network.synthesis(ws), true_picture(NAMED, ws, noise)) < 1e-5


def test_the_learning_rate_of_the_mapping_is_taken_from_the_notes_beside_the_file(tmp_path: Path) -> None:
    z = torch.randn(3, W)
    notes = tmp_path / ".config.json"
    for noted, lr in (({"image_size": 32, "lr_mlp": 1.0}, 1.0), ({"image_size": 32}, 0.1), ({"image_size": 64}, 0.1)):
        notes.write_text(json.dumps(noted), encoding="utf-8")
        generator = built(lucidrains.read({"GAN": NAMED}, tmp_path / "model_3.pt"))
        assert torch.allclose(generator.mapping(z)[:, 0], true_w(NAMED, z, lr), rtol=1e-4, atol=1e-6)
    for broken in ("{", '{"image_size": 32, "lr_mlp": "fast"}', "[]"):
        notes.write_text(broken, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"\.config\.json"):
            lucidrains.read({"GAN": NAMED}, tmp_path / "model_3.pt")


def test_the_trained_generator_is_used_where_there_is_no_average() -> None:
    trained = {name.replace("E.", ".", 1): tensor for name, tensor in NAMED.items()}
    z = torch.randn(2, W)
    generator = built(lucidrains.read(trained, FILE))
    assert torch.allclose(generator.mapping(z)[:, 0], true_w(NAMED, z), rtol=1e-4, atol=1e-6)
    averaged = {**{name: tensor + 1 for name, tensor in trained.items()}, **NAMED}
    generator = built(lucidrains.read({"GAN": averaged}, FILE))
    assert torch.allclose(generator.mapping(z)[:, 0], true_w(NAMED, z), rtol=1e-4, atol=1e-6)


def test_a_missing_surplus_or_broken_tensor_is_named() -> None:
    for name in ("GE.blocks.2.to_noise1.bias", "GE.attns.2.1.fn.norm.g", "SE.net.2.bias", "GE.initial_conv.weight"):
        with pytest.raises(CheckpointError, match=f"model_3.pt.*lacks.*{name}"):
            lucidrains.read({"GAN": {key: value for key, value in NAMED.items() if key != name}}, FILE)
    with pytest.raises(CheckpointError, match=r"GE\.extra\.weight"):
        lucidrains.read({"GAN": {**NAMED, "GE.extra.weight": torch.ones(2)}}, FILE)
    with pytest.raises(CheckpointError, match=r"GE\.blocks\.1\.conv2\.weight.*finite"):
        lucidrains.read({"GAN": {**NAMED, "GE.blocks.1.conv2.weight": torch.full((8, 8, 3, 3), math.nan)}}, FILE)


@pytest.mark.parametrize("layer", ["input", "initial_conv", "blocks.2.attention", "blocks.1.conv1", "blocks.3.conv2"])
def test_a_canvas_has_the_size_asked_for(network: Lucidrains, ws: Tensor, layer: str) -> None:
    for size in ((50, 20), (20, 70)):
        canvas = Canvas(*size, layer)
        picture = network.synthesis(ws, canvas=canvas)
        assert picture.shape == (2, 4, size[1], size[0])
        noise = [torch.rand(1, 1, *shape) for shape in network.synthesis.noise_shapes_on(canvas)]
        assert not torch.allclose(network.synthesis(ws, noise, canvas=canvas), picture)
    same = Canvas(32, 32, layer)
    assert torch.allclose(network.synthesis(ws, canvas=same), network.synthesis(ws), atol=1e-5)


def test_every_layer_can_be_read(network: Lucidrains, ws: Tensor) -> None:
    features = network.features(ws, "none")
    assert tuple(features) == network.layer_names
    assert features["input"].shape == features["initial_conv"].shape == (2, 16, 4, 4)
    assert features["blocks.2.attention"].shape == (2, 8, 8, 8)
    assert features["blocks.2.conv2"].shape == (2, 6, 16, 16)
    assert features["blocks.3.torgb"].shape == (2, 4, 32, 32)


def test_a_w_works_on_its_own_block_and_on_what_follows(network: Lucidrains, ws: Tensor) -> None:
    generator = built(lucidrains.read({"GAN": file_tensors(constant=True, img_channels=3)}, FILE))
    other = ws.clone()
    other[:, 2] += 1
    before, after = generator.features(ws), generator.features(other)
    assert torch.equal(before["blocks.1.torgb"], after["blocks.1.torgb"])
    for name in ("conv1", "conv2", "torgb"):
        assert not torch.allclose(before[f"blocks.2.{name}"], after[f"blocks.2.{name}"])
    styles = generator.synthesis.styles
    assert {name: index for name, (_, index) in styles.items() if name.startswith("blocks.2")} == {
        "blocks.2.conv1": 2,
        "blocks.2.conv2": 2,
        "blocks.2.torgb": 2,
    }


def test_a_picture_has_a_gradient_and_is_the_same_in_a_batch(network: Lucidrains, ws: Tensor) -> None:
    together, alone = network.synthesis(ws)[1:], network.synthesis(ws[1:])
    assert float((together - alone).abs().max()) < 1e-5 * float(together.max() - together.min())
    asked = ws[:1].clone().requires_grad_()
    network.synthesis(asked).square().sum().backward()
    assert asked.grad is not None
    assert bool((asked.grad.abs().sum(dim=2) > 0).all())


def test_an_impossible_architecture_is_refused(network: Lucidrains) -> None:
    mapping = network.config.mapping
    with pytest.raises(ValueError, match="attention"):
        LucidrainsConfig(mapping, 16, (4, 4, 4), 4, attention=(3,))
    with pytest.raises(ValueError, match="channels"):
        LucidrainsConfig(mapping, 16, (4, 4), 4)
    with pytest.raises(ValueError, match="attention_width"):
        LucidrainsConfig(mapping, 8, (4, 4), 4, attention_width=12)
