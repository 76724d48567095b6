# SPDX-License-Identifier: GPL-3.0-or-later
"""Bends and rewrites of a patch: which layer, which channels, how far, and that a curve opens them without a jump."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stylegan_reactive.choreography import (
    BendChannels,
    BendLayer,
    Choreographer,
    FileRewrite,
    LatentLayer,
    NetworkRewrite,
    Patch,
    RewriteLayer,
    SeededRewrite,
    Signal,
    StaticLatent,
)
from stylegan_reactive.choreography.operations import OPERATIONS
from stylegan_reactive.errors import PatchError
from stylegan_reactive.generator import Generator, load_generator, save_deltas, save_generator, seeded_direction
from stylegan_reactive.generator.toolbox import Tensors

LATENTS = (LatentLayer(source=StaticLatent(latents=(5,))),)


MakeNetwork = Callable[..., Generator]


@pytest.fixture(scope="module")
def network(make_small_network: MakeNetwork) -> Generator:
    return make_small_network(1)


def bent(**settings: Any) -> Patch:
    return Patch(latent_layers=LATENTS, bends=(BendLayer(**settings),))


def rewritten(source: Any, **settings: Any) -> Patch:
    return Patch(latent_layers=LATENTS, rewrites=(RewriteLayer(source=source, **settings),))


def picture(patch: Patch, network: Generator, **values: float) -> torch.Tensor:
    return Choreographer(patch, network).inputs(values).paint(network)


def opened(operation: str) -> dict[str, Signal]:
    """Each acting parameter driven by the kick from its default to somewhere else."""
    signals = {}
    for name, limits in OPERATIONS[operation].items():
        if limits.acts:
            way = 40.0 if operation == "rotate" else 0.3
            signals[name] = Signal(1.0, "audio_kick", gain=way, offset=limits.default)
    return signals


# Bends


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bend_follows_its_envelope_and_rests_with_it(network: Generator, operation: str) -> None:
    patch = bent(layer="16 px", operation=operation, parameters=tuple(opened(operation).items()))
    choreographer = Choreographer(patch, network)
    plain = picture(Patch(latent_layers=LATENTS), network)
    at_rest = choreographer.inputs({"audio_kick": 0.0})
    assert at_rest.bends == ()  # so that it costs nothing
    assert torch.equal(at_rest.paint(network), plain)
    change = [
        float((choreographer.inputs({"audio_kick": kick}).paint(network) - plain).abs().mean())
        for kick in (1e-6, 0.1, 1.0)
    ]
    spread = float(plain.std())
    assert change[2] > 1e-3 * spread  # it is seen,
    assert change[0] < 0.02 * change[2]  # and sets in without a jump
    assert change[1] > change[0]


def test_numbers_that_overshoot_stop_at_what_is_possible(network: Generator) -> None:
    patch = bent(operation="invert", parameters=(("amount", Signal(3.0, "audio_kick")),))
    choreographer = Choreographer(patch, network)
    assert choreographer.inputs({"audio_kick": 0.9}).bends[0].parameters["amount"] == 1.0
    assert choreographer.inputs({"audio_kick": -4.0}).bends == ()
    assert choreographer.inputs({"audio_kick": 0.1}).bends[0].parameters["amount"] == pytest.approx(0.3)
    keyed = choreographer.inputs({"audio_kick": 1.0, "bends.0.parameters.amount.amount": 0.25})
    assert keyed.bends[0].parameters["amount"] == 0.25


def test_a_fraction_of_channels_opens_with_an_envelope(network: Generator) -> None:
    channels = BendChannels(fraction=Signal(1.0, "audio_kick"), seed=4)
    patch = bent(operation="ablate", parameters=(("amount", Signal(1.0)),), channels=channels)
    pictures = [picture(patch, network, audio_kick=kick) for kick in (0.0, 0.3, 0.30001, 1.0)]
    assert torch.equal(pictures[0], picture(Patch(latent_layers=LATENTS), network))
    assert float((pictures[1] - pictures[0]).abs().max()) > 0.01
    assert float((pictures[2] - pictures[1]).abs().max()) < 0.01
    other_order = bent(operation="ablate", parameters=(("amount", Signal(1.0)),), channels=replace(channels, seed=5))
    assert not torch.equal(picture(other_order, network, audio_kick=0.3), pictures[1])
    assert torch.equal(picture(other_order, network, audio_kick=1.0), pictures[3])


def test_a_range_of_channels_is_cut_to_those_that_there_are(network: Generator) -> None:
    def bend_of(first: int, last: int) -> tuple[Any, tuple[str, ...]]:
        channels = BendChannels(which="range", first=first, last=last)
        patch = bent(layer="b16.conv1", operation="multiply", parameters=(("factor", Signal(0.5)),), channels=channels)
        choreographer = Choreographer(patch, network)
        found = choreographer.inputs({}).bends[0].channels
        return (found.first, found.last), choreographer.notes

    assert bend_of(2, 5) == ((2, 5), ())
    assert bend_of(2, 65535) == ((2, 11), ())
    places, notes = bend_of(6, 40)
    assert places == (6, 11)
    assert "Bend 1: b16.conv1 has no channel 40" in notes[0]
    places, notes = bend_of(30, 33)
    assert places == (8, 11)
    assert "8 to 11" in notes[0]
    places, notes = bend_of(30, 65535)  # from one on that is not there: not all that there are
    assert places == (11, 11)
    assert "11 is bent instead" in notes[0]


def test_a_cluster_of_channels_is_found_before_the_first_frame_and_kept(
    tmp_path: Path, make_small_network: MakeNetwork
) -> None:
    save_generator(make_small_network(1), tmp_path / "small.safetensors", half=False)
    patch = bent(
        name="Eyes",
        operation="ablate",
        parameters=(("amount", Signal(1.0)),),
        channels=BendChannels(which="cluster", cluster=1, clusters=3),
    )
    network = load_generator(tmp_path / "small.safetensors", cache_folder=tmp_path / "cache")
    told: list[tuple[float, str]] = []
    choreographer = Choreographer(patch, network, progress=lambda fraction, text: told.append((fraction, text)))
    assert told[0][1].startswith('Bend "Eyes": ')
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    indices = choreographer.inputs({}).bends[0].channels.indices
    assert 0 < len(indices) < 12
    assert len(list((tmp_path / "cache").iterdir())) == 1

    again = load_generator(tmp_path / "small.safetensors", cache_folder=tmp_path / "cache")
    asked: list[str] = []
    from_file = Choreographer(patch, again, progress=lambda fraction, text: asked.append(text))
    assert from_file.inputs({}).bends[0].channels.indices == indices
    assert asked == []

    nowhere = load_generator(tmp_path / "small.safetensors")
    before = sorted(tmp_path.rglob("*"))
    assert Choreographer(patch, nowhere).inputs({}).bends[0].channels.indices == indices
    assert sorted(tmp_path.rglob("*")) == before  # it writes only where it was told to


def test_more_clusters_than_there_are_become_those_that_there_are(network: Generator) -> None:
    channels = BendChannels(which="cluster", cluster=60, clusters=64)
    patch = bent(operation="ablate", parameters=(("amount", Signal(1.0)),), channels=channels)
    choreographer = Choreographer(patch, network)
    assert choreographer.inputs({}).bends[0].channels.indices
    assert "no cluster 60" in choreographer.notes[0]


def test_what_a_layer_reads_can_be_bent_by_the_clusters_of_what_was_painted_before(network: Generator) -> None:
    channels = BendChannels(which="cluster", cluster=0, clusters=3)
    settings: dict[str, Any] = {"operation": "ablate", "parameters": (("amount", Signal(1.0)),), "channels": channels}
    read = Choreographer(bent(layer="b32.conv0", side="input", **settings), network)
    given = Choreographer(bent(layer="b16.conv1", **settings), network)
    assert read.notes == given.notes == ()
    assert read.inputs({}).bends[0].channels.indices == given.inputs({}).bends[0].channels.indices


@pytest.mark.parametrize(
    ("change", "line", "found"),
    [
        ({"operation": "explode"}, 6, "bends.0.operation.*translate, scale, rotate"),
        ({"operation": "rotate", "parameters": {"angel": 4}}, 8, r"bends.0.parameters.angel.*angle, centre_x"),
        ({"operation": "rotate", "parameters": {"angle": "fast"}}, 8, r"bends.0.parameters.angle"),
    ],
)
def test_an_operation_or_parameter_that_does_not_exist_is_named_with_its_line(
    change: dict[str, Any], line: int, found: str
) -> None:
    text = json.dumps({"version": 2, "bends": [{"layer": "16 px", **change}]}, indent=2)
    with pytest.raises(PatchError, match=f"line {line}, {found}"):
        Patch.from_json(text)


def test_a_layer_of_no_network_is_refused_with_those_of_this_one(network: Generator) -> None:
    with pytest.raises(PatchError, match=r"bends\.0\.layer.*16 px.*b32\.conv1"):
        Choreographer(bent(layer="eyes"), network)
    with pytest.raises(PatchError, match=r"rewrites\.0\.source\.layer.*16 px.*b32\.conv1"):
        Choreographer(rewritten(SeededRewrite(layer="eyes")), network)


# Rewrites


def test_another_network_is_reached_at_an_amount_of_one(tmp_path: Path, make_small_network: MakeNetwork) -> None:
    network, other = make_small_network(1), make_small_network(2)
    weights = {f"synthesis.{layer}.weight" for layer in network.tools.weighted_layers}
    own, others = network.state_dict(), other.state_dict()
    other.load_state_dict({name: (others if name in weights else own)[name] for name in own})
    save_generator(other, tmp_path / "other.safetensors", half=False)
    patch = rewritten(NetworkRewrite(file=str(tmp_path / "other.safetensors")), amount=Signal(1.0, "audio_rms"))
    choreographer = Choreographer(patch, network)
    at_rest = choreographer.inputs({"audio_rms": 0.0})
    assert at_rest.rewrites == ()
    ws = at_rest.ws
    assert torch.equal(at_rest.paint(network), network.synthesis(ws))
    reached = choreographer.inputs({"audio_rms": 1.0}).paint(network)
    torch.testing.assert_close(reached, other.synthesis(ws), rtol=0, atol=1e-4)
    between = choreographer.inputs({"audio_rms": 1e-5}).paint(network)
    assert float((between - network.synthesis(ws)).abs().max()) < 1e-3


def test_a_range_narrows_what_another_network_gives(tmp_path: Path, make_small_network: MakeNetwork) -> None:
    network = make_small_network(1)
    save_generator(make_small_network(2), tmp_path / "other.safetensors", half=False)
    source = NetworkRewrite(file=str(tmp_path / "other.safetensors"))

    def layers(range_: Any) -> list[str]:
        return [one.layer for one in Choreographer(rewritten(source, range=range_), network).inputs({}).rewrites]

    everything = layers("all")
    assert everything == list(network.tools.weighted_layers)
    assert [*layers("coarse"), *layers("medium"), *layers("fine")] == everything
    assert layers((1, 2)) == everything[1:3]
    assert layers((90, 91)) == everything[-2:]
    moved = Choreographer(rewritten(source, range=(90, 91)), network)
    assert "no layers 90 to 91" in moved.notes[0]


def test_a_saved_edit_is_read_and_a_curve_moves_it(tmp_path: Path, make_small_network: MakeNetwork) -> None:
    network = make_small_network(1)
    delta = seeded_direction(network, "b16.conv1", 3)
    save_deltas({"b16.conv1": delta}, tmp_path / "edit.safetensors")
    patch = rewritten(FileRewrite(file=str(tmp_path / "edit.safetensors")), amount=Signal(1.0, "audio_rms"))
    drawn = rewritten(SeededRewrite(layer="16 px", seed=3), amount=Signal(1.0, "audio_rms"))
    for loud in (0.0, 0.5, 1.0):
        found = picture(patch, network, audio_rms=loud)
        assert torch.equal(found, picture(drawn, network, audio_rms=loud))
        assert (loud == 0.0) == torch.equal(found, picture(Patch(latent_layers=LATENTS), network))


def test_what_does_not_fit_is_refused_with_both_files(tmp_path: Path, make_small_network: MakeNetwork) -> None:
    save_generator(make_small_network(1), tmp_path / "first.safetensors", half=False)
    save_generator(make_small_network(1, (16, 12, 12, 8)), tmp_path / "wide.safetensors", half=False)
    network = load_generator(tmp_path / "first.safetensors")
    source = NetworkRewrite(file=str(tmp_path / "wide.safetensors"))
    with pytest.raises(PatchError, match=r"rewrites\.0\.source\.file.*first\.safetensors.*wide\.safetensors"):
        Choreographer(rewritten(source), network)
    with pytest.raises(PatchError, match=r"rewrites\.0\.source\.file.*no generator file.*gone\.pkl"):
        Choreographer(rewritten(NetworkRewrite(file=str(tmp_path / "gone.pkl"))), network)
    with pytest.raises(PatchError, match=r"rewrites\.0\.source\.file.*cannot be read"):  # no such name on any disk
        Choreographer(rewritten(FileRewrite(file="/\ud800.safetensors")), network)
    save_deltas({"b16.conv1": torch.zeros(3, 3, 3, 3)}, tmp_path / "edit.safetensors")
    with pytest.raises(PatchError, match=r"rewrites\.0\.source\.file.*edit\.safetensors.*first\.safetensors"):
        Choreographer(rewritten(FileRewrite(file=str(tmp_path / "edit.safetensors"))), network)
    switched_off = replace(rewritten(source).rewrites[0], enabled=False)
    Choreographer(Patch(latent_layers=LATENTS, rewrites=(switched_off,)), network).inputs({})


def test_a_network_file_is_read_again_only_when_it_has_changed(tmp_path: Path, make_small_network: MakeNetwork) -> None:
    network = make_small_network(1)
    path = tmp_path / "other.safetensors"
    save_generator(make_small_network(2), path, half=False)
    first = network.tools.network_deltas(str(path))
    assert network.tools.network_deltas(str(path)) is first
    save_generator(make_small_network(3), path, half=False)
    assert not torch.equal(network.tools.network_deltas(str(path))["b16.conv1"], first["b16.conv1"])


def test_seeded_edits_take_bounded_memory() -> None:
    kept = Tensors(most_bytes=1000)
    for number in range(50):
        kept.get_or_make(number, lambda: {"a": torch.zeros(100)})
    assert kept.size <= 1000
    made: list[int] = []
    kept.get_or_make(49, lambda: made.append(1) or {})
    kept.get_or_make("large", lambda: {"a": torch.zeros(1000)})
    assert kept.get_or_make("large", dict)
    assert made == []
