# SPDX-License-Identifier: GPL-3.0-or-later
"""The result: the averaged network as a file of the extension's own, and the draft of its model card."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path

import torch

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import StyleGAN2, save_generator
from stylegan_reactive.generator.checkpoint import average_w

from .checkpoints import write_file
from .errors import TrainingError
from .latents import COARSE, FINE, MEDIUM
from .networks import roles
from .schedule import moment_at
from .settings import LARGEST_FILE, Settings
from .sheets import SEED as SHEET_SEED
from .sheets import png, sheet
from .trainer import Trainer, parameter_count

NETWORK_FILE, CARD_FILE, SHEET_FILE = "network.safetensors", "card.md", "sheet.png"
BYTES_PER_VALUE = 2  # fp16
HEADER_BYTES = 100_000  # more than the names of the tensors take


def check_size(settings: Settings) -> None:
    """Refuse networks that would be too large to ship, before any time is spent on them.

    Raises
    ------
    TrainingError
        If the exported file would be larger than `LARGEST_FILE`.
    """
    with torch.device("meta"):
        count = parameter_count(StyleGAN2(settings.network))
    expected = count * BYTES_PER_VALUE + HEADER_BYTES
    if expected > LARGEST_FILE:
        raise TrainingError(
            f"The network would take {expected / 1e6:.1f} MB, and what is shipped may take {LARGEST_FILE / 1e6:.0f}. "
            "Choose fewer channels or a smaller w_dim."
        )


def finished(trainer: Trainer) -> StyleGAN2:
    """The averaged network on the processor, with its average w."""
    generator = StyleGAN2(trainer.settings.network)
    generator.load_state_dict({name: tensor.cpu() for name, tensor in trainer.average.state_dict().items()})
    generator.mapping.w_avg.copy_(average_w(generator))
    return generator


def export(trainer: Trainer, folder: Path, elapsed: float, calls: int) -> Path:
    """Write network, card and sheet into the folder.

    Returns
    -------
    Path
        The network's, which `load_generator` reads.

    Raises
    ------
    TrainingError
        If one of them cannot be written.
    """
    path = folder / NETWORK_FILE
    size = moment_at(trainer.settings, elapsed / trainer.settings.seconds).size
    try:
        save_generator(finished(trainer), path)
    except CheckpointError as error:
        raise TrainingError(str(error)) from error
    write_file(folder / SHEET_FILE, png(sheet(trainer.average, trainer.settings, size)))
    write_file(folder / CARD_FILE, card(trainer, path.stat().st_size, elapsed, calls).encode())
    return path


def card(trainer: Trainer, size: int, elapsed: float, calls: int) -> str:
    """A model card in Markdown, for a person to complete."""
    settings = trainer.settings
    coarse, medium, fine = roles(settings, settings.size)
    device = torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else "processor"
    state = "complete" if elapsed >= settings.seconds else f"{elapsed / settings.seconds:.0%} of its schedule"
    lines = [
        f"# A StyleGAN2 of {settings.size} px, trained on the formula “{settings.data}”",
        "",
        f"- **Data.** Pictures of the formula `training/{settings.data}.py`, painted while it was trained; no picture",
        "  was seen twice, and none is anybody's. Licence of the weights: CC0.",
        f"- **Training.** `make train`, {state}: {trainer.steps} steps of {settings.batch} pictures,",
        f"  {trainer.pictures} in all, in {elapsed:.0f} s and {calls} call{'s' if calls != 1 else ''}, last in stage"
        f" “{trainer.stage}”.",
        f"- **Machine.** {device}, torch {torch.__version__}, Python {platform.python_version()}.",
        f"- **File.** {parameter_count(trainer.average) / 1e6:.2f} million values in fp16, {size / 1e6:.1f} MB, the"
        " exponential moving average.",
        f"- **Roles.** z: {COARSE.start} to {COARSE.stop - 1} coarse, {MEDIUM.start} to {MEDIUM.stop - 1} medium,"
        f" {FINE.start} to {FINE.stop - 1} fine. Layers: 0 to {coarse - 1} coarse, {coarse} to {coarse + medium - 1}"
        f" medium, {coarse + medium} to {coarse + medium + fine - 1} fine; noise is what is left to chance.",
        f"- **Seeds.** Weights {settings.seed}, latents {settings.seed + 1}, noise {settings.seed + 2}; the sheet"
        f" {SHEET_SEED}.",
        "",
        "The schedule follows the clock, so that another run takes other steps. All settings:",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in dataclasses.asdict(settings).items()),
        "",
        f"![Seeds, and each role moved alone]({SHEET_FILE})",
        "",
    ]
    return "\n".join(lines)
