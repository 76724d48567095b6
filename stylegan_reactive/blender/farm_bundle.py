# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a job bundle of the open film, which stays as it is: a copy is saved, and another Blender fills the bundle."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from ..farm import jobs
from ..farm.frames import FilmRange
from ..farm.manifest import (
    BLEND,
    PATCH,
    RUN,
    BundleError,
    Manifest,
    bundled_files,
    fingerprint,
    write_json,
    write_manifest,
)
from .bake import missing_envelopes
from .farm_packing import collect
from .patches import patch_of
from .preferences import engine_python
from .properties import settings_of
from .session import session
from .shape import render_size
from .steps import Steps, in_background
from .trust import trust

PACKAGE = Path(__file__).resolve().parent.parent
WAIT = 0.1  # seconds between two looks at the other Blender
MOVIE_FRAMES = ".png"


@dataclass(frozen=True)
class JobOptions:
    """What the artist chooses: `farm` is one of `jobs.FARMS`, `device` as in `Manifest`, `chunk` frames per task."""

    farm: str = "openjd"
    chunk: int = 50
    device: str = "cpu"


def addon_version() -> str:
    """The version of this add-on."""
    for folder in (PACKAGE, PACKAGE.parent):
        if (folder / "blender_manifest.toml").is_file():
            return str(tomllib.loads((folder / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])
    return ""


def check_film(scene: bpy.types.Scene) -> None:
    """Raise `BundleError` where the film cannot be rendered by a farm as it is."""
    if settings_of(scene).image is None:
        raise BundleError("This scene is not set up yet. Press Set Up Scene first.")
    missing = missing_envelopes(scene)
    if missing:
        raise BundleError(f"The curve {min(missing)!r} is not baked yet. Press Bake first.")
    if scene.render.use_multiview:
        raise BundleError("Stereoscopy writes several pictures for a frame, which the farm cannot join. Switch it off.")
    if scene.render.is_movie_format and str(scene.display_settings.display_device) != "sRGB":
        raise BundleError(
            "A film for another display than sRGB cannot be joined from frames without a change. Choose an image "
            "format as output, or sRGB as display."
        )
    own = {image for other in bpy.data.scenes for image in (settings_of(other).image, settings_of(other).image_twin)}
    painted = [image.name for image in bpy.data.images if image.is_dirty and image.users and image not in own]
    if painted:
        raise BundleError(f"The image {min(painted)!r} has changes that are in no file. Save or pack it first.")


def movie_frame_bytes(scene: bpy.types.Scene) -> int:
    """Bytes of a frame's raw pixels, as it is stored."""
    width, height = render_size(scene)
    settings = scene.render.image_settings
    channels = {"BW": 1, "RGB": 3, "RGBA": 4}[settings.color_mode]
    return width * height * channels * (1 if settings.color_depth == "8" else 4 if settings.color_depth == "32" else 2)


def manifest_of(scene: bpy.types.Scene, options: JobOptions) -> Manifest:
    """What the job of a scene is and needs, but for its files."""
    render = scene.render
    movie = render.is_movie_format
    first = render.frame_path(frame=scene.frame_start)
    name = Path(first).stem.strip() or scene.name
    width, height = render_size(scene)
    codecs = (render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.audio_codec)
    return Manifest(
        name=name if movie else scene.name,
        addon=addon_version(),
        fingerprint=fingerprint(PACKAGE),
        blender=(bpy.app.version[0], bpy.app.version[1]),
        device=options.device,
        scene=scene.name,
        range=FilmRange(scene.frame_start, scene.frame_end, scene.frame_step),
        fps=render.fps / render.fps_base,
        width=width,
        height=height,
        frame_ending=MOVIE_FRAMES if movie else render.file_extension,
        film_name=f"{name}{Path(first).suffix or render.file_extension}" if movie else "",
        frame_bytes=movie_frame_bytes(scene),
        video=" ".join(codecs) if movie else "",
    )


def relative_patch(value: Any, bundle: Path) -> Any:
    """A patch whose files in the bundle are named from the .blend: ``//files/network.pkl``."""
    if isinstance(value, dict):
        return {name: relative_patch(item, bundle) for name, item in value.items()}
    if isinstance(value, list):
        return [relative_patch(item, bundle) for item in value]
    if isinstance(value, str) and bundle in Path(value).parents:
        return "//" + Path(value).relative_to(bundle).as_posix()
    return value


def fill_bundle(bundle: Path, scene_name: str, options: JobOptions, place: Path) -> Manifest:
    """Make a bundle of the folder that holds ``film.blend``; opens that. `place`: where the bundle will lie.

    Raises
    ------
    BundleError
        See `check_film` and `collect`.
    """
    bundle = bundle.resolve()
    trust.allowed.add(str(bundle / BLEND))  # the artist who submits it means this file
    bpy.ops.wm.open_mainfile(filepath=str(bundle / BLEND), load_ui=False)
    scene = bpy.data.scenes[scene_name]
    check_film(scene)
    collect(bundle)
    manifest = manifest_of(scene, options)
    write_json(bundle / PATCH, relative_patch(patch_of(scene), bundle))
    scene.render.filepath = f"//output/{manifest.film_name or 'frames/'}"
    bpy.ops.wm.save_mainfile(compress=True, relative_remap=False)
    shutil.copyfile(PACKAGE / "farm" / RUN, bundle / RUN)
    if options.farm == "openjd":
        jobs.write_openjd(bundle, manifest, options.chunk)
    else:
        jobs.write_flamenco(bundle, manifest, options.chunk, place)
    (bundle / f"{BLEND}1").unlink(missing_ok=True)
    manifest = replace(manifest, files=bundled_files(bundle))
    write_manifest(bundle, manifest)
    return manifest


def save_copy(folder: Path) -> None:
    """Save the open file into a bundle as it is now, with what is not saved; it stays open under its own name."""
    try:
        folder.mkdir(parents=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / BLEND), copy=True, check_existing=False, compress=True)
    except (OSError, RuntimeError) as fault:
        raise BundleError(f"The bundle cannot be written to {folder}: {fault}. Choose another place.") from None


