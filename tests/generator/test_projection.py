# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection: from a picture to the ws of which the network paints it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, projection
from stylegan_reactive.generator.directions import seeded_ws
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.projection import ProjectionState, load_ws, project, save_ws


def small_generator(img_channels: int = 3) -> StyleGAN2:
    """A network of random weights whose pictures have contrasts as photographs do."""
    torch.manual_seed(0)
    mapping = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16))
    generator = StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 12, 8), img_channels=img_channels)).eval()
    contrast = generator.synthesis(seeded_ws(generator, 8, 0)).std()
    for block in generator.synthesis.blocks:
        block.torgb.weight.mul_(0.4 / contrast)
    generator.mapping.w_avg.copy_(seeded_ws(generator, 512, 1)[:, 0].mean(dim=0))
    return generator


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return small_generator()


def error(one: Tensor, other: Tensor) -> float:
    """Mean difference as a screen shows it."""
    return float((one.clamp(-1, 1) - other.clamp(-1, 1)).abs().mean())


@pytest.mark.parametrize("seed", [77, 78])
def test_a_picture_of_the_network_is_found_again(generator: StyleGAN2, seed: int) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, seed))
    first: list[Tensor] = []
    found = project(generator, wanted, steps=50, progress=lambda state: first.append(state.picture))
    assert error(found.picture, wanted) < 0.15 * error(first[0][None], wanted)
    assert torch.equal(generator.synthesis(found.ws), found.picture)
    assert found.finished


def test_each_layer_may_find_a_w_of_its_own(generator: StyleGAN2) -> None:
    ws = seeded_ws(generator, 2, 5)
    mixed = torch.cat([ws[:1, :3], ws[1:, 3:]], dim=1)
    wanted = generator.synthesis(mixed)
    free = project(generator, wanted, steps=40)
    bound = project(generator, wanted, steps=40, layers=(0, 0))
    assert error(free.picture, wanted) < 0.6 * error(bound.picture, wanted)
    assert torch.equal(bound.ws[:, 1:], bound.ws[:, 1:2].expand_as(bound.ws[:, 1:]))


def test_a_picture_from_elsewhere_leaves_the_network_as_it_was(generator: StyleGAN2) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    shown = generator.synthesis(seeded_ws(generator, 1, 3))
    ramp = torch.linspace(-1, 1, 50).expand(1, 3, 40, 50)
    states: list[ProjectionState] = []
    found = project(generator, ramp, steps=20, progress=states.append)
    assert [state.step for state in states] == list(range(1, 21))
    assert found.loss == min(state.loss for state in states) < states[0].loss
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert torch.equal(generator.synthesis(seeded_ws(generator, 1, 3)), shown)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in generator.parameters())


def test_stopping_gives_the_best_until_then(generator: StyleGAN2) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, 77))
    states: list[ProjectionState] = []

    def stop_at_seven(state: ProjectionState) -> bool:
        states.append(state)
        return state.step == 7

    found = project(generator, wanted, steps=50, progress=stop_at_seven)
    assert len(states) == 7
    assert not found.finished
    assert found.loss == min(state.loss for state in states)


def test_the_same_picture_gives_the_same_ws(generator: StyleGAN2) -> None:
    wanted = generator.synthesis(seeded_ws(generator, 1, 77))
    assert torch.equal(project(generator, wanted, steps=5).ws, project(generator, wanted, steps=5).ws)


@pytest.mark.parametrize(("network", "channels"), [(1, 3), (3, 1), (4, 3), (3, 4), (4, 4)])
def test_pictures_of_other_channels_and_sizes_fit(network: int, channels: int) -> None:
    other = small_generator(network)
    found = project(other, torch.rand(channels, 20, 70) * 2 - 1, steps=2, candidates=1)
    assert found.picture.shape == (1, network, 32, 32)
    assert found.ws.shape == (1, other.num_ws, other.w_dim)


