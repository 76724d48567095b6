# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of channels: those that draw the same are found together, kept beside the network, and shown."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config
from stylegan_reactive.generator.bending import Bend, Channels
from stylegan_reactive.generator.clusters import Clusters, find_clusters, load_or_find_clusters
from stylegan_reactive.generator.mapping import MappingConfig

LAYER = "b16.conv1"
GROUPS = ((0, 3, 6, 9, 12, 15), (1, 4, 7, 10, 13, 14), (2, 5, 8, 11))  # of the channels of that layer
FAST = {"samples": 4, "seed": 0}


def network(seed: int = 0, **options: int) -> StyleGAN2:
    """A random network whose layer `LAYER` draws just three things, each with several channels."""
    torch.manual_seed(seed)
    mapping = MappingConfig(
        z_dim=8, c_dim=options.get("c_dim", 0), w_dim=16, widths=(16,), embed_dim=4 * bool(options.get("c_dim"))
    )
    generator = StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 16, 8), img_channels=options.get("img_channels", 3)))
    layer = generator.synthesis.get_submodule(LAYER)
    for group in GROUPS:
        for index, channel in enumerate(group):
            layer.weight.data[channel] = (1 + index) * layer.weight.data[group[0]]
            layer.weight.data[channel] += 0.05 * (1 + index) * torch.randn(16, 3, 3)
    return generator


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return network()


@pytest.fixture(scope="module")
def clusters(generator: StyleGAN2) -> Clusters:
    return find_clusters(generator, LAYER, 3, **FAST)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.pkl"


def kept(file: Path) -> Path:
    return file.with_name("network.clusters.safetensors")


def no_search(fraction: float, text: str) -> None:
    raise AssertionError("searched although the result is kept")


def same(one: Clusters, other: Clusters) -> bool:
    return (one.layer, one.labels) == (other.layer, other.labels) and np.array_equal(one.pictures, other.pictures)


def test_channels_that_draw_the_same_are_found_together(clusters: Clusters) -> None:
    assert tuple(clusters.channels(number) for number in range(3)) == GROUPS  # the largest first


def test_the_same_search_finds_the_same(generator: StyleGAN2, clusters: Clusters) -> None:
    torch.manual_seed(77)
    torch.randn(5)
    assert same(find_clusters(generator, LAYER, 3, **FAST), clusters)


def test_a_cluster_can_be_bent_alone(generator: StyleGAN2, clusters: Clusters) -> None:
    ws = generator.mapping(torch.ones(1, 8))
    plain = generator.features(ws, names=[LAYER])[LAYER]
    bend = Bend(LAYER, "ablate", {"amount": 1.0}, channels=Channels.cluster(clusters, 1))
    bent = generator.features(ws, names=[LAYER], bends=[bend])[LAYER]
    assert tuple((bent != plain).flatten(2).any(dim=2)[0].nonzero().flatten().tolist()) == GROUPS[1]
    with pytest.raises(ValueError, match=r"no cluster 3 of layer b16.conv1: they are 0 to 2"):
        clusters.channels(3)


def test_each_cluster_has_a_picture_with_its_places_in_colour(clusters: Clusters) -> None:
    assert clusters.pictures.shape == (3, 32, 32, 3)
    assert clusters.pictures.dtype == np.uint8
    for picture in clusters.pictures.astype(int):
        colourful = picture.max(axis=2) - picture.min(axis=2)
        assert (colourful > 60).mean() > 0.01, "nothing is highlighted"
        assert (colourful < 10).mean() > 0.2, "everything is highlighted"


def test_the_picture_shows_where_the_cluster_fires() -> None:
    generator = network()
    spot = torch.zeros(16, 16)
    spot[3:7, 9:14] = 50
    layer = generator.synthesis.get_submodule(LAYER)
    layer.noise_const.copy_(spot)
    layer.noise_strength.data.fill_(1.0)  # now all channels fire there
    picture = find_clusters(generator, LAYER, 1, **FAST).pictures[0].astype(int)
    red = picture[..., 0] - picture[..., 2]
    rows, columns = np.nonzero(red > 100)
    assert abs(rows.mean() - 9.5) < 1.5
    assert abs(columns.mean() - 22.5) < 1.5


@pytest.mark.parametrize("layer", ["input", "b8.conv0", "b32.torgb"])
def test_any_layer_of_conditional_and_transparent_networks_has_clusters(layer: str) -> None:
    found = find_clusters(network(c_dim=3, img_channels=4), layer, 2, **FAST)
    assert set(found.labels) == {0, 1}
    assert found.pictures.shape == (2, 32, 32, 3)


