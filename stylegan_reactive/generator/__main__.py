# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m stylegan_reactive.generator convert network.pkl network.safetensors``: any generator file as our own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError
from .checkpoint import convert


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; 0 if it could be done."""
    parser = argparse.ArgumentParser(prog="python -m stylegan_reactive.generator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("convert", help="write any network file as a .safetensors file of ours")
    command.add_argument("source", type=Path, help="the file to read: .pkl, .pt, .pth or .safetensors")
    command.add_argument("target", type=Path, help="the .safetensors file to write")
    command.add_argument("--full", action="store_true", help="keep 32 bits per value instead of 16")
    options = parser.parse_args(arguments)
    try:
        generator = convert(options.source, options.target, half=not options.full)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 1
    height, width = generator.resolution
    size = options.target.stat().st_size / 1e6
    print(f"{options.target}: {generator.architecture}, {width} x {height} px, {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