@pytest.mark.parametrize(
    "picture", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8), torch.full((3, 8, 8), torch.nan), torch.zeros(3, 0, 8)]
)
def test_what_is_no_picture_is_refused(generator: StyleGAN2, picture: Tensor) -> None:
    with pytest.raises(ValueError, match="picture to project"):
        project(generator, picture, steps=1)


@pytest.mark.parametrize("ending", ["npy", "safetensors"])
def test_ws_come_back_from_their_file(generator: StyleGAN2, tmp_path: Path, ending: str) -> None:
    ws = seeded_ws(generator, 3, 0)
    save_ws(ws, tmp_path / f"ws.{ending}")
    assert torch.equal(load_ws(tmp_path / f"ws.{ending}", generator), ws)


def test_files_of_other_projectors_are_read(generator: StyleGAN2, tmp_path: Path) -> None:
    ws = seeded_ws(generator, 1, 0)
    np.savez(tmp_path / "projected_w.npz", w=ws.numpy())
    np.save(tmp_path / "one.npy", ws[0, 0].numpy())
    np.save(tmp_path / "alone.npy", ws[0].double().numpy())
    for name in ("projected_w.npz", "one.npy", "alone.npy"):
        assert torch.equal(load_ws(tmp_path / name, generator), ws), name


def test_files_that_do_not_fit_are_named(generator: StyleGAN2, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.zeros((1, 18, 512), np.float32))
    np.save(tmp_path / "nan.npy", np.full((1, generator.num_ws, generator.w_dim), np.nan, np.float32))
    np.save(tmp_path / "pickled.npy", np.array([print], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "empty.npz", x=np.zeros(3))
    (tmp_path / "short.npy").write_bytes(b"\x93NUMPY\x01")
    (tmp_path / "text.safetensors").write_text("no latents")
    (tmp_path / "text.npz").write_text("no latents")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1%s,)}"
    for name, inner in {
        "huge": array_file(header % (b"0" * 12)),
        "endless": array_file(header % (b"0" * 30)),
        "nested": array_file(b"(" * 9000),
        "unclosed": array_file(b"{'a': '''"),
        "signs": array_file(b"-" * 8999 + b"1"),
    }.items():
        (tmp_path / f"{name}.npy").write_bytes(inner)
        (tmp_path / f"{name}.NPY").write_bytes(inner)
        archive(tmp_path / f"{name}.npz", inner)
    archive(tmp_path / "packed.npz", np.random.bytes(4000))
    packed = (tmp_path / "packed.npz").read_bytes()
    (tmp_path / "spoilt.npz").write_bytes(packed[:60] + bytes(200) + packed[260:])
    flags = packed.rindex(b"PK\x01\x02") + 8
    (tmp_path / "locked.npz").write_bytes(packed[:6] + b"\1" + packed[7:flags] + b"\1" + packed[flags + 1 :])
    (tmp_path / "method.npz").write_bytes(packed[:8] + b"\x63" + packed[9 : flags + 2] + b"\x63" + packed[flags + 3 :])
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "missing.npy"):
        with pytest.raises(CheckpointError, match=path.name):
            load_ws(path, generator)


def test_a_small_file_that_unpacks_to_gigabytes_is_left_packed(
    generator: StyleGAN2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "w.npz", w=np.zeros((300, generator.num_ws, generator.w_dim), np.float32))
    assert len(load_ws(tmp_path / "w.npz", generator)) == 300
    monkeypatch.setattr(projection, "LARGEST_ARRAY", 100_000)
    with pytest.raises(CheckpointError, match="unpacks to"):
        load_ws(tmp_path / "w.npz", generator)


def test_the_ending_of_a_file_does_not_matter(generator: StyleGAN2, tmp_path: Path) -> None:
    ws = seeded_ws(generator, 2, 0)
    save_ws(ws, tmp_path / "latents")
    assert torch.equal(load_ws(tmp_path / "latents", generator), ws)


def array_file(header: bytes) -> bytes:
    """A numpy file with nothing in it but its header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n"


def archive(path: Path, inner: bytes) -> None:
    """A packed file with one array."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("w.npy", inner)
