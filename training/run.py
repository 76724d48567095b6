# SPDX-License-Identifier: GPL-3.0-or-later
"""A training from its start or from where it was, to the end of its time or of this call; only here is a clock."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .checkpoints import STATE_FILE, load_state, save_state, write_file
from .errors import TrainingError
from .export import check_size, export
from .schedule import Moment, moment_at
from .settings import Settings
from .sheets import png, sheet
from .trainer import Trainer

LOG_FILE, SHEET_FOLDER = "log.jsonl", "sheets"
STEPS_BETWEEN_CHECKS = 16


def told(line: str) -> None:
    """Print a line so that whoever reads it through a pipe sees it at once."""
    print(line, flush=True)


@dataclass(frozen=True)
class Call:
    """What holds for one call of a training only.

    Attributes
    ----------
    seconds : float
        How long this call may take, saving included as far as that can be foreseen.
    report_seconds : float
        How often the state is saved, a sheet drawn and a line logged.
    steps : float
        How many steps this call may do.
    clock : callable
        Gives seconds.
    stopped : callable
        Says whether somebody wants it to stop.
    say : callable
        Tells a line to whoever waits.
    """

    seconds: float = math.inf
    report_seconds: float = 60.0
    steps: float = math.inf
    clock: Callable[[], float] = time.monotonic
    stopped: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = told


def train(settings: Settings, folder: Path, device: torch.device, call: Call | None = None) -> Path:
    """Train, or go on training, and export what there is.

    Parameters
    ----------
    settings : Settings
        Must be those of the training in the folder, if there is one (`settings_for`).
    folder : Path
        Where state, log, sheets and result are.
    device : torch.device
        Where the work is done.
    call : Call or None
        What holds for this call.

    Returns
    -------
    Path
        The exported network.

    Raises
    ------
    TrainingError
        If it cannot begin or go on; what was saved last is then kept.
    """
    call = call or Call()
    check_size(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be made ({error.strerror or error}). Choose another folder.") from error
    state = folder / STATE_FILE
    began = call.clock()
    if state.exists():
        trainer, saved = load_state(state, device)
        if saved.settings != settings:
            raise TrainingError(f"{folder} holds a training with other settings. Choose another folder.")
        before, calls = saved.elapsed, saved.calls + 1
        call.say(f"Going on at step {trainer.steps}, after {before:.0f} of {settings.seconds:.0f} s.")
    else:
        trainer, before, calls = Trainer(settings, device), 0.0, 1
    run = Run(trainer, folder, call, began, before, calls)
    try:
        run.learn()
    except TrainingError as error:
        last = f"The state in {state} is the last good one." if state.exists() else "No state was saved before."
        raise TrainingError(f"{error} {last}") from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The device has too little memory for {settings.batch} pictures of {settings.size} px. Choose a smaller "
            "batch or size, and another folder."
        ) from error
    return export(trainer, folder, run.elapsed(), calls)


class Run:
    """One call of a training.

    Attributes
    ----------
    trainer : Trainer
        What learns.
    folder : Path
        Where everything is written.
    call : Call
        What holds for this call.
    began : float
        By the call's clock.
    before : float
        Seconds of all calls before.
    calls : int
        How many there were, this one included.
    """

    def __init__(self, trainer: Trainer, folder: Path, call: Call, began: float, before: float, calls: int) -> None:
        self.trainer, self.folder, self.call = trainer, folder, call
        self.began, self.before, self.calls = began, before, calls
        self._reported = (began, trainer.pictures)
        self._report_took = 0.0

    def elapsed(self) -> float:
        """Seconds of the whole training."""
        return self.before + self.call.clock() - self.began

    def learn(self) -> None:
        """Step by step until the time of the training or of the call is over; report now and then, and at the end."""
        settings, first = self.trainer.settings, self.trainer.steps
        moment = moment_at(settings, self.elapsed() / settings.seconds)
        while True:
            elapsed = self.elapsed()
            spent = elapsed - self.before + self._report_took
            done = elapsed >= settings.seconds or spent >= self.call.seconds
            if done or self.call.stopped() or self.trainer.steps - first >= self.call.steps:
                break
            moment = moment_at(settings, elapsed / settings.seconds)
            self.trainer.step(moment)
            if self.trainer.steps % STEPS_BETWEEN_CHECKS == 0:
                self.trainer.check()
            if self.call.clock() - self._reported[0] >= self.call.report_seconds:
                self.report(moment)
        if self.trainer.pictures > self._reported[1]:
            self.report(moment)

    def report(self, moment: Moment) -> None:
        """Save the state, draw a sheet, log a line; in this order, so that nothing is shown that could be lost."""
        trainer, now = self.trainer, self.call.clock()
        figures = trainer.take_figures()
        elapsed = self.elapsed()
        seconds, pictures = now - self._reported[0], trainer.pictures - self._reported[1]
        save_state(trainer, self.folder / STATE_FILE, elapsed, self.calls)
        name = f"{int(elapsed):06d}s_{trainer.steps:07d}.png"
        write_file(self.folder / SHEET_FOLDER / name, png(sheet(trainer.average, trainer.settings, moment.size)))
        line: dict[str, Any] = {
            "elapsed": round(elapsed, 1),
            "call": self.calls,
            "step": trainer.steps,
            "pictures": trainer.pictures,
            "stage": moment.stage,
            "size": moment.size,
            "rate": moment.rate,
            "supervised_weight": round(moment.supervised_weight, 4),
            "pictures_per_second": round(pictures / seconds, 2) if seconds > 0 else None,
            "memory_mib": round(memory_in_use(trainer.device) / 2**20),
            "noise": round(noise_strength(trainer), 4),
            **{key: round(value, 5) for key, value in figures.items()},
        }
        self.log(line)
        self.call.say("  ".join(f"{key} {value}" for key, value in line.items()))
        self._reported = (self.call.clock(), trainer.pictures)
        self._report_took = self._reported[0] - now

    def log(self, line: dict[str, Any]) -> None:
        """Append to the log, one JSON object a line."""
        path = self.folder / LOG_FILE
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise TrainingError(
                f"{path} cannot be written ({error.strerror or error}). Free some space, or allow writing there, and "
                "start the same command again."
            ) from error


def noise_strength(trainer: Trainer) -> float:
    """The mean strength of the noise inputs: it grows from nought once the network has a use for chance."""
    strengths = [layer.noise_strength.detach().abs() for layer in trainer.average.synthesis.layers]
    return float(torch.stack(strengths).mean())


def memory_in_use(device: torch.device) -> float:
    """The most bytes that were in use: of the graphics card, or of this process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource  # which Windows does not have
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
