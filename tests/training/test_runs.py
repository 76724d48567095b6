# SPDX-License-Identifier: GPL-3.0-or-later
"""A training is saved, resumed, stopped by what is wrong, and ends with a network that the extension reads."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save

import training.checkpoints
from stylegan_reactive.generator import load_generator
from training.__main__ import main
from training.checkpoints import FORMAT, STATE_FILE, VERSION, load_state, read_saved, save_state, tensors_of
from training.errors import TrainingError
from training.export import CARD_FILE, check_size, export
from training.probe import choose_size, probe
from training.run import LOG_FILE, SHEET_FOLDER, Call, Run, train
from training.settings import Settings
from training.sheets import COLUMNS, LABEL_WIDTH
from training.trainer import Trainer

CPU = torch.device("cpu")


def silent(_line: str) -> None:
    """Tell nobody."""


def each_step_a_second(trainer: Callable[[], Trainer | None]) -> Callable[[], float]:
    """A clock that shows how many steps were done."""

    def clock() -> float:
        one = trainer()
        return 0.0 if one is None else float(one.steps)

    return clock


def learnt(settings: Settings, folder: Path, calls: list[int]) -> dict[str, torch.Tensor]:
    """Everything that a training consists of after calls of so many steps, a step taking a second."""
    state = folder / STATE_FILE
    for number, steps in enumerate(calls, start=1):
        if state.exists():
            trainer, saved = load_state(state, CPU)
            before = saved.elapsed
        else:
            trainer, before = Trainer(settings, CPU), 0.0
        call = Call(steps=steps, report_seconds=7.0, clock=each_step_a_second(lambda t=trainer: t), say=silent)
        Run(trainer, folder, call, call.clock(), before, number).learn()
    return tensors_of(trainer)


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(tiny: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(tiny, seconds=24.0)  # both stages, and the falling rate
    at_once = learnt(settings, tmp_path / "at once", [24])
    in_parts = learnt(settings, tmp_path / "in parts", [3, 6, 15])
    assert at_once.keys() == in_parts.keys()
    assert [name for name, tensor in at_once.items() if not torch.equal(tensor, in_parts[name])] == []
    saved = read_saved(tmp_path / "in parts" / STATE_FILE)
    assert saved is not None
    assert (saved.elapsed, saved.steps, saved.calls) == (24.0, 24, 3)


def test_another_seed_gives_another_training(tiny: Settings, tmp_path: Path) -> None:
    one = learnt(tiny, tmp_path / "1", [2])
    other = learnt(dataclasses.replace(tiny, seed=2), tmp_path / "2", [2])
    assert not torch.equal(one["generator/synthesis.b8.conv0.weight"], other["generator/synthesis.b8.conv0.weight"])


def test_the_exported_network_paints_the_average_s_pictures(tiny: Settings, tmp_path: Path) -> None:
    trainer = Trainer(tiny, CPU)
    learnt_average = trainer.average
    for layer in learnt_average.synthesis.layers:
        layer.noise_strength.data.fill_(0.1)
    for parameter in trainer.generator.parameters():
        parameter.data.zero_()  # what learns is not what comes out
    generator = load_generator(export(trainer, tmp_path, 10.0, 1))
    ws = learnt_average.mapping(torch.randn(3, 64))
    expected = learnt_average.synthesis(ws)
    assert (generator.synthesis(ws) - expected).abs().max() < 0.01 * expected.abs().max()
    many = learnt_average.mapping(torch.randn(4000, 64))[:, 0].mean(dim=0)
    assert (generator.w_avg - many).abs().mean() < 0.05
    text = (tmp_path / CARD_FILE).read_text("utf-8")
    assert all(f"| {field.name} | {getattr(tiny, field.name)} |" in text for field in dataclasses.fields(tiny))
    assert "25% of its schedule" in text


def test_the_command_leaves_a_network_sheets_and_a_log_and_goes_on(tiny: Settings, tmp_path: Path) -> None:
    ticks = itertools.count()
    call = Call(steps=3, report_seconds=4.0, clock=lambda: float(next(ticks)), say=silent)
    path = train(tiny, tmp_path, CPU, call)
    train(tiny, tmp_path, CPU, call)
    assert load_generator(path).resolution == (32, 32)
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text("utf-8").splitlines()]
    assert [line["call"] for line in lines] == sorted(line["call"] for line in lines)
    assert lines[-1]["call"] == 2
    assert lines[-1]["step"] == 6
    assert lines[-1]["pictures"] == 24
    assert all({"supervised", "pictures_per_second", "memory_mib", "elapsed"} <= line.keys() for line in lines)
    sheets = sorted((tmp_path / SHEET_FOLDER).glob("*.png"))
    assert len(sheets) == len(lines)
    page = Image.open(sheets[-1])
    assert page.size == (LABEL_WIDTH + COLUMNS * 96, 7 * 96)
    formula = page.crop((LABEL_WIDTH, 0, page.width, 96))
    assert len(formula.quantize(256).getcolors()) > 200  # eight pictures in many colours


def test_losses_that_are_no_numbers_stop_it_and_the_last_good_state_stays(tiny: Settings, tmp_path: Path) -> None:
    train(tiny, tmp_path, CPU, Call(steps=2, say=silent))
    good = (tmp_path / STATE_FILE).read_bytes()
    trainer, saved = load_state(tmp_path / STATE_FILE, CPU)
    trainer.generator.synthesis.b4.const.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"no number any more.*Try another SEED"):
        Run(trainer, tmp_path, Call(steps=2, clock=lambda: 0.0, say=silent), 0.0, saved.elapsed, 2).learn()
    with pytest.raises(TrainingError, match="holds values that are no numbers"):
        save_state(trainer, tmp_path / STATE_FILE, 1.0, 2)
    assert (tmp_path / STATE_FILE).read_bytes() == good


def test_a_full_disk_stops_it_and_the_last_good_state_stays(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny, tmp_path, CPU, Call(steps=2, say=silent))
    good = (tmp_path / STATE_FILE).read_bytes()

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training.checkpoints, "write_whole", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*Free some space.*the last good one"):
        train(tiny, tmp_path, CPU, Call(steps=2, say=silent))
    assert (tmp_path / STATE_FILE).read_bytes() == good
    assert not list(tmp_path.glob(".*part"))


def test_a_damaged_state_is_refused_and_left_alone(tiny: Settings, tmp_path: Path) -> None:
    train(tiny, tmp_path, CPU, Call(steps=1, say=silent))
    path = tmp_path / STATE_FILE
    whole = path.read_bytes()
    for damaged in (whole[:5000], whole[: len(whole) // 2], b"", b"nonsense" * 100):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match="cannot be read"):
            read_saved(path)
        assert path.read_bytes() == damaged
    generator = train(tiny, tmp_path / "other", CPU, Call(steps=0, say=silent))
    with pytest.raises(TrainingError, match="no state of a training"):
        read_saved(generator)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("progress", '{"stage": "sleeping"}'),
        ("progress", '{"steps": "many"}'),
        ("progress", '{"elapsed": -1}'),
        ("progress", "[" * 100_000),
        ("settings", '{"size": "large"}'),
        ("settings", '{"colour": "blue"}'),
        ("settings", '{"seconds": null}'),
    ],
    ids=["stage", "steps", "elapsed", "depth", "size", "unknown", "nothing"],
)
def test_a_state_that_describes_itself_wrongly_is_refused(
    tiny: Settings, tmp_path: Path, part: str, value: str
) -> None:
    path = tmp_path / STATE_FILE
    progress = {"elapsed": 1.0, "calls": 1, "stage": "supervised", "steps": 1, "pictures": 4, "stage_steps": 1}
    whole = {"settings": json.loads(tiny.to_json()), "progress": progress}
    metadata = {"format": FORMAT, "version": VERSION} | {name: json.dumps(text) for name, text in whole.items()}
    path.write_bytes(save({"nothing": torch.zeros(1)}, metadata))
    assert read_saved(path) is not None
    wrong = value if value.startswith("[") else json.dumps(whole[part] | json.loads(value))
    path.write_bytes(save({"nothing": torch.zeros(1)}, metadata | {part: wrong}))
    with pytest.raises(TrainingError):
        read_saved(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "marble"], 'no formula "marble"'),
        (["--size", "200"], "size = 200 is not possible. Choose one of 32, 64, 128, 256"),
        (["--size", "large"], "SIZE=large is no size"),
        (["--size", "32", "--seconds", "-5"], "seconds = -5.0 is not possible"),
        (["--size", "32", "--seconds", "nan"], "seconds = nan is not possible"),
        (["--size", "32", "--batch", "0"], "batch = 0 is not possible"),
        (["--size", "256", "--channel-base", "32768", "--channel-most", "512"], "Choose fewer channels"),
        (["--size", "32", "--device", "quantum"], 'no device "quantum"'),
    ],
)
def test_a_wrong_option_is_told_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([*options, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="this signal is sent on POSIX systems")
def test_the_signal_of_a_job_s_end_finishes_the_step_and_keeps_everything(tiny: Settings, tmp_path: Path) -> None:
    small = ["channel_base", "channel_most", "w_dim", "mapping_layers", "batch", "size", "data"]
    options = [text for name in small for text in (f"--{name.replace('_', '-')}", str(getattr(tiny, name)))]
    command = [sys.executable, "-m", "training", "--device", "cpu", "--out", str(tmp_path), "--every", "0", *options]
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()  # the first report
        child.terminate()
        output, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (child.returncode, errors) == (0, "")
    path = Path(output.splitlines()[-1])
    assert load_generator(path).resolution == (32, 32)
    saved = read_saved(tmp_path / STATE_FILE)
    assert saved is not None
    assert saved.steps == json.loads((tmp_path / LOG_FILE).read_text("utf-8").splitlines()[-1])["step"] >= 1


def test_a_folder_of_other_settings_is_refused_and_one_of_the_same_goes_on(
    tiny: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny, tmp_path, CPU, Call(steps=1, say=silent))
    here = ["--out", str(tmp_path), "--device", "cpu"]
    assert main([*here, "--data", "bloom"]) == 1
    assert "holds a training with data = silk, and data = bloom was asked for" in capsys.readouterr().err
    assert main([*here, "--size", "auto", "--data", "silk", "--this-call", "0"]) == 0  # what is not said stays
    assert "Going on at step 1" in capsys.readouterr().out


def test_the_probe_takes_128_px_where_256_would_see_too_few_pictures(tiny: Settings) -> None:
    assert choose_size(Settings(seconds=1320), 300.0) == 256
    assert choose_size(Settings(seconds=1320), 100.0) == 128
    tried: list[int] = []

    def small_memory(settings: Settings, _device: torch.device, _seconds: float) -> float:
        tried.append(settings.batch)
        if settings.batch > 16:
            raise torch.OutOfMemoryError("too much")
        return 50.0

    probed = probe(Settings(), CPU, measure=small_memory)
    assert tried == [64, 32, 16]
    assert (probed.settings.size, probed.settings.batch) == (128, 16)
    assert probe(Settings(), CPU).settings.size == 64  # no graphics card, nothing measured


def test_the_default_network_is_small_enough_to_ship() -> None:
    check_size(Settings())
