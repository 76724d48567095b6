# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generator file must be, and what an artist reads when it is not."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator, save_generator
from stylegan_reactive.generator.__main__ import main
from stylegan_reactive.generator.checkpoint import convert
from stylegan_reactive.generator.mapping import MappingConfig

CONFIG = StyleGAN2Config(
    mapping=MappingConfig(z_dim=4, c_dim=0, w_dim=8, widths=(8, 8)), resolution=16, channels=(8, 8, 4)
)


@pytest.fixture
def generator() -> StyleGAN2:
    torch.manual_seed(1)
    return StyleGAN2(CONFIG)


@pytest.fixture
def good(tmp_path: Path, generator: StyleGAN2) -> Path:
    path = tmp_path / "good.safetensors"
    save_generator(generator, path, half=False)
    return path


def rewrite(path: Path, change: Callable[[dict, dict], None]) -> None:
    """Change tensors and metadata of a file and write it again."""
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def complaint(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_generator(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_was_saved_comes_back(good: Path, generator: StyleGAN2) -> None:
    loaded = load_generator(good)
    z = torch.randn(1, 4)
    assert loaded.config == CONFIG
    assert torch.equal(loaded.synthesis(loaded.mapping(z)), generator.synthesis(generator.mapping(z)))


def test_half_precision_is_half_the_size_and_nearly_the_same(tmp_path: Path, generator: StyleGAN2, good: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_generator(generator, path, half=True)
    loaded = load_generator(path)
    z = torch.randn(1, 4)
    picture, truth = loaded.synthesis(loaded.mapping(z)), generator.synthesis(generator.mapping(z))
    assert picture.dtype == torch.float32
    assert (picture - truth).abs().max() < 0.02 * truth.abs().max()
    assert path.stat().st_size < 0.75 * good.stat().st_size


def test_the_same_generator_gives_the_same_bytes(tmp_path: Path, generator: StyleGAN2) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(4)]
    for path in paths:
        save_generator(generator, path)
    assert len({path.read_bytes() for path in paths}) == 1


def test_missing_file(tmp_path: Path) -> None:
    assert "no generator file" in complaint(tmp_path / "nowhere.safetensors")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    path.touch()
    assert "empty" in complaint(path)


@pytest.mark.parametrize("kept", [1, 7, 40, 0.5, 0.999])
def test_file_that_is_cut_short(good: Path, kept: float) -> None:
    data = good.read_bytes()
    good.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    assert "cut short" in complaint(good)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "folder" in complaint(tmp_path)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="nothing is forbidden here")
def test_file_that_may_not_be_read(good: Path) -> None:
    good.chmod(0)
    assert "cannot be opened" in complaint(good)


def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    assert "hoose" in complaint(tmp_path / ("x" * 5000))  # older Pythons raise where newer ones find nothing


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"RIFF" + bytes(range(256)) * 40, "safetensors"),
        (b"\n <!DOCTYPE html><html><title>Quota exceeded</title></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 381673535\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00" + bytes(60), "gzip"),
        (b"hello", "cut short"),
        (bytes(4096), "cut short"),
        (pickle.dumps({"weights": [1, 2, 3]}), "weights"),
        (pickle.dumps([None] * 3), "sequence"),
        (pickle.dumps(5), "int"),
    ],
)
def test_file_of_another_kind(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(content)
    assert word in complaint(path)


def test_an_archive_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stylegan2.pkl", b"N.")
    assert "unpack it" in complaint(path)


def test_the_name_of_a_file_does_not_matter(good: Path) -> None:
    assert load_generator(good.rename(good.with_name("network.pkl"))).config == CONFIG


def test_a_file_is_written_whole_or_not_at_all(
    good: Path, generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = good.read_bytes()

    def full_disk(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        save_generator(generator, good)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_a_file_can_be_converted_onto_itself(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = good.stat().st_size
    assert main(["convert", str(good), str(good)]) == 0
    assert load_generator(good).config == CONFIG
    assert good.stat().st_size < 0.75 * size
    good.write_bytes(b"nothing")
    capsys.readouterr()
    assert main(["convert", str(good), str(good)]) == 1
    assert str(good) in capsys.readouterr().err


def test_loading_leaves_the_random_numbers_as_they_were(good: Path) -> None:
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    load_generator(good)
    assert torch.equal(torch.randn(3), expected)


OTHER_NETWORKS = ("sg1lern_r128.pt", "sg3t_r64.pkl", "sg3r_r64.pkl", "lucid_r64.pt")


@pytest.mark.parametrize("name", OTHER_NETWORKS)
def test_every_architecture_comes_back(name: str, tmp_path: Path, shared_folder: Path) -> None:
    source, target = shared_folder / "reference" / "networks" / name, tmp_path / "network.safetensors"
    truth = convert(source, target, half=False)
    loaded = load_generator(target)
    assert type(loaded) is type(truth)
    assert loaded.config == truth.config
    ws = truth.mapping(torch.randn(1, truth.z_dim))
    assert torch.equal(loaded.synthesis(ws), truth.synthesis(ws))


def test_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "trap.safetensors"
    torch.save(Trap(), path)
    complaint(path)
    assert not (tmp_path / "sprung").exists()


def test_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    path = tmp_path / "lie.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    assert "cannot be read" in complaint(path)


def test_safetensors_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "not a generator" in complaint(path)


def test_another_architecture(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: metadata.update(architecture="stylegan9"))
    assert "stylegan9" in complaint(good)


def test_newer_version_of_the_format(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: metadata.update(version="7"))
    assert '"7"' in complaint(good)


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 20},
        {"resolution": 1 << 40},
        {"channels": [8, 8]},
        {"channels": 5},
        {"conv_clamp": 10**400},
        {"resample_taps": [1, 10**400]},
        {"mapping": None},
        {"surprise": 1},
        {"mapping": {"z_dim": -1}},
        {"mapping": {"w_dim": "wide"}},
        {"mapping": {"widths": []}},
        {"mapping": {"lr_multiplier": None}},
        {"mapping": {"lr_multiplier": 10**400}},
        {"mapping": {"surprise": 1}},
    ],
)
def test_impossible_description(good: Path, change: dict) -> None:
    def lie(tensors: dict, metadata: dict) -> None:
        config = json.loads(metadata["config"])
        for name, value in change.items():
            nested = isinstance(value, dict)
            assert nested <= (name in config)  # that the test says what it means
            config[name] = config[name] | value if nested else value
        metadata["config"] = json.dumps(config)

    rewrite(good, lie)
    words = complaint(good)
    assert "config" in words
    for name in change.get("mapping") or change:
        assert name.lower() in words.lower() or "too large" in words


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100000])
def test_description_that_is_not_one(good: Path, text: str) -> None:
    rewrite(good, lambda tensors, metadata: metadata.update(config=text))
    assert "config" in complaint(good)


