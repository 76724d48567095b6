# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's network files: the reference networks against their true outputs, and variants that tests make."""

from __future__ import annotations

import argparse
import math
import os
import pickle
import random
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator
from stylegan_reactive.generator.__main__ import main
from stylegan_reactive.generator.base import Generator
from stylegan_reactive.generator.formats.tensors import Tensors
from stylegan_reactive.generator.mapping import MappingConfig

SHARED = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
NETWORKS = SHARED / "reference" / "networks"
FILES = (
    "sg2ada_r64_cond10.pkl",
    "sg2ada_r32_orig.pkl",
    "sg2ada_r32_rgba.pkl",
    "tf_sg2_r64_v4.pkl",
    "ros_r64_small_converted.pt",
)
TRUNCATIONS = {"": (1.0, None), "_psi0.7": (0.7, None), "_psi0.5_cut4": (0.5, 4)}


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file that a reference network's own code would write; no test may leave it behind."""
    path = tmp_path / "canary"
    monkeypatch.setenv("SGR_CANARY", str(path))
    yield path
    assert not path.exists()


@pytest.fixture(scope="module", params=FILES)
def known(request: pytest.FixtureRequest) -> tuple[Generator, dict[str, Tensor]]:
    path = NETWORKS / request.param
    if not path.is_file():
        pytest.skip(f"no reference networks: {path} is missing (SGR_SHARED names their folder)")
    with np.load(path.with_suffix(".npz")) as arrays:
        truth = {name: torch.from_numpy(arrays[name]) for name in arrays if arrays[name].dtype.kind == "f"}
    return load_generator(path), truth


def classes(truth: dict[str, Tensor]) -> Tensor | None:
    return truth["c"] if "c" in truth and truth["c"].shape[1] else None


def near(found: Tensor, truth: Tensor) -> bool:
    """Whether pictures or features are equal to a ten-thousandth of their range."""
    return bool((found - truth).abs().max() < 1e-4 * (truth.max() - truth.min()))


def test_known_ws(known: tuple[Generator, dict[str, Tensor]]) -> None:
    generator, truth = known
    plain = generator.mapping(truth["z"], classes(truth))
    for layer in range(generator.num_ws if "w" in truth else 0):
        assert torch.allclose(plain[:, layer], truth["w"], atol=1e-5)
    for suffix, (psi, cutoff) in TRUNCATIONS.items():
        if f"ws{suffix}" in truth:
            ws = generator.mapping(truth["z"], classes(truth), psi, cutoff)
            assert torch.allclose(ws, truth[f"ws{suffix}"], atol=1e-5)


def test_known_pictures(known: tuple[Generator, dict[str, Tensor]]) -> None:
    generator, truth = known
    compared = 0
    for suffix, (psi, cutoff) in TRUNCATIONS.items():
        ws = generator.mapping(truth["z"], classes(truth), psi, cutoff)
        for noise in ("const", "none"):
            if f"img_{noise}{suffix}" in truth:
                assert near(generator.synthesis(ws, noise), truth[f"img_{noise}{suffix}"])
                compared += 1
    assert compared >= 2
    if "ws_mix" in truth:
        assert near(generator.synthesis(truth["ws_mix"]), truth["img_mix_const"])


def test_known_features(known: tuple[Generator, dict[str, Tensor]]) -> None:
    generator, truth = known
    names = [name[5:] for name in truth if name.startswith("feat/")]
    if not names:
        pytest.skip("this reference has no features")
    features = generator.features(generator.mapping(truth["z"], classes(truth))[:1], names=names)
    for name in names:
        assert near(features[name][0], truth[f"feat/{name}"])


@pytest.mark.parametrize("name", FILES)
def test_a_converted_network_paints_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (NETWORKS / name).is_file():
        pytest.skip("no reference networks")
    target = tmp_path / "network.safetensors"
    assert main(["convert", str(NETWORKS / name), str(target), "--full"]) == 0
    assert "stylegan2" in capsys.readouterr().out
    before, after = load_generator(NETWORKS / name), load_generator(target)
    assert before.config == after.config
    ws = before.mapping(torch.randn(1, before.z_dim), torch.eye(before.c_dim)[:1] if before.c_dim else None)
    assert torch.equal(before.synthesis(ws), after.synthesis(ws))


