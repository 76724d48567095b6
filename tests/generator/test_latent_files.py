# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of latents and directions: what other programs write is read, what is damaged or of another kind is named."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, latent_files
from stylegan_reactive.generator.directions import seeded_ws, sefa
from stylegan_reactive.generator.latent_files import load_directions, load_latents, load_ws, save_ws
from stylegan_reactive.generator.mapping import MappingConfig


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    torch.manual_seed(0)
    mapping = MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16, 16))
    return StyleGAN2(StyleGAN2Config(mapping, 32, (16, 16, 12, 8), img_channels=3)).eval()


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
    np.savez(tmp_path / "pickled.npz", w=np.array([print], dtype=object))
    np.savez(tmp_path / "three.npz", x=np.zeros(3))
    np.savez(tmp_path / "nothing.npz")
    np.savez(tmp_path / "which.npz", x=np.zeros((2, 16)), y=np.zeros((2, 16)))
    np.save(tmp_path / "whole.npy", np.zeros((2, 16), np.int64))
    np.save(tmp_path / "empty.npy", np.zeros((0, 16), np.float32))
    np.save(tmp_path / "endless.npy", np.full((1, 16), 1e300))
    np.save(tmp_path / "deep.npy", np.zeros((1, 1, 1, 16), np.float32))
    (tmp_path / "short.npy").write_bytes(b"\x93NUMPY\x01")
    (tmp_path / "text.safetensors").write_text("no latents")
    (tmp_path / "text.npz").write_text("no latents")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1%s,)}"
    for name, inner in {
        "huge": array_file(header % (b"0" * 12)),
        "noend": array_file(header % (b"0" * 30)),
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
        for read in (
            lambda path: load_ws(path, generator),
            lambda path: load_latents(path, "z", generator),
            lambda path: load_directions(path, generator),
        ):
            with pytest.raises(CheckpointError, match=path.name):
                read(path)


def test_a_small_file_that_unpacks_to_gigabytes_is_left_packed(
    generator: StyleGAN2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "w.npz", w=np.zeros((300, generator.num_ws, generator.w_dim), np.float32))
    assert len(load_ws(tmp_path / "w.npz", generator)) == 300
    monkeypatch.setattr(latent_files, "LARGEST_ARRAY", 100_000)
    with pytest.raises(CheckpointError, match="takes 153728 bytes"):  # with its header: what the archive says of it
        load_ws(tmp_path / "w.npz", generator)


def test_the_ending_of_a_file_does_not_matter(generator: StyleGAN2, tmp_path: Path) -> None:
    ws = seeded_ws(generator, 2, 0)
    save_ws(ws, tmp_path / "latents")
    assert torch.equal(load_ws(tmp_path / "latents", generator), ws)


def test_z_is_read_as_a_list_whatever_program_wrote_it(generator: StyleGAN2, tmp_path: Path) -> None:
    z = np.random.RandomState(0).standard_normal((3, generator.z_dim))
    np.save(tmp_path / "rows.npy", z)
    np.save(tmp_path / "layers.npy", z[:, None].astype(">f4"))
    np.savez(tmp_path / "named.npz", seeds=np.arange(3), z=z)
    np.savez(tmp_path / "alone.npz", anything=z)
    save_file({"z": torch.from_numpy(z).float(), "seeds": torch.arange(3)}, str(tmp_path / "z.safetensors"))
    for path in sorted(tmp_path.iterdir()):
        assert torch.equal(load_latents(path, "z", generator), torch.from_numpy(z).float()), path.name
    np.save(tmp_path / "one.npy", z[0])
    assert torch.equal(load_latents(tmp_path / "one.npy", "z", generator), torch.from_numpy(z[:1]).float())
    np.save(tmp_path / "w.npy", np.zeros((1, 4, generator.z_dim), np.float32))
    with pytest.raises(CheckpointError, match=r"w\.npy.*choose W"):
        load_latents(tmp_path / "w.npy", "z", generator)


def test_w_is_read_as_a_list_and_w_of_other_depths_as_it_is(generator: StyleGAN2, tmp_path: Path) -> None:
    w = torch.randn(5, 16)
    np.save(tmp_path / "rows.npy", w.numpy())
    assert torch.equal(load_latents(tmp_path / "rows.npy", "w", generator), w[:, None])
    deep = torch.randn(2, 14, 16)
    save_file({"latents": deep.half()}, str(tmp_path / "half.safetensors"))
    assert torch.equal(load_latents(tmp_path / "half.safetensors", "w", generator), deep.half().float())
    with pytest.raises(CheckpointError, match="14 layers"):
        load_ws(tmp_path / "half.safetensors", generator)
    one = torch.randn(generator.num_ws, 16)
    np.save(tmp_path / "one.npy", one.numpy())
    assert torch.equal(load_latents(tmp_path / "one.npy", "w", generator), one[None])


def test_directions_of_a_file_are_rows_or_rows_of_layers(generator: StyleGAN2, tmp_path: Path) -> None:
    rows = torch.randn(generator.num_ws, 16)
    np.save(tmp_path / "rows.npy", rows.numpy())
    assert torch.equal(load_directions(tmp_path / "rows.npy", generator), rows[:, None])
    layers = torch.randn(3, 4, 16)
    np.savez(tmp_path / "layers.npz", directions=layers.numpy(), names=np.zeros(3))
    assert torch.equal(load_directions(tmp_path / "layers.npz", generator), layers)


def test_the_toolbox_reads_a_file_again_once_it_has_changed(generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.zeros((2, 16), np.float32))
    first = generator.tools.latents(str(path), "w")
    assert generator.tools.latents(str(path), "w") is first
    np.save(path, np.ones((3, 16), np.float32))
    assert torch.equal(generator.tools.latents(str(path), "w"), torch.ones(3, 1, 16))
    path.unlink()
    with pytest.raises(CheckpointError, match=r"w\.npy"):
        generator.tools.latents(str(path), "w")


def test_directions_of_the_toolbox_are_as_long_as_w_usually_strays(generator: StyleGAN2) -> None:
    found = sefa(generator, 2, 4)
    lengths = generator.tools.sefa(2, 4).norm(dim=1)
    assert torch.allclose(lengths, found.spread, rtol=1e-5)


def array_file(header: bytes) -> bytes:
    """A numpy file with nothing in it but its header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n"


def archive(path: Path, inner: bytes) -> None:
    """A packed file with one array."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("w.npy", inner)
