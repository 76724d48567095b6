# SPDX-License-Identifier: GPL-3.0-or-later
"""The job of a bundle for each kind of farm: a template of Open Job Description, or a job for Flamenco's manager.

Sources: https://github.com/OpenJobDescription/openjd-specifications (2023-09 Template Schemas) and
https://flamenco.blender.org/usage/job-types/ .
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from .manifest import BLEND, OUTPUT, Manifest, write_json

FARMS = ("openjd", "flamenco")
TEMPLATE = Path(__file__).parent / "openjd" / "template.json"
JOB_TYPE = Path(__file__).parent / "flamenco" / "stylegan_reactive.js"
FLAMENCO_PLATFORMS = {"win32": "windows", "darwin": "darwin"}
GPU = {"amounts": [{"name": "amount.worker.gpu", "min": 1}]}


def openjd_parameters(manifest: Manifest, chunk: int) -> dict[str, Any]:
    """Values of the template's parameters for a film, but for those that are a worker's own."""
    return {
        "JobName": manifest.name[:64],
        "FrameStart": manifest.range.first,
        "FrameEnd": manifest.range.last,
        "ChunkSize": chunk,
    }


def openjd_template(manifest: Manifest, chunk: int) -> dict[str, Any]:
    """The template with a film's values as defaults, and a graphics card demanded where the job demands CUDA."""
    template: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    values = openjd_parameters(manifest, chunk)
    for definition in template["parameterDefinitions"]:
        if definition["name"] in values:
            definition["default"] = values[definition["name"]]
    if manifest.device == "cuda":
        for step in template["steps"]:
            if step["name"] != "Join":
                step["hostRequirements"] = GPU
    return template


def write_openjd(bundle: Path, manifest: Manifest, chunk: int) -> None:
    """``template.json`` and the two files beside it that AWS Deadline Cloud's submitters read."""
    write_json(bundle / "template.json", openjd_template(manifest, chunk))
    values = [{"name": name, "value": value} for name, value in openjd_parameters(manifest, chunk).items()]
    write_json(bundle / "parameter_values.json", {"parameterValues": values})
    references = {"inputs": {"filenames": [], "directories": ["."]}, "outputs": {"directories": [OUTPUT]}}
    write_json(bundle / "asset_references.json", {"assetReferences": references})


def flamenco_job(bundle: Path, manifest: Manifest, chunk: int, platform: str = sys.platform) -> dict[str, Any]:
    """The job as Flamenco's manager takes it: ``POST /api/v3/jobs``."""
    return {
        "name": manifest.name,
        "type": "stylegan-reactive",
        "priority": 50,
        "submitter_platform": FLAMENCO_PLATFORMS.get(platform, "linux"),
        "settings": {
            "blendfile": (bundle / BLEND).as_posix(),
            "frames": f"{manifest.range.first}-{manifest.range.last}",
            "chunk_size": chunk,
            "join": True,
            "engine_python": "",
        },
        "metadata": {"project": "StyleGAN Reactive"},
    }


def write_flamenco(bundle: Path, manifest: Manifest, chunk: int, place: Path) -> None:
    """The folder ``flamenco`` of a bundle that will lie at `place`."""
    folder = bundle / "flamenco"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(JOB_TYPE, folder / JOB_TYPE.name)
    write_json(folder / "job.json", flamenco_job(place, manifest, chunk))
