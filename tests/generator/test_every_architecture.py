# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist may ask of any network, whatever it was made with."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest
import torch

from stylegan_reactive.generator import (
    Bend,
    Canvas,
    Channels,
    Generator,
    Rewrite,
    load_generator,
    save_generator,
    seeded_direction,
    sefa,
)
from stylegan_reactive.generator.clusters import channel_count
from stylegan_reactive.generator.rewriting import layer_weight, weighted_layers

SHARED = Path(os.environ.get("SGR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
NETWORKS = SHARED / "reference" / "networks"
FILES = (
    "sg2ada_r64_cond10.pkl",
    "sg2ada_r32_orig.pkl",
    "sg2ada_r32_rgba.pkl",
    "sg3t_r64.pkl",
    "sg3r_r64.pkl",
    "tf_sg2_r64_v4.pkl",
    "ros_r64_small_converted.pt",
    "lucid_r64.pt",
    "sg1lern_r128.pt",
)


@pytest.fixture(scope="module", params=FILES)
def network(request: pytest.FixtureRequest) -> Generator:
    path = NETWORKS / request.param
    if not path.is_file():
        pytest.skip(f"no reference networks: {path} is missing (SGR_SHARED names their folder)")
    return load_generator(path)


@pytest.fixture(scope="module")
def ws(network: Generator) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(3)
    z = torch.randn(2, network.z_dim, generator=numbers)
    c = torch.eye(network.c_dim)[[1, 4]] if network.c_dim else None
    return network.mapping(z, c, truncation_psi=0.8)


def middle(network: Generator) -> str:
    """A layer with a weight from the middle of the network."""
    layers = weighted_layers(network)
    return layers[len(layers) // 2]


def test_a_picture_is_the_same_alone_and_in_a_batch(network: Generator, ws: torch.Tensor) -> None:
    together = network.synthesis(ws)
    spread = float(together.std())
    for index in range(2):
        alone = network.synthesis(ws[index : index + 1])[0]
        assert float((alone - together[index]).abs().max()) < 1e-4 * spread


def test_noise_can_be_given_for_some_inputs_and_left_to_the_network_for_others(
    network: Generator, ws: torch.Tensor
) -> None:
    own = network.synthesis(ws)
    for index, shape in enumerate(network.noise_shapes):
        noise: list[torch.Tensor | None] = [None] * len(network.noise_shapes)
        noise[index] = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(index))
        assert not torch.allclose(network.synthesis(ws, noise), own)
    assert torch.equal(network.synthesis(ws, [None] * len(network.noise_shapes)), own)


def test_any_layer_can_be_bent_and_forgets_it(network: Generator, ws: torch.Tensor) -> None:
    own = network.synthesis(ws)
    for layer in network.layer_names:
        bent = network.synthesis(ws, bends=[Bend(layer, "translate", {"x": 0.25})])
        assert bent.shape == own.shape
        assert bool(bent.isfinite().all())
        same = network.synthesis(ws, bends=[Bend(layer, "translate", {"x": 0.0})])
        assert float((same - own).abs().max()) < 1e-4 * float(own.std())
    assert torch.equal(network.synthesis(ws), own)


def test_samples_of_a_batch_are_bent_and_rewritten_each_by_its_own_amount(network: Generator, ws: torch.Tensor) -> None:
    layer = middle(network)
    delta = seeded_direction(network, layer, seed=1, samples=4)
    amounts = torch.tensor([0.0, 1.0])
    rewrites = [Rewrite(layer, delta, amounts)]
    bends = [Bend(layer, "rotate", {"angle": torch.tensor([0.0, 30.0])})]
    own = network.synthesis(ws)
    changed = network.synthesis(ws, bends=bends, rewrites=rewrites)
    tolerance = 1e-4 * float(own.std())
    assert float((changed[0] - own[0]).abs().max()) < tolerance
    assert float((changed[1] - own[1]).abs().mean()) > 100 * tolerance
    alone = network.synthesis(ws[1:], bends=[bends[0].sample(1)], rewrites=[Rewrite(layer, delta, 1.0)])
    assert float((changed[1] - alone[0]).abs().max()) < tolerance
    assert torch.equal(network.synthesis(ws), own)


def test_a_canvas_of_any_shape_is_painted(network: Generator, ws: torch.Tensor) -> None:
    height, width = network.resolution
    for size in ((2 * width + 3, height), (width, height + 17), (width // 2, height // 2 + 1)):
        picture = network.synthesis(ws, canvas=Canvas(*size))
        assert picture.shape == (2, network.img_channels, size[1], size[0])
        assert bool(picture.isfinite().all())
        assert float(picture.std(dim=(-2, -1)).min()) > 0.01


def test_a_direction_of_its_weights_changes_the_picture(network: Generator, ws: torch.Tensor) -> None:
    directions = sefa(network)
    assert directions.vectors.shape[1] == network.w_dim
    assert torch.allclose(directions.vectors.norm(dim=1), torch.ones(len(directions.vectors)), atol=1e-4)
    moved = network.synthesis(directions.moved(ws, torch.tensor([2.0])))
    assert float((moved - network.synthesis(ws)).abs().mean()) > 1e-5  # some of these hardly vary with z


def test_it_is_the_same_network_after_being_written_as_our_own_file(
    network: Generator, ws: torch.Tensor, tmp_path: Path
) -> None:
    own = network.synthesis(ws)
    for half, tolerance in ((False, 0.0), (True, 0.02)):
        save_generator(network, tmp_path / "own.safetensors", half=half)
        again = load_generator(tmp_path / "own.safetensors")
        assert type(again) is type(network)
        assert again.config == network.config
        assert float((again.synthesis(ws) - own).abs().max()) <= tolerance * float(own.max() - own.min())
    if network.c_dim == 0:
        z = torch.zeros(1, network.z_dim)
        assert math.isfinite(float(again.mapping(z).sum()))


def test_a_rewrite_of_a_layer_without_a_weight_is_refused(network: Generator, ws: torch.Tensor) -> None:
    known = {*weighted_layers(network), "input" if network.architecture == "stylegan3" else ""}
    for layer in set(network.layer_names) - known:
        with pytest.raises(ValueError, match=re.escape(f"a rewrite of layer {layer!r}")):
            network.synthesis(ws, rewrites=[Rewrite(layer, torch.zeros(1, 1, 1, 1))])


def test_values_for_another_number_of_pictures_are_refused(network: Generator, ws: torch.Tensor) -> None:
    layer = middle(network)
    delta = torch.zeros_like(layer_weight(network, layer))
    right, wrong = torch.tensor([0.1, 0.2]), torch.tensor([0.1, 0.2, 0.3])
    turn, shift = Bend(layer, "rotate", {"angle": wrong}), Rewrite(layer, delta, wrong)
    half = Bend(layer, "ablate", {"amount": 0.5}, channels=Channels(fraction=wrong))
    for bends, rewrites in (([turn], []), ([half], []), ([], [shift]), ([turn], [Rewrite(layer, delta, right)])):
        with pytest.raises(ValueError, match="3 values for a batch of 2"):
            network.synthesis(ws, bends=bends, rewrites=rewrites)
    with pytest.raises(ValueError, match="ws has shape"):
        network.synthesis(ws[:0])


def test_a_bend_before_the_first_layer_acts_or_is_refused(network: Generator, ws: torch.Tensor) -> None:
    bend = Bend("input", "multiply", {"factor": 0.3}, side="input")
    if network.architecture == "stylegan3":
        assert not torch.allclose(network.synthesis(ws, bends=[bend]), network.synthesis(ws))
    else:
        for paint in (network.synthesis, network.features):
            with pytest.raises(ValueError, match='reads nothing; use side "output"'):
                paint(ws, bends=[bend])
    after = Bend("input", "multiply", {"factor": 0.3})
    assert not torch.allclose(network.synthesis(ws, bends=[after]), network.synthesis(ws))


def test_how_many_channels_a_layer_gives_is_known(network: Generator, ws: torch.Tensor) -> None:
    for layer, x in network.features(ws[:1]).items():
        assert channel_count(network, layer) == x.shape[1]