@pytest.mark.parametrize("name", FILES)
def test_damage_is_harmless(name: str, tmp_path: Path) -> None:
    if not (NETWORKS / name).is_file():
        pytest.skip("no reference networks")
    data, damaged = (NETWORKS / name).read_bytes(), tmp_path / "damaged"
    chance = random.Random(name)
    words = [found.start() for found in re.finditer(rb"[a-z_]{6,}", data)]  # names, and the operations around them
    for turn in range(6):
        changed = bytearray(data)
        for _ in range(4):
            place = chance.choice(words) + chance.randrange(-12, 12) if turn % 2 else chance.randrange(len(data))
            changed[place] = chance.randrange(256)
        damaged.write_bytes(changed if turn else changed[: len(changed) // 2])
        try:
            generator = load_generator(damaged)
        except CheckpointError as error:
            assert str(damaged) in str(error)  # noqa: PT017, the other turns load
        else:
            assert all(bool(tensor.isfinite().all()) for tensor in generator.state_dict().values())


# Files that the tests write themselves, with the layout of the original ones but none of their code.


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.parts = (function, args)

    def __reduce__(self) -> Any:
        return self.parts


@pytest.fixture
def originals(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the names in such files stand for where the files are written; here they only have those names."""

    def rebuild(meta: Any) -> None:
        raise AssertionError("something from a file was called")

    network = type("Network", (), {"__module__": "dnnlib.tflib.network"})
    rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    found = {"_reconstruct_persistent_obj": rebuild, "Network": network}
    for module in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.tflib", "dnnlib.tflib.network"):
        stand_in = types.ModuleType(module)
        stand_in.__dict__.update(found)
        monkeypatch.setitem(sys.modules, module, stand_in)
    return found


CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=6, c_dim=0, w_dim=8, widths=(10, 8)), resolution=16, channels=(8, 6, 4), conv_clamp=20.0
)


def random_generator(config: StyleGAN2Config) -> StyleGAN2:
    torch.manual_seed(3)
    generator = StyleGAN2(config)
    for name, tensor in generator.state_dict().items():
        if name.endswith(("bias", "noise_strength", "w_avg")):
            tensor.add_(torch.randn_like(tensor) * 0.2)
    return generator


Tree = dict[str, dict[str, Any]]


def module_tree(generator: StyleGAN2) -> Tree:
    """NVIDIA's modules, by path: their class, their own tensors and plain attributes."""
    config = generator.config
    tree: Tree = {"": {"class": "Generator"}, "mapping": {"class": "MappingNetwork"}}
    tree["synthesis"] = {"class": "SynthesisNetwork"}
    taps = torch.tensor(config.resample_taps)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    for name, tensor in generator.state_dict().items():
        path, attribute = name.rsplit(".", 1)
        tree.setdefault(path, {"tensors": {}}).setdefault("tensors", {})[attribute] = tensor.clone()
    for path in [path for path in tree if path.startswith("synthesis.b")]:
        part = path.rsplit(".", 1)[-1]
        tree.setdefault(path.rsplit(".", 1)[0], {"tensors": {}})
        if part.startswith("conv"):
            tree[path] |= {"class": "SynthesisLayer", "activation": "lrelu", "use_noise": config.noise}
            tree[path] |= {"up": 1 + (part == "conv0"), "padding": 1, "act_gain": math.sqrt(2)}
            tree[path]["tensors"]["resample_filter"] = kernel.clone()
        elif part == "torgb":
            tree[path] |= {"class": "ToRGBLayer", "weight_gain": tree[path]["tensors"]["weight"].shape[1] ** -0.5}
        elif part == "skip":
            tree[path] |= {"class": "Conv2dLayer", "activation": "linear", "conv_clamp": None, "up": 2, "down": 1}
            tree[path] |= {"weight_gain": tree[path]["tensors"]["weight"].shape[1] ** -0.5}
        if part in ("conv0", "conv1", "torgb"):
            tree[path]["conv_clamp"] = config.conv_clamp
    for path, module in tree.items():
        if path.endswith(("affine", "embed")) or path.startswith("mapping.fc"):
            rate = config.mapping.lr_multiplier if path.startswith("mapping.fc") else 1
            fan_in = module["tensors"]["weight"].shape[1]
            module |= {"class": "FullyConnectedLayer", "bias_gain": rate, "weight_gain": rate / math.sqrt(fan_in)}
            module["activation"] = "lrelu" if path.startswith("mapping.fc") else "linear"
        elif "class" not in module:
            module |= {"class": "SynthesisBlock", "architecture": config.connection}
            module["tensors"]["resample_filter"] = kernel.clone()
    return tree


def nvidia_network(originals: dict[str, Any], tree: Tree) -> Any:
    """The modules as a persistence pickle has them."""

    def module(path: str) -> Any:
        inner = [name for name in tree if name and name.rpartition(".")[0] == path]
        attributes = {name: value for name, value in tree[path].items() if name not in ("class", "tensors")}
        tensors = tree[path].get("tensors", {})
        buffers = {
            name: value for name, value in tensors.items() if name in ("noise_const", "w_avg", "resample_filter")
        }
        parameters = {name: torch.nn.Parameter(value) for name, value in tensors.items() if name not in buffers}
        state = {"training": False, **attributes, "_parameters": OrderedDict(parameters), "_buffers": buffers}
        state["_modules"] = OrderedDict({name.rpartition(".")[2]: module(name) for name in inner})
        source = "import os; open(os.environ['SGR_CANARY'], 'w')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": tree[path]["class"], "state": state}
        return Calls(originals["_reconstruct_persistent_obj"], meta)

    return module("")


class Bench:
    """Writes network files and reads them back."""

    def __init__(self, originals: dict[str, Any], folder: Path) -> None:
        self.originals = originals
        self.path = folder / "network.pkl"

    def load(self, content: Any, protocol: int = 4) -> Generator:
        self.path.write_bytes(pickle.dumps(content, protocol))
        return load_generator(self.path)

    def nvidia(self, generator: StyleGAN2, change: Callable[[Tree], Any] = lambda tree: None) -> Generator:
        tree = module_tree(generator)
        change(tree)
        return self.load({"G": None, "D": None, "G_ema": nvidia_network(self.originals, tree), "augment_pipe": None})

    def complaint(self, change: Callable[[Tree], Any], config: StyleGAN2Config = CONFIG) -> str:
        with pytest.raises(CheckpointError) as caught:
            self.nvidia(random_generator(config), change)
        assert str(self.path) in str(caught.value)
        return str(caught.value)


@pytest.fixture
def bench(originals: dict[str, Any], tmp_path: Path) -> Bench:
    return Bench(originals, tmp_path)


def same_network(found: Generator, truth: StyleGAN2) -> bool:
    """Whether two networks map and paint alike."""
    z = torch.randn(2, truth.z_dim)
    c = torch.eye(truth.c_dim)[:2] if truth.c_dim else None
    ws = truth.mapping(z, c, 0.7)
    return torch.allclose(found.mapping(z, c, 0.7), ws, atol=1e-5) and near(found.synthesis(ws), truth.synthesis(ws))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"connection": "resnet"},
        {"connection": "orig", "img_channels": 1},
        {"conv_clamp": None, "img_channels": 4},
        {"noise": False},
        {"resample_taps": (1.0, 2.0, 5.0, 1.0)},
        {"resample_taps": (1.0, 5.0, 10.0, 10.0, 5.0, 1.0)},
        {"mapping": MappingConfig(z_dim=6, c_dim=3, w_dim=8, widths=(7, 9, 5, 8), lr_multiplier=0.1, embed_dim=4)},
    ],
)
def test_every_variant_of_stylegan2_is_read_off_its_modules(bench: Bench, change: dict[str, Any]) -> None:
    generator = random_generator(replace(CONFIG, **change))
    loaded = bench.nvidia(generator)
    assert same_network(loaded, generator)
    assert loaded.noise_shapes == generator.noise_shapes
    assert loaded.img_channels == generator.img_channels


