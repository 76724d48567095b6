# SPDX-License-Identifier: GPL-3.0-or-later
"""Both networks, their average, their optimisers and their chance; and one step of learning."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stylegan_reactive.generator import StyleGAN2

from .data import paint
from .errors import TrainingError
from .latents import NOISE_DIM, Z_DIM, Latents, latents_of
from .losses import discriminator_loss, generator_loss, gradient_penalty, supervised_loss
from .networks import Discriminator, TrainableGenerator, mixed_ws, roles
from .schedule import ADVERSARIAL, SUPERVISED, Moment, warm_up
from .settings import Settings

MOMENTS = {SUPERVISED: (0.9, 0.99), ADVERSARIAL: (0.0, 0.99)}  # Adam's betas
AVERAGE_RAMP = 0.05  # the average's half-life is at most this share of the pictures so far


class Trainer:
    """The state of a training, apart from its time.

    Attributes
    ----------
    generator, discriminator : nn.Module
        What learns.
    average : StyleGAN2
        The generator's exponential moving average, which is what comes out in the end.
    generator_optimiser, discriminator_optimiser : Adam
        Those of the present stage.
    latent_random, map_random : torch.Generator
        For latents, on the processor, so that they are the same everywhere; and for noise maps, on the device.
    stage : str
        "supervised" or "adversarial".
    steps, pictures, stage_steps : int
        Done so far, and in this stage.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        half = torch.bfloat16 if device.type == "cuda" else None
        with torch.random.fork_rng(devices=[]):  # made on the processor: the same first weights on every device
            torch.manual_seed(settings.seed)
            self.generator = TrainableGenerator(settings, half)
            self.discriminator = Discriminator(settings, half)
            self.average = StyleGAN2(settings.network)
        self.average.load_state_dict(copy.deepcopy(self.generator.state_dict()))
        for network in (self.generator, self.discriminator, self.average):
            network.to(device)
        self.latent_random = torch.Generator().manual_seed(settings.seed + 1)
        self.map_random = torch.Generator(device).manual_seed(settings.seed + 2)
        self.steps = self.pictures = 0
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self.begin_stage(SUPERVISED)

    def begin_stage(self, stage: str) -> None:
        """Forget what the optimisers know: the two stages ask for different things."""
        self.stage, self.stage_steps = stage, 0
        mapping = list(self.generator.mapping.parameters())
        rest = list(self.generator.synthesis.parameters())
        # R1 is computed once in a while, so that its optimiser is to remember and go a little less (the paper, app. B).
        lazy = self.settings.penalty_every / (self.settings.penalty_every + 1)
        first, second = MOMENTS[stage]
        self.generator_optimiser = torch.optim.Adam(
            [{"params": rest}, {"params": mapping}], lr=0.0, betas=(first, second), eps=1e-8
        )
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminator.parameters(), lr=0.0, betas=(first**lazy if first else 0.0, second**lazy), eps=1e-8
        )
        self.discriminator_slowness = lazy

    def draw_latents(self) -> tuple[list[Tensor], Latents]:
        """Three z [batch, 64] for the network, and the latents of the formula's picture that belongs to them."""
        batch, random = self.settings.batch, self.latent_random
        z = torch.randn(3, batch, Z_DIM, generator=random)
        mixed = torch.rand(batch, 1, generator=random) < self.settings.mixing
        noise = torch.randn(batch, NOISE_DIM, generator=random)
        zs = [z[0], torch.where(mixed, z[1], z[0]), torch.where(mixed, z[2], z[0])]
        zs = [one.to(self.device) for one in zs]
        return zs, latents_of(zs[0], zs[1], zs[2], noise.to(self.device))

    def draw_noise(self, size: int) -> list[Tensor | None]:
        """New noise maps for the layers up to this size."""
        return [
            torch.randn(self.settings.batch, 1, *shape, generator=self.map_random, device=self.device)
            if shape[0] <= size
            else None
            for shape in self.generator.noise_shapes
        ]

    def paint(self, zs: list[Tensor], size: int) -> Tensor:
        """The generator's pictures of three z, with a gradient.  [batch, 3, size, size]"""
        ws = mixed_ws((self.generator.styles(z) for z in zs), roles(self.settings, size))
        return self.generator.synthesis(ws, self.draw_noise(size), stop=size)

    def step(self, moment: Moment) -> None:
        """Learn from one batch."""
        if moment.stage != self.stage:
            self.begin_stage(moment.stage)
        rate = moment.rate * warm_up(self.stage_steps)
        zs, latents = self.draw_latents()
        targets = paint(self.settings.data, latents, moment.size)
        pictures = self.paint(zs, moment.size)
        distance = supervised_loss(pictures, targets)
        loss = distance * moment.supervised_weight
        self.add("supervised", distance)
        if moment.stage == ADVERSARIAL:
            self.discriminator.requires_grad_(False)
            game = generator_loss(self.discriminator(pictures))
            self.discriminator.requires_grad_(True)
            self.add("generator", game)
            loss = loss + game
        set_rates(self.generator_optimiser, (rate, rate * moment.mapping_boost))
        descend(self.generator_optimiser, loss)
        if moment.stage == ADVERSARIAL:
            set_rates(self.discriminator_optimiser, (rate * self.discriminator_slowness,))
            self.judge(targets, pictures.detach())
        self.steps += 1
        self.stage_steps += 1
        self.pictures += self.settings.batch
        self.follow()

    def judge(self, real: Tensor, fake: Tensor) -> None:
        """The discriminator's half of a step."""
        penalised = self.stage_steps % self.settings.penalty_every == 0
        penalty = None
        if penalised:
            real_logits, penalty = gradient_penalty(self.discriminator, real)
            self.add("penalty", penalty)
        else:
            real_logits = self.discriminator(real)
        fake_logits = self.discriminator(fake)
        loss = discriminator_loss(real_logits, fake_logits)
        self.add("discriminator", loss)
        self.add("real_logit", real_logits.mean())
        self.add("fake_logit", fake_logits.mean())
        if penalty is not None:
            loss = loss + penalty * (self.settings.penalty / 2 * self.settings.penalty_every)
        descend(self.discriminator_optimiser, loss)

    @torch.no_grad()
    def follow(self) -> None:
        """Let the average follow the generator."""
        half_life = max(1.0, min(self.settings.average_half_life, AVERAGE_RAMP * self.pictures))
        kept = 0.5 ** (self.settings.batch / half_life)
        for follower, leader in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            follower.lerp_(leader, 1 - kept)

    def add(self, name: str, value: Tensor) -> None:
        """Remember a figure, without waiting for the device."""
        total, count = self._sums.get(name, (torch.zeros((), device=self.device), 0))
        self._sums[name] = total + value.detach(), count + 1

    def check(self) -> None:
        """Look whether the losses are still numbers.

        Raises
        ------
        TrainingError
            If one is not.
        """
        for name, (total, _) in self._sums.items():
            if not bool(total.isfinite()):
                raise TrainingError(
                    f"The {name} loss is no number any more (NaN or infinity) at step {self.steps}. "
                    "Try another SEED, or a lower learning rate, in a new folder."
                )

    def take_figures(self) -> dict[str, float]:
        """The mean of each figure since the last call; they are checked."""
        self.check()
        means = {name: float(total) / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means


def set_rates(optimiser: torch.optim.Optimizer, rates: Iterable[float]) -> None:
    """Give each group of parameters its learning rate."""
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def parameter_count(network: nn.Module) -> int:
    """How many numbers a network stores."""
    return sum(tensor.numel() for tensor in network.state_dict().values())
