# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN 3: exact, equivariant, of any size, and as frugal as it says."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.stylegan3 import random_network, textbook_synthesis
from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import filtered_lrelu as rectifier
from stylegan_reactive.generator.canvas import Canvas
from stylegan_reactive.generator.checkpoint import load_generator, save_generator
from stylegan_reactive.generator.formats import stylegan3 as reader
from stylegan_reactive.generator.stylegan3 import StyleGAN3, transform_matrix
from stylegan_reactive.generator.unpickle import PersistentObject, read_pickle

SHARED = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
NETWORKS = SHARED / "reference" / "networks"
KINDS = {"translation": "sg3t_r64", "rotation": "sg3r_r64"}

needs_reference = pytest.mark.skipif(not (NETWORKS / "sg3t_r64.pkl").exists(), reason="the reference folder is missing")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small networks gain nothing from several threads, and lose much where others compute too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def network(kind: str) -> StyleGAN3:
    """Small, of random weights."""
    return random_network(64, radial=kind == "rotation", base=512, widest=16, w_dim=32)


@pytest.fixture(scope="module")
def ws(network: StyleGAN3) -> Tensor:
    return network.mapping(torch.randn(2, 32, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def own(network: StyleGAN3, ws: Tensor) -> Tensor:
    return network.synthesis(ws)


def assert_near(found: Tensor, true: Tensor | np.ndarray, of_range: float) -> None:
    """Nowhere further than this part of the range of the true values."""
    true = torch.as_tensor(true)
    assert found.shape == true.shape
    assert float((found - true).abs().max()) <= of_range * float(true.max() - true.min())


@pytest.fixture(scope="module")
def reference(kind: str) -> tuple[StyleGAN3, dict[str, np.ndarray]]:
    generator = load_generator(NETWORKS / f"{KINDS[kind]}.pkl")
    assert isinstance(generator, StyleGAN3)
    return generator, dict(np.load(NETWORKS / f"{KINDS[kind]}.npz"))


@needs_reference
def test_a_published_file_gives_its_true_pictures(reference: tuple[StyleGAN3, dict[str, np.ndarray]]) -> None:
    generator, true = reference
    z = torch.from_numpy(true["z"])
    for name, psi, cutoff in (("", 1.0, None), ("_psi0.7", 0.7, None), ("_psi0.5_cut4", 0.5, 4)):
        ws = generator.mapping(z, truncation_psi=psi, truncation_cutoff=cutoff)
        assert float((ws - torch.from_numpy(true[f"ws{name}"])).abs().max()) < 1e-5
        assert_near(generator.synthesis(ws), true[f"img_const{name}"], 1e-4)
    for name in ("transform", "transform_zoom"):
        picture = generator.synthesis(torch.from_numpy(true["ws_psi0.7"]), transform=torch.from_numpy(true[name]))
        assert_near(picture, true[f"img_const_psi0.7_{name}"], 1e-4)


@needs_reference
def test_a_published_file_gives_its_true_features(reference: tuple[StyleGAN3, dict[str, np.ndarray]]) -> None:
    generator, true = reference
    features = generator.features(torch.from_numpy(true["ws"]))
    names = [name for name in true if name.startswith("feat/")]
    assert len(names) >= 6
    for name in names:
        assert_near(features[name[5:]][0], true[name], 1e-4)


@needs_reference
def test_the_random_networks_have_the_published_layers_and_filters(
    reference: tuple[StyleGAN3, dict[str, np.ndarray]], kind: str
) -> None:
    published, true = reference
    radial = kind == "rotation"
    made = random_network(64, radial=radial, base=2048, widest=32 if radial else 64, w_dim=128)
    assert made.config == published.config
    for name, layer in zip(made.layer_names[1:], made.synthesis.layers, strict=True):
        for side, kernel in (("up", layer.up_filter), ("down", layer.down_filter)):
            assert (f"filt/{name}.{side}" in true) == (kernel is not None)
            if kernel is not None:
                assert_near(kernel, true[f"filt/{name}.{side}"], 1e-5)


def test_pictures_are_those_of_the_textbook(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    assert float(own.std()) > 0.01
    assert_near(own, textbook_synthesis(network, ws), 1e-5)


def test_a_picture_is_the_same_alone_and_in_a_batch(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    assert_near(network.synthesis(ws[1:]), own[1:], 1e-5)
    other = network.mapping(50 * torch.ones(1, 32))
    assert_near(network.synthesis(torch.cat([other, ws]))[1:], own, 1e-5)


@pytest.mark.parametrize("values", [4_000, 60_000])
def test_the_size_of_tiles_changes_nothing(
    network: StyleGAN3, ws: Tensor, own: Tensor, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rectifier, "TILE_VALUES", values)
    assert_near(network.synthesis(ws), own, 1e-5)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(
    ("up", "down", "pads"), [(2, 2, (9, 8)), (4, 2, (-6, -9)), (2, 4, (3, -4)), (3, 1, (0, 5)), (1, 3, (2, 2))]
)
def test_tiles_give_what_whole_maps_give(up: int, down: int, pads: tuple[int, int], radial: bool) -> None:
    random = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    up_filter = draw(6 * up) / 6 if up > 1 else None  # neither is symmetric
    down_filter = draw(5 * down, 5 * down) / 25 if radial else draw(5 * down) / 5 if down > 1 else None
    plan = rectifier.Resampling(up, down, *pads, clamp=2.0)
    given = draw(2, 21, 26, 33), draw(2, 21), draw(21), up_filter, down_filter, plan
    found, true = rectifier.filtered_lrelu_tiled(*given), rectifier.filtered_lrelu_whole(*given)
    assert float(true.abs().max()) > 0.1
    assert_near(found, true, 1e-5)


def test_gradients_reach_ws_through_the_same_picture(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    wanted = ws[:1].clone().requires_grad_()
    picture = network.synthesis(wanted)
    assert_near(picture.detach(), own[:1], 1e-5)
    picture.square().sum().backward()
    assert wanted.grad is not None
    assert bool((wanted.grad.abs().sum(dim=2) > 0).all())  # each layer's w has its part


@pytest.mark.parametrize("size", [(64, 64), (97, 64), (64, 80), (30, 41), (1, 1)])
@pytest.mark.parametrize("layer", [0, 4, 9])
def test_a_canvas_has_the_size_asked_for(network: StyleGAN3, ws: Tensor, size: tuple[int, int], layer: int) -> None:
    picture = network.synthesis(ws[:1], canvas=Canvas(*size, network.layer_names[layer], "reflect"))
    assert picture.shape == (1, 3, size[1], size[0])
    assert bool(picture.isfinite().all())


def test_a_larger_canvas_shows_more_around_the_same_picture(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    large = network.synthesis(ws, canvas=Canvas(128, 96))
    around = large[..., 16:80, 32:96] - own  # the margins hide nearly all of what a larger map changes
    assert float(around.abs().mean()) < 0.01 * float(own.std())
    assert float(around[..., 16:48, 16:48].abs().max()) < 0.01 * float(own.std())
    assert float(large[..., :16].std()) > 0.1 * float(own.std())


def test_a_transform_shifts_the_whole_picture(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    shifted = network.synthesis(ws, transform=transform_matrix(translate=(0.25, -0.125)))
    difference = shifted[..., :56, 16:] - own[..., 8:, :48]  # 16 px to the right, 8 px up
    assert float(difference.abs().mean()) < 0.02 * float(own.std())
    assert float((shifted - own).abs().mean()) > 0.1 * float(own.std())


def test_a_rotation_equivariant_network_turns_its_picture() -> None:
    network = random_network(64, radial=True, base=512, widest=16, w_dim=32)
    ws = network.mapping(torch.randn(1, 32, generator=torch.Generator().manual_seed(3)))
    turned = network.synthesis(ws, transform=transform_matrix(rotate=90))
    assert_near(turned, torch.rot90(network.synthesis(ws), 1, (2, 3)), 1e-4)  # counter-clockwise


def test_scaling_enlarges_the_middle(network: StyleGAN3, ws: Tensor) -> None:
    source = network.synthesis.input
    own = source.waves(ws[:, 0], (32, 32), None)
    smaller = source.waves(ws[:, 0], (32, 32), transform_matrix(scale=0.5))
    larger = source.waves(ws[:, 0], (32, 32), transform_matrix(scale=3.0))
    # Three times as large, every third sample shows what was between: 3 * (i + 1/2 - 16) + 16 - 1/2 = 3i - 31.
    middle = torch.arange(11, 21)
    there = 3 * middle - 31
    assert torch.allclose(larger[:, :, there][..., there], own[:, :, middle][..., middle], atol=1e-4)
    assert float(smaller.abs().mean()) < float(own.abs().mean())  # waves too fine for the grid fade out


def test_each_sample_of_a_batch_can_move_by_itself(network: StyleGAN3, ws: Tensor, own: Tensor) -> None:
    transform = transform_matrix(translate=(torch.tensor([0.0, 0.3]), 0.1), rotate=torch.tensor([0.0, 20.0]))
    assert transform.shape == (2, 3, 3)
    both = network.synthesis(ws, transform=transform)
    assert_near(network.synthesis(ws[1:], transform=transform[1]), both[1:], 1e-5)
    assert_near(network.synthesis(ws[:1], transform=transform_matrix((0.0, 0.1))), both[:1], 1e-5)


def test_what_a_stylegan3_lacks_is_refused(network: StyleGAN3, ws: Tensor) -> None:
    with pytest.raises(ValueError, match="lower resolution"):
        network.synthesis(ws, stop=32)
    with pytest.raises(ValueError, match=r"\[3, 3\] or \[2, 3, 3\]"):
        network.synthesis(ws, transform=torch.eye(2))
    with pytest.raises(ValueError, match="0 noise inputs"):
        network.synthesis(ws, [None])
    with pytest.raises(ValueError, match="more than 0"):
        transform_matrix(scale=0.0)
    for impossible in ({"rotate": math.nan}, {"translate": (math.inf, 0.0)}, {"scale": torch.tensor([1.0, 1e-40])}):
        with pytest.raises(ValueError, match="finite"):
            transform_matrix(**impossible)
    assert network.noise_shapes == ()
    assert torch.equal(network.synthesis(ws, "none"), network.synthesis(ws, "const"))


@dataclass(frozen=True)
class Louder:
    """A bend and a rewrite: the first channels twice as strong."""

    layer: str
    side: str = "output"
    differs: bool = False
    idle: bool = False

    def __call__(self, x: Tensor, margin: int = 0) -> Tensor:
        x = x.clone()
        (x[:, :2] if x.ndim == 4 and self.side != "weight" else x[:2]).mul_(2)
        return x

    def sample(self, index: int) -> Louder:
        return self


def test_every_layer_can_be_bent_and_rewritten(network: StyleGAN3, ws: Tensor) -> None:
    ws = ws[:1]
    own = network.synthesis(ws)
    for index, layer in enumerate(network.layer_names):
        side = ("input", "output")[index % 2]
        assert float((network.synthesis(ws, bends=[Louder(layer, side)]) - own).abs().max()) > 1e-4, (layer, side)
    for layer in (network.layer_names[0], network.layer_names[-1]):  # demodulation hides a louder output elsewhere
        assert float((network.synthesis(ws, rewrites=[Louder(layer, "weight")]) - own).abs().max()) > 1e-4, layer
    assert torch.equal(network.synthesis(ws), own)  # nothing stays


def test_features_have_the_sizes_and_margins_that_are_told(network: StyleGAN3, ws: Tensor) -> None:
    features = network.features(ws)
    assert tuple(features) == network.layer_names
    for name, feature in features.items():
        assert feature.shape[2:] == network.synthesis.map_size(name)
    assert network.synthesis.margin("input") == 10
    assert network.synthesis.margin(network.layer_names[-1]) == 0


def test_our_own_file_keeps_every_pixel(network: StyleGAN3, ws: Tensor, own: Tensor, tmp_path: Path) -> None:
    save_generator(network, tmp_path / "network.safetensors", half=False)
    loaded = load_generator(tmp_path / "network.safetensors")
    assert isinstance(loaded, StyleGAN3)
    assert torch.equal(loaded.synthesis(ws), own)


def test_a_configuration_that_does_not_fit_together_is_refused(network: StyleGAN3) -> None:
    sizes = network.config.sizes
    with pytest.raises(ValueError, match=r"layer L2_\d+_\d+ turns"):
        replace(network.config, sizes=(*sizes[:3], sizes[3] + 2, *sizes[4:]))
    with pytest.raises(ValueError, match="conv_kernels"):
        replace(network.config, conv_kernels=(3,))


def inside(data: Any, path: str) -> dict[str, Any]:
    """The attributes of a module of the file."""
    module = data["G_ema"]
    for name in path.split("."):
        module = module.state["_modules"][name]
    return module.state


def lose_bias(data: Any) -> None:
    del inside(data, "synthesis.L2_36_64")["_parameters"]["bias"]


def lose_filter(data: Any) -> None:
    inside(data, "synthesis.L3_36_64")["_buffers"]["down_filter"] = None


def lose_frequency(data: Any) -> None:
    buffers = inside(data, "synthesis.input")["_buffers"]
    buffers["freqs"] = buffers["freqs"][:-1]


def spoil_weight(data: Any) -> None:
    inside(data, "synthesis.L5_52_64")["_parameters"]["weight"][0, 0, 0, 0] = torch.nan


def add_noise(data: Any) -> None:
    inside(data, "synthesis.L5_52_64")["_buffers"]["noise_const"] = torch.zeros(52, 52)


def shift_padding(data: Any) -> None:
    inside(data, "synthesis.L0_36_64")["padding"] = [9, 10, 9, 10]


def lose_factor(data: Any) -> None:
    del inside(data, "synthesis.L0_36_64")["up_factor"]


def grow_size(data: Any) -> None:
    inside(data, "synthesis.L0_36_64")["in_size"] = np.full(100_000, 36, np.uint8)


def clamp_one_layer(data: Any) -> None:
    inside(data, "synthesis.L4_52_64")["conv_clamp"] = 12


def change_class(data: Any) -> None:
    synthesis = inside(data, "synthesis")["_modules"]
    synthesis["L4_52_64"] = PersistentObject("OddLayer", synthesis["L4_52_64"].state)


@pytest.fixture(scope="module")
def file_data() -> Any:
    return read_pickle(NETWORKS / "sg3t_r64.pkl")


@needs_reference
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lose_bias, r"synthesis\.L2_36_64\.bias"),
        (lose_filter, "L3_36_64 turns 36 px"),
        (lose_frequency, r"synthesis\.input\.freqs has shape \[63, 2\]; \[64, 2\]"),
        (spoil_weight, r"synthesis\.L5_52_64\.weight has values that are not finite"),
        (add_noise, r"no place for, first synthesis\.L5_52_64\.noise_const"),
        (shift_padding, "L0_36_64 turns 36 px"),
        (lose_factor, r"synthesis\.L0_36_64 lacks the attribute up_factor"),
        (grow_size, r"synthesis\.L0_36_64\.in_size has 100000 numbers"),
        (clamp_one_layer, "conv_clamp differs"),
        (change_class, r"synthesis\.L4_52_64 is a OddLayer"),
    ],
)
def test_a_file_that_is_not_quite_one_is_refused(file_data: Any, damage: Callable[[Any], None], told: str) -> None:
    data = copy.deepcopy(file_data)
    damage(data)
    assert reader.recognise(data)
    with pytest.raises(CheckpointError, match=told) as refusal:
        reader.read(data, Path("network.pkl"))
    assert "network.pkl" in str(refusal.value)