def test_a_lone_network_or_one_without_an_average_is_read(bench: Bench) -> None:
    generator = random_generator(CONFIG)
    network = nvidia_network(bench.originals, module_tree(generator))
    assert same_network(bench.load(network, 2), generator)
    assert same_network(bench.load({"G": network, "D": None}, 5), generator)


def test_a_missing_average_w_is_computed(bench: Bench) -> None:
    generator = random_generator(CONFIG)
    loaded = bench.nvidia(generator, lambda tree: tree["mapping"]["tensors"].pop("w_avg"))
    mean = generator.mapping(torch.randn(20000, 6))[:, 0].mean(dim=0)
    assert (loaded.w_avg - mean).abs().max() < 0.15 * generator.mapping(torch.randn(999, 6)).std()


def test_the_average_w_of_many_classes_is_computed_in_little_memory(bench: Bench) -> None:
    resource = pytest.importorskip("resource")
    mapping = MappingConfig(z_dim=2, c_dim=60_000, w_dim=4, widths=(4,), embed_dim=2)
    generator = random_generator(replace(CONFIG, mapping=mapping))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = bench.nvidia(generator, lambda tree: tree["mapping"]["tensors"].pop("w_avg"))
    assert loaded.w_avg.isfinite().all()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1 << 20  # kB; a table of all classes would take fourteen times as much