def test_description_of_a_larger_network(good: Path) -> None:
    def lie(tensors: dict, metadata: dict) -> None:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | {"channels": [60000] * 3})

    rewrite(good, lie)
    message = complaint(good)
    assert "shape" in message
    assert "was expected" in message


NAME = "synthesis.b8.conv0.weight"


def test_missing_tensor(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: tensors.pop(NAME))
    assert NAME in complaint(good)


def test_surplus_tensor(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: tensors.update({"discriminator.weight": torch.zeros(2)}))
    assert "discriminator.weight" in complaint(good)


def test_wrong_shape(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: tensors.update({NAME: torch.zeros(8, 8, 5, 5)}))
    message = complaint(good)
    assert NAME in message
    assert "[8, 8, 5, 5]" in message
    assert "[8, 8, 3, 3]" in message


def test_whole_numbers_instead_of_weights(good: Path) -> None:
    rewrite(good, lambda tensors, metadata: tensors.update({NAME: tensors[NAME].to(torch.int32)}))
    message = complaint(good)
    assert NAME in message
    assert "I32" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_numbers(good: Path, value: float) -> None:
    def damage(tensors: dict, metadata: dict) -> None:
        tensors[NAME][0, 0, 0, 0] = value

    rewrite(good, damage)
    message = complaint(good)
    assert NAME in message
    assert "NaN" in message


@pytest.mark.parametrize("taps", [(1e308, 1e308, 1e308, 1e308), (1.0, 1e-12 - 1.0), (10**400, 1), (math.inf, 1.0), ()])
def test_a_filter_that_cannot_be_scaled_is_refused(good: Path, taps: tuple[float, ...]) -> None:
    config = json.dumps({**dataclasses.asdict(CONFIG), "resample_taps": taps})
    rewrite(good, lambda tensors, metadata: metadata.update(config=config))
    with pytest.raises(CheckpointError, match="resample_taps"):
        load_generator(good)


def test_saving_too_large_values_in_half_precision_is_refused(tmp_path: Path, generator: StyleGAN2) -> None:
    path = tmp_path / "large.safetensors"
    generator.synthesis.b4.const.fill_(-1e6)
    with pytest.raises(CheckpointError, match=r"synthesis\.b4\.const .*1e\+06.* 65504.*--full") as caught:
        save_generator(generator, path, half=True)
    assert "damaged" not in str(caught.value)
    assert not path.exists()
    save_generator(generator, path, half=False)
    assert float(load_generator(path).synthesis.b4.const.min()) == -1e6
    generator.synthesis.b4.const.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="damaged"):
        save_generator(generator, path, half=True)
