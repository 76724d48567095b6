# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting: other weights for one picture, and where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, builtin_checkpoint, load_generator
from stylegan_reactive.generator.directions import seeded_ws
from stylegan_reactive.generator.editing import rank_one_edit, seeded_direction
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.rewriting import (
    Rewrite,
    blend,
    from_network,
    layer_weight,
    load_deltas,
    save_deltas,
    weighted_layers,
)

LAYER = "b8.conv1"
REGION = (0.3, 0.3, 0.7, 0.7)


def network(seed: int, channels: tuple[int, ...] = (16, 16, 12, 8), connection: str = "skip") -> StyleGAN2:
    torch.manual_seed(seed)
    mapping = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16))
    generator = StyleGAN2(StyleGAN2Config(mapping, 32, channels, connection=connection)).eval()
    for name, tensor in generator.state_dict().items():
        if name.endswith(("noise_strength", "bias", "w_avg")):
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return generator


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return network(0)


@pytest.fixture(scope="module")
def ws(generator: StyleGAN2) -> Tensor:
    return seeded_ws(generator, 3, 0)


@pytest.fixture(scope="module")
def delta(generator: StyleGAN2) -> Tensor:
    return torch.randn(layer_weight(generator, LAYER).shape, generator=torch.Generator().manual_seed(0))


def test_amount_zero_is_the_network_itself(generator: StyleGAN2, ws: Tensor, delta: Tensor) -> None:
    plain = generator.synthesis(ws)
    for amount in (0.0, torch.tensor(0.0), torch.zeros(3)):
        assert torch.equal(generator.synthesis(ws, rewrites=[Rewrite(LAYER, delta, amount)]), plain)