def blender_command(*arguments: str) -> list[str]:
    """The command that runs our part of Blender in a process of its own."""
    script = str(PACKAGE / "farm" / RUN)
    if bpy.app.binary_path and not bpy.app.module:
        return [
            bpy.app.binary_path,
            "--background",
            "--python-exit-code",
            "1",
            "--python",
            script,
            "--",
            *arguments,
        ]
    return [sys.executable, script, *arguments]


def run_blender(arguments: Sequence[str], report: Callable[[float, str], None], text: str) -> str:
    """Run another Blender and wait; `report` may raise to stop it.

    Returns
    -------
    str
        What it printed.

    Raises
    ------
    BundleError
        It failed; the message is what it said last.
    """
    environment = dict(os.environ)
    if not bpy.app.binary_path or bpy.app.module:
        environment["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), environment.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        blender_command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        while True:
            try:
                output, _ = child.communicate(timeout=WAIT)
                break
            except subprocess.TimeoutExpired:
                report(0.5, text)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    if child.returncode != 0:
        raise BundleError(
            reasons_in(output)
            or f"The other Blender ended with status {child.returncode}. Read what it said:\n{output}"
        )
    return output


def reasons_in(output: str) -> str:
    """The lines in which a worker says why it stops."""
    lines = output.splitlines()
    reasons = []
    for number, line in enumerate(lines):
        if line.startswith("STOP: "):
            reasons.append(line.removeprefix("STOP: "))
            for more in lines[number + 1 :]:
                if not more.startswith("  "):
                    break
                reasons.append(more)
    return "\n".join(reasons)


def device_here() -> Steps[str]:
    """The kind of device that the engine uses on this machine."""
    engine = session.engine()
    hello = yield from in_background("Starting the engine", lambda _report: engine.start())
    return str(hello.device)


def bundle_steps(scene: bpy.types.Scene, place: Path, options: JobOptions) -> Steps[Path]:
    """Write a bundle; `JobOptions.device` may be ``here``.

    Raises
    ------
    ReactiveError
        Nothing was written.
    """
    trust.check()
    check_film(scene)
    name = scene.name
    place = place.resolve()
    if place.exists():
        raise BundleError(f"{place} is there already. Choose another name, so that no film is mixed with another.")
    python = engine_python()
    if options.device == "here":
        options = replace(options, device=(yield from device_here()))
    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    arguments = ["fill", str(partial), "--place", str(place), "--scene", name, f"--engine-python={python}"]
    arguments += ["--farm", options.farm, "--chunk", str(options.chunk), f"--device={options.device}"]
    text = "Collecting what the farm needs"

    def work(report: Callable[[float, str], None]) -> None:
        try:
            run_blender(arguments, report, text)
            os.replace(partial, place)
        except OSError as fault:
            raise BundleError(f"The bundle cannot be written to {place} ({fault}). Choose another place.") from None
        finally:  # here, where the other Blender has ended: after Esc nobody else waits for it
            shutil.rmtree(partial, ignore_errors=True)

    try:
        save_copy(partial)
    except BundleError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    yield from in_background(text, work)
    return place


def check_steps(bundle: Path) -> Steps[list[str]]:
    """Check a bundle on this machine, in a Blender of its own, as a farm does; the lines of its report."""
    text = "Checking this machine"
    arguments = ["check", str(bundle), "--report-only", f"--engine-python={engine_python()}"]
    output = yield from in_background(text, lambda report: run_blender(arguments, report, text))
    return report_lines(output)


def report_lines(output: str) -> list[str]:
    """What a check says, out of all that Blender prints."""
    return [line.removeprefix("FARM: ") for line in output.splitlines() if line.startswith("FARM: ")]
