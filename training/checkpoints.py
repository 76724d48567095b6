# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving a training and going on with it: one safetensors file with every number, and JSON in its metadata.

Nothing that is read here can run. The file is written beside its place and moved there, so that it is always whole, and
a training that fails keeps the last good one. On a device whose sums come out the same twice, a training that was saved
and resumed goes on as if it had never stopped, to the last bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stylegan_reactive.files import write_whole
from stylegan_reactive.generator.layers import whole

from .errors import TrainingError
from .settings import Settings, settings_from_json
from .trainer import MOMENTS, Trainer

FORMAT, VERSION = "stylegan_reactive.training", "1"
STATE_FILE = "state.safetensors"
ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Saved:
    """What a state file says about itself.

    Attributes
    ----------
    settings : Settings
        Of the training.
    elapsed : float
        Seconds that it has run, summed over all calls.
    calls : int
        How often it was called.
    stage : str
        "supervised" or "adversarial".
    steps, pictures, stage_steps : int
        Done.
    """

    settings: Settings
    elapsed: float
    calls: int
    stage: str
    steps: int
    pictures: int
    stage_steps: int

    def __post_init__(self) -> None:
        counts = (self.calls, self.steps, self.pictures, self.stage_steps)
        good = self.stage in MOMENTS and all(whole(count, 0, 2**62) for count in counts)
        if not (good and isinstance(self.elapsed, int | float) and 0 <= self.elapsed < float("inf")):
            raise ValueError("its progress is none")


def networks_of(trainer: Trainer) -> dict[str, nn.Module]:
    """The networks by the names that their tensors begin with."""
    return {"generator": trainer.generator, "average": trainer.average, "discriminator": trainer.discriminator}


def optimised(trainer: Trainer) -> dict[str, torch.optim.Optimizer]:
    """The optimisers, likewise."""
    return {"generator": trainer.generator_optimiser, "discriminator": trainer.discriminator_optimiser}


def tensors_of(trainer: Trainer) -> dict[str, Tensor]:
    """Everything that a training consists of, as tensors by name, on the processor."""
    tensors = {
        f"{name}/{key}": value
        for name, network in networks_of(trainer).items()
        for key, value in network.state_dict().items()
    }
    for name, optimiser in optimised(trainer).items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{name}/{index}/{key}": state[key] for key in ADAM}
    tensors["random/latents"] = trainer.latent_random.get_state()
    tensors["random/maps"] = trainer.map_random.get_state()
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def save_state(trainer: Trainer, path: Path, elapsed: float, calls: int) -> None:
    """Write a state file, in place of the one before.

    Raises
    ------
    TrainingError
        If a value is no number any more, or the file cannot be written; the one before then stays as it was.
    """
    tensors = tensors_of(trainer)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise TrainingError(
                f"{name} holds values that are no numbers any more (NaN or infinity) at step {trainer.steps}. "
                "Try another SEED, or a lower learning rate, in a new folder."
            )
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "settings": trainer.settings.to_json(),
        "progress": json.dumps(
            {
                "elapsed": elapsed,
                "calls": calls,
                "stage": trainer.stage,
                "steps": trainer.steps,
                "pictures": trainer.pictures,
                "stage_steps": trainer.stage_steps,
            }
        ),
    }
    write_file(path, save(tensors, metadata))


def write_file(path: Path, data: bytes) -> None:
    """Write a file as a whole.

    Raises
    ------
    TrainingError
        If there is no room for it, or no right to write it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror or error}). Free some space, or allow writing there, and start "
            "the same command again: it goes on from what was saved last."
        ) from error


def read_saved(path: Path) -> Saved | None:
    """What a state file says about itself; None if there is no such file.

    Raises
    ------
    TrainingError
        If it is damaged, or no state of a training.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
            raise TrainingError(
                f"{path} is no state of a training that this version can go on with. Choose another folder."
            )
        progress = json.loads(metadata["progress"])
        return Saved(settings_from_json(metadata["settings"]), **progress)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read ({error}). Choose another folder, or delete it.") from error


def load_state(path: Path, device: torch.device) -> tuple[Trainer, Saved]:
    """A training as it was when it was saved.

    Raises
    ------
    TrainingError
        If there is none, or it is damaged.
    """
    saved = read_saved(path)
    if saved is None:
        raise TrainingError(f"There is no training at {path}. Choose the folder of one.")
    trainer = Trainer(saved.settings, device)
    trainer.begin_stage(saved.stage)
    trainer.steps, trainer.pictures, trainer.stage_steps = saved.steps, saved.pictures, saved.stage_steps
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        for name, network in networks_of(trainer).items():
            prefix = f"{name}/"
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            network.load_state_dict(own)
        for name, optimiser in optimised(trainer).items():
            optimiser.load_state_dict({**optimiser.state_dict(), "state": adam_state(tensors, f"adam/{name}/")})
        trainer.latent_random.set_state(tensors["random/latents"])
        trainer.map_random.set_state(tensors["random/maps"])
    except (SafetensorError, OSError, RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} does not hold what its settings ask for, or comes from another kind of device ({reason}). "
            "Choose another folder."
        ) from error
    return trainer, saved


def adam_state(tensors: dict[str, Tensor], prefix: str) -> dict[int, dict[str, Tensor]]:
    """What Adam remembers of each parameter."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split("/")
            state.setdefault(int(index), {})[key] = tensor
    return state