def test_a_rewrite_is_the_network_with_that_weight_and_leaves_no_trace(
    generator: StyleGAN2, ws: Tensor, delta: Tensor
) -> None:
    plain = generator.synthesis(ws)
    other = network(0)
    other.synthesis.get_submodule(LAYER).weight.add_(0.5 * delta)
    rewritten = generator.synthesis(ws, rewrites=[Rewrite(LAYER, delta, 0.25), Rewrite(LAYER, delta, 0.25)])
    torch.testing.assert_close(rewritten, other.synthesis(ws), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(rewritten, plain, atol=0.01)
    assert torch.equal(generator.synthesis(ws), plain)


def test_every_sample_of_a_batch_has_its_own_amount(generator: StyleGAN2, ws: Tensor, delta: Tensor) -> None:
    amounts = torch.tensor([0.0, 1.0, -0.5])
    together = generator.synthesis(ws, rewrites=[Rewrite(LAYER, delta, amounts)])
    for index, amount in enumerate(amounts.tolist()):
        alone = generator.synthesis(ws[index : index + 1], rewrites=[Rewrite(LAYER, delta, amount)])
        assert torch.equal(together[index : index + 1], alone)


def test_arguments_that_do_not_fit_are_refused(generator: StyleGAN2, ws: Tensor, delta: Tensor) -> None:
    with pytest.raises(ValueError, match="delta"):
        generator.synthesis(ws, rewrites=[Rewrite(LAYER, delta[:, :3])])
    with pytest.raises(ValueError, match=r"amount of a rewrite .* 2 values for a batch of 3"):
        generator.synthesis(ws, rewrites=[Rewrite(LAYER, delta, torch.ones(2))])
    with pytest.raises(ValueError, match="amount"):
        Rewrite(LAYER, delta, float("nan"))
    for layer in ("input", "b7.conv1"):
        with pytest.raises(ValueError, match=layer):
            layer_weight(generator, layer)


def test_an_edit_changes_the_place_that_was_picked(generator: StyleGAN2, ws: Tensor) -> None:
    """In the middle the layer comes near to what another latent has there; the rest changes less than that."""
    edit = rank_one_edit(generator, "b16.conv1", ws[:1], REGION, ws[1:2])
    assert edit.after < 0.8 * edit.before
    before = generator.features(ws[:1], names=["b16.conv1"])["b16.conv1"]
    wanted = generator.features(ws[1:2], names=["b16.conv1"])["b16.conv1"]
    rewrites = [Rewrite("b16.conv1", edit.delta)]
    after = generator.features(ws[:1], names=["b16.conv1"], rewrites=rewrites)["b16.conv1"]
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[5:11, 5:11] = True
    nearer = ((before - wanted).square() - (after - wanted).square())[..., inside].mean()
    moved = (after - before).square()
    assert float(nearer) > 0
    assert float(moved[..., inside].mean()) > 2 * float(moved[..., ~inside].mean())


def test_an_edit_of_the_built_in_network_stays_where_it_was_made() -> None:
    layer = "b16.conv0"
    generator = load_generator(builtin_checkpoint("silk"))
    ws = seeded_ws(generator, 2, 1)
    edit = rank_one_edit(generator, layer, ws[:1], REGION, ws[1:], samples=8)
    assert edit.after < 0.6 * edit.before
    assert edit.elsewhere < 0.6 * edit.before
    assert int(torch.linalg.matrix_rank(edit.delta.flatten(1).double(), rtol=1e-4)) == 1


def test_a_mask_and_a_rectangle_say_the_same(generator: StyleGAN2, ws: Tensor) -> None:
    mask = torch.zeros(40, 40)
    mask[10:30, 20:30] = 1
    one = rank_one_edit(generator, LAYER, ws[:1], mask, ws[1:2], samples=4)
    other = rank_one_edit(generator, LAYER, ws[:1], (0.5, 0.25, 0.75, 0.75), ws[1:2], samples=4)
    torch.testing.assert_close(one.delta, other.delta, atol=1e-5, rtol=1e-3)


def test_what_is_wanted_can_be_picked_from_another_place(generator: StyleGAN2, ws: Tensor) -> None:
    here, there = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
    layer = "b16.conv1"
    edit = rank_one_edit(generator, layer, ws[:1], here, ws[1:2], there, samples=8)
    rewritten = generator.features(ws[:1], names=[layer], rewrites=[Rewrite(layer, edit.delta)])[layer]
    before, source = (generator.features(part, names=[layer])[layer] for part in (ws[:1], ws[1:2]))
    wanted = source[..., 8:, 8:]
    assert (rewritten[..., :8, :8] - wanted).square().mean() < 0.8 * (before[..., :8, :8] - wanted).square().mean()


@pytest.mark.parametrize("region", [(0.5, 0.5, 0.5, 0.5), (1.5, 0.0, 2.0, 1.0), torch.zeros(8, 8), torch.ones(8)])
def test_a_region_without_a_picture_is_refused(
    generator: StyleGAN2, ws: Tensor, region: tuple[float, float, float, float] | Tensor
) -> None:
    with pytest.raises(ValueError, match="region"):
        rank_one_edit(generator, LAYER, ws[:1], region, ws[1:2], samples=2)


def test_seeded_directions_are_all_of_one_strength(generator: StyleGAN2) -> None:
    """Scaling a layer's weight, which demodulation hides, scales its directions."""
    louder = network(0)
    louder.synthesis.get_submodule(LAYER).weight.mul_(8)
    direction = seeded_direction(generator, LAYER, 3, samples=4)
    torch.testing.assert_close(seeded_direction(louder, LAYER, 3, samples=4), 8 * direction, rtol=1e-3, atol=1e-4)
    assert torch.equal(seeded_direction(generator, LAYER, 3, samples=4), direction)
    assert not torch.allclose(seeded_direction(generator, LAYER, 4, samples=4), direction, atol=0.01)


def test_every_layer_with_a_weight_has_a_direction_that_shows(generator: StyleGAN2, ws: Tensor) -> None:
    plain = generator.synthesis(ws[:1])
    for layer in weighted_layers(generator):
        direction = seeded_direction(generator, layer, 0, samples=4)
        change = (generator.synthesis(ws[:1], rewrites=[Rewrite(layer, direction)]) - plain).std() / plain.std()
        assert 0.003 < float(change) < 2, layer


def test_a_blend_of_everything_is_the_second_network(generator: StyleGAN2, ws: Tensor) -> None:
    other = network(5)
    plain, theirs = generator.synthesis(ws), other.synthesis(ws)
    assert torch.equal(blend(generator, other, 1.0).synthesis(ws), theirs)
    assert torch.equal(blend(generator, other, 0.0).synthesis(ws), plain)
    z = torch.ones(1, 8)
    assert torch.equal(blend(generator, other, {"mapping": 1.0}).mapping(z), other.mapping(z))
    between = blend(generator, other, 0.5)
    assert not torch.allclose(between.synthesis(ws), plain, atol=0.01)
    assert torch.equal(generator.synthesis(ws), plain)
    assert torch.equal(other.synthesis(ws), theirs)


def test_a_blend_of_fine_layers_keeps_the_coarse_ones(generator: StyleGAN2, ws: Tensor) -> None:
    other = network(5)
    fine = {layer: 1.0 for layer in generator.layer_names if layer.startswith("b32")}
    features = [g.features(ws, names=["b16.conv1", "b32.conv1"]) for g in (generator, blend(generator, other, fine))]
    assert torch.equal(features[0]["b16.conv1"], features[1]["b16.conv1"])
    assert not torch.allclose(features[0]["b32.conv1"], features[1]["b32.conv1"], atol=0.01)


def test_weights_of_a_second_network_blend_at_every_frame(generator: StyleGAN2, ws: Tensor) -> None:
    second = network(0)
    for layer in weighted_layers(second):
        second.synthesis.get_submodule(layer).weight.mul_(1.5).add_(0.1)
    deltas = from_network(generator, second)
    rewrites = [Rewrite(layer, delta) for layer, delta in deltas.items()]
    torch.testing.assert_close(generator.synthesis(ws, rewrites=rewrites), second.synthesis(ws), atol=1e-3, rtol=1e-3)
    assert list(from_network(generator, second, ["b8.conv0"])) == ["b8.conv0"]


def test_networks_of_other_shapes_are_refused(generator: StyleGAN2) -> None:
    wider = network(1, (16, 24, 12, 8))
    for difference in (from_network, blend):
        with pytest.raises(CheckpointError, match=r"second network.*expected"):
            difference(generator, wider)
    with pytest.raises(CheckpointError, match="second network"):
        blend(generator, network(1, connection="resnet"))
    with pytest.raises(ValueError, match=r"b9\.conv1"):
        blend(generator, network(1), {"b9.conv1": 1.0})


def test_deltas_come_back_from_their_file(generator: StyleGAN2, delta: Tensor, tmp_path: Path) -> None:
    save_deltas({LAYER: delta, "b8.torgb": torch.zeros(3, 16, 1, 1)}, tmp_path / "eyes.safetensors")
    loaded = load_deltas(tmp_path / "eyes.safetensors", generator)
    assert list(loaded) == [LAYER, "b8.torgb"]
    assert torch.equal(loaded[LAYER], delta)


def test_one_delta_can_be_kept_for_several_layers(generator: StyleGAN2, tmp_path: Path) -> None:
    same = torch.randn(generator.synthesis.b4.conv1.weight.shape)
    save_deltas({"b4.conv1": same, "b8.conv1": same}, tmp_path / "twice.safetensors")
    for delta in load_deltas(tmp_path / "twice.safetensors", generator).values():
        assert torch.equal(delta, same)


def test_files_that_hold_no_deltas_for_this_network_are_named(
    generator: StyleGAN2, delta: Tensor, tmp_path: Path
) -> None:
    save_deltas({"b64.conv1": delta}, tmp_path / "larger.safetensors")
    save_deltas({LAYER: delta[:, :5]}, tmp_path / "narrower.safetensors")
    save_deltas({LAYER: delta / 0}, tmp_path / "infinite.safetensors")
    save_file({LAYER: delta}, tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("no rewrites")
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError, match=path.name):
            load_deltas(path, generator)