def test_channels_that_never_change_do_no_harm() -> None:
    generator = network()
    layer = generator.synthesis.get_submodule(LAYER)
    layer.weight.data[[2, 5, 8, 11]] = 0
    found = find_clusters(generator, LAYER, 3, **FAST)
    assert found.channels(0) == GROUPS[0]
    assert found.channels(1) == GROUPS[1]
    layer.weight.data[:] = 0
    assert len(find_clusters(generator, LAYER, 3, **FAST).labels) == 16


def test_progress_is_told_and_can_cancel(generator: StyleGAN2) -> None:
    told: list[float] = []
    find_clusters(generator, LAYER, 3, progress=lambda fraction, text: told.append(fraction), **FAST)
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.9 <= told[-1] <= 1

    class Stop(Exception):
        pass

    def stop(fraction: float, text: str) -> None:
        if fraction > 0.3:
            raise Stop

    with pytest.raises(Stop):
        find_clusters(generator, LAYER, 3, progress=stop, **FAST)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("b64.conv1", 3), "layer 'b64.conv1': this network has the layers input, b4.conv1"),
        ((LAYER, 17), "17 clusters.*only 16 channels"),
        ((LAYER, 0), "at least 1"),
    ],
)
def test_impossible_searches_are_refused(generator: StyleGAN2, arguments: tuple[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_clusters(generator, *arguments, **FAST)


def test_what_was_found_is_kept_beside_the_network(generator: StyleGAN2, clusters: Clusters, file: Path) -> None:
    first = load_or_find_clusters(generator, file, LAYER, 3, **FAST)
    other = load_or_find_clusters(generator, file, "b8.conv1", 2, **FAST)
    assert [path.name for path in file.parent.iterdir()] == ["network.clusters.safetensors"]
    assert same(first, clusters)
    assert same(load_or_find_clusters(generator, file, LAYER, 3, progress=no_search, **FAST), clusters)
    assert same(load_or_find_clusters(network(), file, "b8.conv1", 2, progress=no_search, **FAST), other)
    for changed in ({"samples": 5, "seed": 0}, {"samples": 4, "seed": 1}):
        with pytest.raises(AssertionError, match="searched"):
            load_or_find_clusters(generator, file, LAYER, 3, progress=no_search, **changed)


def test_other_weights_have_other_clusters(generator: StyleGAN2, file: Path) -> None:
    load_or_find_clusters(generator, file, LAYER, 3, **FAST)
    trained_on = network()
    trained_on.synthesis.get_submodule("b8.conv0").bias.data[0] += 0.01
    with pytest.raises(AssertionError, match="searched"):
        load_or_find_clusters(trained_on, file, LAYER, 3, progress=no_search, **FAST)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "flipped", "types", "folder", "too few", "too many"])
def test_a_damaged_file_is_made_anew(damage: str, generator: StyleGAN2, clusters: Clusters, file: Path) -> None:
    load_or_find_clusters(generator, file, LAYER, 3, **FAST)
    data = kept(file).read_bytes()
    if damage == "folder":
        kept(file).unlink()
        kept(file).mkdir()
    elif damage == "types":  # such as numpy has not
        with safe_open(kept(file), "pt") as found:
            names, metadata = found.keys(), found.metadata()
        save_file({name: torch.zeros(4).to(torch.float8_e4m3fn) for name in names}, kept(file), metadata)
    elif damage.startswith("too"):
        with safe_open(kept(file), "pt") as found:
            tensors, metadata = {name: found.get_tensor(name) for name in found.keys()}, found.metadata()  # noqa: SIM118
        name = next(name for name in tensors if name.endswith("labels"))
        labels = tensors[name]
        tensors[name] = labels[:-1].clone() if damage == "too few" else torch.cat([labels, labels[:1]])
        save_file(tensors, kept(file), metadata)
    else:
        kept(file).write_bytes(
            {"empty": b"", "cut": data[:-100], "noise": bytes(range(256)) * 9, "flipped": data[::-1]}[damage]
        )
    assert same(load_or_find_clusters(generator, file, LAYER, 3, **FAST), clusters)
    if damage != "folder":
        assert same(load_or_find_clusters(generator, file, LAYER, 3, progress=no_search, **FAST), clusters)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    generator: StyleGAN2, clusters: Clusters, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("")
    assert same(load_or_find_clusters(generator, in_the_way / "network.pkl", LAYER, 3, **FAST), clusters)
    folder = tmp_path / "cache"
    for _ in range(2):
        found = load_or_find_clusters(generator, in_the_way / "network.pkl", LAYER, 3, folder=folder, **FAST)
        assert same(found, clusters)
    assert len(os.listdir(folder)) == 1
    load_or_find_clusters(generator, in_the_way / "network.pkl", LAYER, 3, folder=folder, progress=no_search, **FAST)
