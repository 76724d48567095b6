# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast this machine is, before a size is chosen: too few pictures make a worse network than a smaller size."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .errors import TrainingError
from .schedule import moment_at
from .settings import Settings
from .trainer import Trainer

SECONDS = 40.0
ENOUGH_PICTURES = 200_000  # of the whole training at 256 px, below which 128 px are taken
SIZE_WITHOUT_CARD = 64
SMALLEST_BATCH = 8


@dataclass(frozen=True)
class Probed:
    """What the probe found.

    Attributes
    ----------
    settings : Settings
        With the size, and the batch that fits into memory.
    pictures_per_second : float
        At 256 px, or at 128 px if only these fit; 0 where nothing was measured.
    """

    settings: Settings
    pictures_per_second: float


def choose_size(settings: Settings, pictures_per_second: float) -> int:
    """256 px if so many pictures a second there come to enough in the whole training, else 128 px."""
    return 256 if pictures_per_second * settings.seconds >= ENOUGH_PICTURES else 128


def probe(
    settings: Settings,
    device: torch.device,
    seconds: float = SECONDS,
    measure: Callable[[Settings, torch.device, float], float] | None = None,
) -> Probed:
    """Choose size and batch by adversarial steps at 256 px, which are the slowest; without a graphics card 64 px.

    `measure` gives pictures per second, for tests; it raises torch.OutOfMemoryError where the batch does not fit.

    Raises
    ------
    TrainingError
        If not even the smallest batch fits.
    """
    if device.type == "cpu" and measure is None:
        return Probed(dataclasses.replace(settings, size=SIZE_WITHOUT_CARD), 0.0)
    measure = measure or measure_rate
    batch = settings.batch
    while batch >= min(SMALLEST_BATCH, settings.batch):
        tried = dataclasses.replace(settings, size=256, batch=batch)
        try:
            rate = measure(tried, device, seconds)
        except torch.OutOfMemoryError:
            batch //= 2
            continue
        return Probed(dataclasses.replace(tried, size=choose_size(settings, rate)), rate)
    raise TrainingError("The graphics card has too little memory for 8 pictures. Free some, or choose SIZE=128.")


def measure_rate(settings: Settings, device: torch.device, seconds: float) -> float:
    """Pictures per second of adversarial steps; what is learnt is thrown away."""
    trainer = Trainer(settings, device)
    moment = moment_at(settings, (1 + settings.supervised_share) / 2)
    for _ in range(3):  # the libraries choose their algorithms in the first ones
        trainer.step(moment)
    trainer.take_figures()
    began, pictures = time.monotonic(), trainer.pictures
    while time.monotonic() - began < seconds:
        trainer.step(moment)
        trainer.check()  # waits for the device
    return (trainer.pictures - pictures) / (time.monotonic() - began)