def set_value(path: str, name: str, value: Any) -> Callable[[Tree], None]:
    return lambda tree: tree[path].__setitem__(name, value)


def set_tensor(path: str, name: str, value: Tensor) -> Callable[[Tree], None]:
    return lambda tree: tree[path]["tensors"].__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_value("synthesis.b8.conv1", "activation", "relu"), ["activation", "relu", "lrelu"]),
        (set_value("mapping.fc0", "activation", "swish"), ["mapping.fc0", "swish"]),
        (set_value("synthesis.b8.conv1", "conv_clamp", 5.0), ["conv_clamp"]),
        (set_value("synthesis.b8", "architecture", "unet"), ["architecture", "unet"]),
        (set_value("synthesis.b8", "class", "AttentionBlock"), ["synthesis.b8", "AttentionBlock"]),
        (set_value("synthesis.b8.conv1", "up", 4), ["synthesis.b8.conv1", "up"]),
        (set_value("mapping.fc1", "weight_gain", 3.0), ["mapping.fc1", "weight_gain"]),
        (set_value("synthesis.b8.conv1", "use_noise", "sometimes"), ["use_noise"]),
        (set_tensor("synthesis.b8.conv0", "resample_filter", torch.rand(4, 4)), ["filter"]),
        (
            set_tensor("synthesis.b8.conv0", "weight", torch.rand(6, 8, 5, 5)),
            ["synthesis.b8.conv0.weight", "[6, 8, 5, 5]"],
        ),
        (set_tensor("synthesis.b8.conv0", "bias", torch.full((6,), math.nan)), ["synthesis.b8.conv0.bias", "NaN"]),
        (
            set_tensor("synthesis.b8.conv1", "weight", torch.rand(6, 6, 3)),
            ["synthesis.b8.conv1.weight", "[6, 6, 3]", "[any, any, any, any] was expected"],
        ),
        (set_tensor("mapping.fc1", "bias", torch.tensor(1.0)), ["mapping.fc1.bias", "[any] was expected"]),
        (set_tensor("mapping", "w_avg", torch.full((8,), math.inf)), ["mapping.w_avg", "NaN"]),
        (set_tensor("synthesis.b8.conv0", "extra", torch.zeros(2)), ["synthesis.b8.conv0.extra", "no place"]),
        (lambda tree: tree["synthesis.b8.conv0"]["tensors"].pop("weight"), ["synthesis.b8.conv0.weight"]),
        (lambda tree: tree["synthesis.b16.conv1"]["tensors"].pop("noise_const"), ["synthesis.b16.conv1.noise_const"]),
        (lambda tree: tree["synthesis.b16.conv1"]["tensors"].pop("resample_filter"), ["resample_filter"]),
        (lambda tree: tree.pop("mapping.fc0"), ["mapping"]),
        (lambda tree: [tree.pop(name) for name in list(tree) if name.startswith("synthesis.b8")], ["b4, b16"]),
    ],
)
def test_unknown_variants_and_damage_are_named(bench: Bench, change: Callable[[Tree], Any], words: list[str]) -> None:
    message = bench.complaint(change)
    for word in words:
        assert word in message


def test_filters_that_are_no_product_are_refused(bench: Bench) -> None:
    cross = torch.tensor([[0.0, 1, 1, 0], [1, 2, 2, 1], [1, 2, 2, 1], [0, 1, 1, 0]]) / 16

    def change(tree: Tree) -> None:
        for module in tree.values():
            if "resample_filter" in module.get("tensors", {}):
                module["tensors"]["resample_filter"] = cross

    assert "product" in bench.complaint(change)


