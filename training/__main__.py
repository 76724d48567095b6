# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: ``make train``, or ``python -m training --data silk --size 128 --seconds 1320 --out folder``.

The same command again goes on with what is in the folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from stylegan_reactive.errors import ReactiveError

from .checkpoints import STATE_FILE, read_saved
from .data import FORMULAS
from .errors import TrainingError
from .probe import SECONDS, probe
from .run import Call, train
from .settings import SIZES, Settings

AUTO = "auto"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; what is not said is None, so that a training that goes on needs not be told again."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/training"), help="folder of state, log and result")
    parser.add_argument("--this-call", type=float, default=float("inf"), help="seconds after which this call ends")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between sheets")
    parser.add_argument("--device", default=AUTO, help="auto, cuda, mps or cpu")
    known = {"data": f"the formula: {', '.join(FORMULAS)}", "size": f"auto, {', '.join(map(str, SIZES))} px"}
    for field in dataclasses.fields(Settings):
        kind: Any = str if field.name in ("data", "size") else type(field.default)
        about = known.get(field.name, f"{field.default} if it is left out")
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=None, help=about)
    return parser.parse_args(arguments)


def asked_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were really asked for."""
    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)}
    asked = {name: value for name, value in asked.items() if value not in (None, AUTO)}
    if "size" in asked:
        if not asked["size"].isdecimal():
            raise TrainingError(f"SIZE={asked['size']} is no size. Choose auto or one of {', '.join(map(str, SIZES))}.")
        asked["size"] = int(asked["size"])
    return asked


def settings_for(folder: Path, asked: dict[str, Any], device: torch.device) -> Settings:
    """Those of the training in the folder, or new ones.

    Raises
    ------
    TrainingError
        If the folder's training has others than were asked for, or one is not possible.
    """
    saved = read_saved(folder / STATE_FILE)
    if saved is not None:
        for name, value in asked.items():
            found = getattr(saved.settings, name)
            if found != value:
                raise TrainingError(
                    f"{folder} holds a training with {name} = {found}, and {name} = {value} was asked for. Choose "
                    "another folder, or leave that option out to go on with it."
                )
        return saved.settings
    settings = Settings(**asked)
    if "size" in asked:
        return settings
    probed = probe(settings, device)
    if probed.pictures_per_second:
        print(
            f"{SECONDS:.0f} s at 256 px: {probed.pictures_per_second:.0f} pictures/s, which would come to "
            f"{probed.pictures_per_second * settings.seconds / 1000:.0f} thousand."
        )
    else:
        print("There is no graphics card. What comes out will be blurred; this is for trying the script.")
    print(f"Chosen: {probed.settings.size} px, {probed.settings.batch} pictures a step.")
    return probed.settings


def device_of(name: str) -> torch.device:
    """The device of this name; "auto" is the best there is.

    Raises
    ------
    TrainingError
        If there is none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == AUTO:
        name = next(kind for kind, is_there in there.items() if is_there)
    if not there.get(name.split(":")[0], False):
        raise TrainingError(
            f'There is no device "{name}" here. Choose one of auto, {", ".join(k for k in there if there[k])}.'
        )
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f'"{name}" is no device. Choose auto.') from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 if all went well."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    stop: list[int] = []

    def remember(number: int, _frame: object) -> None:
        stop.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second time it ends at once

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        device = device_of(options.device)
        torch.backends.cudnn.benchmark = True
        settings = settings_for(options.out, asked_settings(options), device)
        call = Call(seconds=options.this_call, report_seconds=options.every, stopped=lambda: bool(stop))
        print(train(settings, options.out, device, call))
    except ReactiveError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


if __name__ == "__main__":
    sys.exit(main())
