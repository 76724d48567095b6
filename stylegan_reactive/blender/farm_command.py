# SPDX-License-Identifier: GPL-3.0-or-later
"""The farm from the command line, without a window: write a bundle, check a worker, render, join.

    blender --command stylegan_farm submit film.blend bundle --farm openjd --chunk 50
    blender --background --python-exit-code 1 --python bundle/run.py -- render bundle --frames 1-50
    python -m stylegan_reactive.farm.run submit film.blend bundle        with the module bpy

Exit status: 0 where all is well, 1 where something is missing or failed; the lines that begin with STOP say what.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import bpy

from ..errors import ReactiveError
from ..farm.frames import frames_in
from ..farm.jobs import FARMS
from ..farm.preflight import DEVICES
from . import farm_render, farm_worker
from .farm_bundle import JobOptions, bundle_steps, fill_bundle
from .farm_join import join
from .preferences import DEVICE_ENVIRONMENT, ENVIRONMENT, engine_python, preferences
from .session import session
from .steps import finish
from .trust import trust

COMMAND = "stylegan_farm"


def parser() -> argparse.ArgumentParser:
    """The commands and what they take."""
    root = argparse.ArgumentParser(prog=COMMAND, description="Films of StyleGAN Reactive on a render farm")
    commands = root.add_subparsers(dest="what", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--engine-python", default="", help="the Python with torch (default: as in the preferences)")
        return one

    def for_bundle(name: str, text: str) -> argparse.ArgumentParser:
        one = command(name, text)
        one.add_argument("bundle", type=Path, help="folder of the job bundle")
        one.add_argument("--output", type=Path, help="folder of the results (default: output in the bundle)")
        return one

    def job(one: argparse.ArgumentParser, device: str) -> None:
        one.add_argument("--farm", choices=FARMS, default=FARMS[0], help="which farm the job is for")
        one.add_argument("--chunk", type=int, default=50, help="frames per task (default: 50)")
        one.add_argument("--device", choices=("here", "", *DEVICES), default=device, help='which kind; "": any')

    submit = command("submit", "write the job bundle of a film")
    submit.add_argument("film", type=Path, help="the .blend file, set up and baked")
    submit.add_argument("bundle", type=Path, help="folder to make")
    job(submit, "here")
    fill = command("fill", "make a bundle of a folder with film.blend (what submit does in a Blender of its own)")
    fill.add_argument("bundle", type=Path)
    fill.add_argument("--place", type=Path, required=True)
    fill.add_argument("--scene", required=True)
    job(fill, "cpu")
    check = for_bundle("check", "say what is missing on this machine, and keep its picture to compare others with")
    check.add_argument("--report-only", action="store_true", help="keep nothing")
    for_bundle("environment", "check this machine, and tell Open Job Description where its engine is")
    render = for_bundle("render", "render frames that are not there yet")
    render.add_argument("--frames", default="", help="such as 1-50 or 1-50,60 (default: all)")
    render.add_argument("--thorough", action="store_true", help="check this machine first, as 'check' does")
    render.add_argument("--start", type=int, help="instead: first frame of a chunk")
    render.add_argument("--count", type=int, default=1, help="frames of the chunk that begins at --start")
    for_bundle("join", "join frames and sound to the film")
    return root


def use_engine(python: str) -> None:
    """Let this Blender use a Python for the engine, before the one in its preferences; nothing is saved."""
    if python:
        os.environ[ENVIRONMENT] = python
        found = preferences()
        if found is not None:
            found.engine_python = python


def end_at_once(reason: str) -> NoReturn:
    """End the process in the midst of a render, with the reason."""
    stop(reason)
    session.close()
    os._exit(1)


def stop(reason: str) -> None:
    """Say why a task ends."""
    sys.stdout.flush()
    print(f"STOP: {reason}", file=sys.stderr)
    print(f"openjd_fail: {reason.splitlines()[0]}", flush=True)
    sys.stderr.flush()


def say(lines: Sequence[str]) -> None:
    """Lines of a report, marked so that they are found among what Blender prints."""
    for line in lines:
        print(f"FARM: {line}")


def run(options: argparse.Namespace) -> None:
    """Do what was asked for; raises `ReactiveError`."""
    use_engine(options.engine_python)
    if options.what == "submit":
        trust.allowed.add(str(options.film.resolve()))  # whoever gave the command means this file
        bpy.ops.wm.open_mainfile(filepath=str(options.film.resolve()), load_ui=False)
        place = finish(bundle_steps(bpy.context.scene, options.bundle, job_options(options)))
        say([f"The job bundle is in {place}"])
        return
    if options.what == "fill":
        fill_bundle(options.bundle, options.scene, job_options(options), options.place)
        return
    job = farm_worker.open_job(options.bundle, options.output)
    os.environ[DEVICE_ENVIRONMENT] = job.manifest.device
    session.same_everywhere = True
    if options.what == "check":
        say(farm_worker.check(job, thorough=True, keep=not options.report_only))
    elif options.what == "environment":
        say(farm_worker.check(job, thorough=True))
        print(f"openjd_env: {ENVIRONMENT}={engine_python()}")
    elif options.what == "render":
        chunk = job.manifest.range.chunk(options.start, options.count) if options.start is not None else None
        named = frames_in(options.frames) if options.frames else list(job.manifest.range.frames())
        wanted = named if chunk is None else chunk
        done = farm_render.render(job, wanted, end_at_once, thorough=options.thorough)
        say([f"{done.made} frames made in {done.seconds:.2f} s, {done.kept} were there"])
    else:
        farm_worker.check_owner(job)
        say([f"The result is {join(job)}"])


def job_options(options: argparse.Namespace) -> JobOptions:
    """From the command line."""
    return JobOptions(options.farm, options.chunk, options.device)


def main(arguments: Sequence[str]) -> int:
    """Exit status for the shell; called by ``run.py``, by Blender's ``--command`` and by Python."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as ending:
        return int(ending.code or 0)
    try:
        run(options)
    except ReactiveError as error:
        stop(str(error))
        return 1
    finally:
        session.close()
    return 0


_registered: list[object] = []


def register() -> None:
    """Let ``blender --command stylegan_farm`` find the commands."""
    _registered.append(bpy.utils.register_cli_command(COMMAND, main))


def unregister() -> None:
    """Take it away."""
    while _registered:
        bpy.utils.unregister_cli_command(_registered.pop())