def tensorflow_network(originals: dict[str, Any], generator: StyleGAN2, settings: dict[str, Any]) -> Any:
    """The same network as TensorFlow's StyleGAN2 would have it."""
    config, state = generator.config, generator.state_dict()
    own: dict[str, dict[str, Any]] = {"": {}, "mapping": {}, "synthesis": {}}
    own[""]["dlatent_avg"] = state["mapping.w_avg"].numpy()
    for index in range(len(config.mapping.widths)):
        own["mapping"][f"Dense{index}/weight"] = state[f"mapping.fc{index}.weight"].T.numpy()
        own["mapping"][f"Dense{index}/bias"] = state[f"mapping.fc{index}.bias"].numpy()
    own["synthesis"]["4x4/Const/const"] = state["synthesis.b4.const"][None].numpy()
    names = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] != "synthesis" or parts[2] == "const":
            continue
        size = int(parts[1][1:])
        place = f"{size}x{size}/{'Conv' if size == 4 and parts[2] == 'conv1' else names[parts[2]]}"
        if parts[3] == "noise_const":
            number = 2 * int(math.log2(size)) - (5 if parts[2] == "conv0" else 4)
            own["synthesis"][f"noise{number}"] = tensor[None, None].numpy()
        elif parts[3] == "affine":
            value = tensor.T if parts[4] == "weight" else tensor - 1
            own["synthesis"][f"{place}/mod_{parts[4]}"] = value.numpy()
        elif parts[3] == "weight":
            turned = tensor.permute(2, 3, 1, 0)
            turned = turned.flip(0, 1) if parts[2] == "conv0" else turned
            own["synthesis"][f"{place}/weight"] = turned.numpy()
        else:
            own["synthesis"][f"{place}/{parts[3]}"] = tensor.numpy() if tensor.ndim else np.float32(tensor)

    def network(part: str, components: dict[str, Any]) -> Any:
        found = originals["Network"]()
        found.__dict__.update(
            version=5,
            name=part,
            static_kwargs={"resolution": 16, "num_channels": 3, **settings},
            components=components,
            build_module_src="import os; open(os.environ['SGR_CANARY'], 'w')",
            build_func_name="G_main",
            variables=list(own[part].items()),
        )
        return found

    return network("", {"synthesis": network("synthesis", {}), "mapping": network("mapping", {})})


@pytest.mark.parametrize(("connection", "protocol"), [("skip", 2), ("orig", 3), ("resnet", 4)])
def test_tensorflow_networks_are_read(bench: Bench, connection: str, protocol: int) -> None:
    generator = random_generator(replace(CONFIG, connection=connection))
    network = tensorflow_network(bench.originals, generator, {"conv_clamp": 20, "architecture": connection})
    assert same_network(bench.load((None, None, network), protocol), generator)


def test_tensorflow_labels_are_joined_as_their_version_does(bench: Bench) -> None:
    random_state = np.random.RandomState(1)
    weight = random_state.standard_normal((3, 6)).astype(np.float32)
    z, c = torch.randn(2, 6), torch.eye(3)[[2, 0]]
    generator = random_generator(replace(CONFIG, mapping=MappingConfig(12, 0, 8, (10, 8))))
    network = tensorflow_network(bench.originals, generator, {"conv_clamp": 20.0})
    mapping = network.components["mapping"]
    mapping.variables = [("LabelConcat/weight", weight), *mapping.variables]
    loaded = bench.load((None, None, network))
    assert loaded.c_dim == 3
    joined = torch.cat([z, c @ torch.from_numpy(weight)], dim=1)
    assert torch.allclose(loaded.mapping(z, c), generator.mapping(joined), atol=1e-5)


def test_a_tensorflow_network_that_grew_paints_its_last_colours(bench: Bench) -> None:
    generator = random_generator(replace(CONFIG, connection="orig"))
    network = tensorflow_network(bench.originals, generator, {"conv_clamp": 20.0})
    variables = dict(network.components["synthesis"].variables)
    for name in [name for name in variables if name.startswith("16x16/ToRGB/")]:
        variables[name.replace("16x16/ToRGB", "ToRGB_lod0")] = variables.pop(name)
        variables[name.replace("16x16/ToRGB", "ToRGB_lod1")] = np.zeros((2, 2), np.float32)
    for lod, words in ((0.0, None), (1.5, "grown")):
        network.components["synthesis"].variables = [("lod", np.float32(lod)), *variables.items()]
        if words is None:
            assert same_network(bench.load((None, None, network)), generator)
        else:
            with pytest.raises(CheckpointError, match=words):
                bench.load((None, None, network))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"nonlinearity": "relu"}, "relu"),
        ({"normalize_latents": False}, "normalize_latents"),
        ({"conv_clamp": -1}, "conv_clamp"),
    ],
)
def test_unknown_tensorflow_settings_are_named(bench: Bench, settings: dict[str, Any], word: str) -> None:
    network = tensorflow_network(bench.originals, random_generator(CONFIG), settings)
    with pytest.raises(CheckpointError, match=word):
        bench.load((None, None, network))


