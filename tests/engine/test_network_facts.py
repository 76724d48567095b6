# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of a patch's network, and small pictures of its latents."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from stylegan_reactive.builtin_networks import BUILTIN_NETWORKS, DEFAULT
from stylegan_reactive.choreography import load_preset, preset_names
from stylegan_reactive.engine.client import Engine, FrameRequest
from stylegan_reactive.errors import PatchError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, save_generator
from stylegan_reactive.generator.mapping import MappingConfig

PYTHON = os.environ.get("STYLEGAN_REACTIVE_PYTHON") or sys.executable


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that these tests share."""
    engine = Engine(PYTHON, "cpu", log_folder=tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


def test_scales_of_the_builtin_network_reach_each_of_its_layers_once(engine: Engine) -> None:
    facts = engine.check_patch({"version": 2, "checkpoint": "builtin"})
    assert facts.resolution == (512, 512)
    assert facts.img_channels == 3
    reached = [ws for _, first, last in facts.scales for ws in range(first, last + 1)]
    assert reached == list(range(facts.num_ws))
    assert facts.scales[0][0] == "4 px"
    assert facts.scales[-1][0] == "512 px"


def test_a_builtin_network_is_found_by_its_name_and_an_unknown_name_is_told_what_there_is(engine: Engine) -> None:
    by_name = {network.name: engine.thumbnails(network.checkpoint, 0, [1], 32) for network in BUILTIN_NETWORKS}
    np.testing.assert_array_equal(engine.thumbnails("builtin", 0, [1], 32), by_name[DEFAULT])
    assert len({pictures.tobytes() for pictures in by_name.values()}) == len(BUILTIN_NETWORKS)
    with pytest.raises(PatchError, match=r"velvet.*builtin:silk"):
        engine.check_patch({"version": 2, "checkpoint": "builtin:velvet"})


def test_a_patch_read_from_text_is_complete_and_of_today(engine: Engine) -> None:
    for name in preset_names():
        patch = load_preset(name)
        assert engine.read_patch(patch.to_json()) == patch.to_plain()


def test_the_line_of_a_mistake_in_a_patch_is_named(engine: Engine) -> None:
    with pytest.raises(PatchError, match="line 3"):
        engine.read_patch('{\n "version": 2,\n "truncation": "a lot"\n}')


def test_thumbnails_are_small_pictures_that_differ(engine: Engine) -> None:
    pictures = engine.thumbnails("builtin", 0, [1, 2], 32)
    assert pictures.shape == (2, 32, 32, 4)
    assert np.all(pictures[..., 3] == 255)
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5


def test_unloading_leaves_no_network_and_the_next_picture_is_the_same(engine: Engine) -> None:
    before = engine.thumbnails("builtin", 0, [1], 16)
    assert engine.report(seconds=0).networks
    engine.unload()
    assert not engine.report(seconds=0).networks
    np.testing.assert_array_equal(engine.thumbnails("builtin", 0, [1], 16), before)


def test_clusters_are_found_with_progress_before_the_first_picture_and_can_be_cancelled(
    engine: Engine, tmp_path: Path
) -> None:
    mapping = MappingConfig(z_dim=16, c_dim=0, w_dim=16, widths=(16,))
    torch.manual_seed(1)
    save_generator(StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 12, 8))), tmp_path / "small.safetensors")
    bend = {
        "name": "Eyes",
        "layer": "b64.conv1",
        "channels": {"which": "cluster", "cluster": 0, "clusters": 3},
        "operation": "multiply",
        "parameters": {"factor": {"amount": 1.0, "envelope": "audio_kick", "offset": 1.0}},
    }
    patch = {"version": 2, "checkpoint": str(tmp_path / "small.safetensors"), "bends": [bend]}

    def stop(fraction: float, text: str) -> None:
        if "Eyes" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.check_patch(patch, stop)
    told: list[tuple[float, str]] = []
    facts = engine.check_patch(patch, lambda fraction, text: told.append((fraction, text)))
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert any(text.startswith('Bend "Eyes": ') for _, text in told)
    said = 'Bend "Eyes": this network has no layer "b64.conv1"; b32.conv1 (32 px) is used instead.'
    assert facts.notes == (said,)
    rest, kicked = (engine.picture(FrameRequest(patch, {"audio_kick": kick}, (32, 32))).copy() for kick in (0.0, 1.0))
    assert np.abs(rest - kicked).max() > 0.01