def test_a_training_file_of_rosinality_gives_its_average_network(tmp_path: Path) -> None:
    source = NETWORKS / "ros_r64_small_converted.pt"
    if not source.is_file():
        pytest.skip("no reference networks")
    saved, path = torch.load(source, weights_only=True), tmp_path / "000100.pt"
    weight = torch.nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.Adam([weight])
    content = {
        "g": {name: tensor + 1 for name, tensor in saved["g_ema"].items()},
        "d": {"convs.0.0.weight": torch.zeros(2)},
        "g_ema": saved["g_ema"],
        "g_optim": optimiser.state_dict(),
        "d_optim": optimiser.state_dict(),
        "args": argparse.Namespace(size=64, latent=64, n_mlp=8),
        "ada_aug_p": torch.tensor(0.0),
    }
    for new in (True, False):
        torch.save(content, path, _use_new_zipfile_serialization=new)
        loaded, truth = load_generator(path), load_generator(source)
        ws = truth.mapping(torch.randn(1, 64))
        assert torch.equal(loaded.synthesis(ws), truth.synthesis(ws))
        assert 0 < (loaded.w_avg - truth.mapping(torch.randn(4096, 64))[:, 0].mean(dim=0)).abs().max() < 0.2
    del content["g_ema"]["convs.1.conv.weight"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"convs\.1\.conv\.weight"):
        load_generator(path)


def rosinality_shapes(channels: int, levels: int) -> dict[str, tuple[int, ...]]:
    """The tensors of such a network whose widths are all alike."""
    shapes: dict[str, tuple[int, ...]] = {"input.input": (1, channels, 4, 4)}
    for index in (1, 2):
        shapes |= {f"style.{index}.weight": (channels, channels), f"style.{index}.bias": (channels,)}
    layers = ["conv1", *(f"convs.{index}" for index in range(2 * levels))]
    colours = ["to_rgb1", *(f"to_rgbs.{index}" for index in range(levels))]
    for name in layers:
        shapes |= {f"{name}.conv.weight": (1, channels, channels, 3, 3), f"{name}.noise.weight": (1,)}
        shapes[f"{name}.activate.bias"] = (channels,)
    for name in colours:
        shapes |= {f"{name}.conv.weight": (1, 3, channels, 1, 1), f"{name}.bias": (1, 3, 1, 1)}
    for name in layers + colours:
        shapes[f"{name}.conv.modulation.weight"] = (channels, channels)
        shapes[f"{name}.conv.modulation.bias"] = (channels,)
    return shapes


@pytest.mark.parametrize("kind", ["own", "shared", "expanded"])
def test_a_small_file_whose_tensors_are_views_of_the_same_numbers_is_refused(tmp_path: Path, kind: str) -> None:
    taps = torch.tensor([1.0, 3, 3, 1])
    storage = torch.randn(9 * 200 * 200).half()
    content = {"convs.0.conv.blur.kernel": torch.outer(taps, taps) / 16}
    for name, shape in rosinality_shapes(200, 4).items():
        view = storage[: math.prod(shape)].view(shape)
        if kind == "expanded" and name.endswith("conv.weight"):
            view = storage[:1].expand(shape)  # every stride is 0
        content[name] = view.clone() if kind == "own" else view
    path = tmp_path / "network.pt"
    torch.save({"g_ema": content}, path)
    if kind == "own":
        assert load_generator(path).resolution == (64, 64)
        return
    assert path.stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match=r"network\.pt: its tensors are views of the same numbers"):
        load_generator(path)


def test_numpy_arrays_of_the_same_numbers_are_refused(tmp_path: Path) -> None:
    numbers = np.zeros(1 << 18, np.float32)
    views = {f"view{index}": numbers[index:] for index in range(8)}
    tensors = Tensors(tmp_path / "network.pkl", views)
    for index in range(3):
        tensors.take(f"view{index}")
    with pytest.raises(CheckpointError, match="view3"):
        tensors.take("view3")
    tensors = Tensors(tmp_path / "network.pkl", {name: value.copy() for name, value in views.items()})
    for name in views:
        tensors.take(name)
