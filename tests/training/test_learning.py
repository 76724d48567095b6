# SPDX-License-Identifier: GPL-3.0-or-later
"""Both stages really learn, both networks have the gradients they should, and the schedule fits into its time."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from stylegan_reactive.choreography.ranges import latent_range
from training.data import paint
from training.losses import discriminator_loss, generator_loss, gradient_penalty, supervised_loss
from training.networks import Discriminator, TrainableGenerator, mixed_ws, roles
from training.schedule import ADVERSARIAL, SUPERVISED, moment_at
from training.settings import Settings
from training.trainer import Trainer

CPU = torch.device("cpu")
STEPS = 70


def test_a_tiny_run_learns_which_picture_belongs_to_which_latents(tiny: Settings) -> None:
    settings = dataclasses.replace(tiny, batch=16)
    trainer = Trainer(settings, CPU)
    zs, latents = trainer.draw_latents()
    targets = paint("silk", latents, 32)  # pictures that it will not be shown

    def distance(order: Tensor) -> float:
        with torch.no_grad():
            ws = mixed_ws((trainer.generator.styles(z) for z in zs), roles(settings, 32))
            return float(supervised_loss(trainer.generator.synthesis(ws, "none"), targets[order]))

    rightly, shifted = torch.arange(16), torch.arange(16).roll(1)
    start = distance(rightly)
    for step in range(STEPS):
        trainer.step(moment_at(settings, 0.25 * step / STEPS))
    assert distance(rightly) < 0.65 * start
    # A network that learnt only the pictures' average would be as far from any other target.
    assert distance(rightly) < 0.97 * distance(shifted)


@pytest.mark.parametrize("half", [None, torch.bfloat16], ids=["single", "bfloat16"])
def test_every_parameter_of_both_networks_gets_a_gradient(tiny: Settings, half: torch.dtype | None) -> None:
    torch.manual_seed(1)
    generator, discriminator = TrainableGenerator(tiny, half), Discriminator(tiny, half)
    z = torch.randn(3, 4, 64)
    noise = [torch.randn(4, 1, *shape) for shape in generator.noise_shapes]
    ws = mixed_ws((generator.styles(one) for one in z), roles(tiny, 32))
    pictures = generator.synthesis(ws, noise)
    assert pictures.dtype == torch.float32
    generator_loss(discriminator(pictures)).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


def test_half_precision_paints_nearly_the_same_and_points_the_same_way(tiny: Settings) -> None:
    answers = []
    for half in (None, torch.bfloat16):
        torch.manual_seed(1)
        generator = TrainableGenerator(tiny, half)
        ws = generator.styles(torch.randn(4, 64))[:, None].expand(-1, generator.num_ws, -1)
        pictures = generator.synthesis(ws)
        pictures.square().mean().backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in generator.synthesis.parameters()])
        answers.append((pictures.detach(), gradient))
    (exact, direction), (rounded, other) = answers
    assert 0 < (exact - rounded).abs().mean() < 0.02 * exact.abs().mean()
    assert torch.nn.functional.cosine_similarity(direction, other, dim=0) > 0.99


def test_learning_rates_are_equalised_so_that_a_signal_keeps_its_size(tiny: Settings) -> None:
    torch.manual_seed(1)
    for channels in (8, 64):
        settings = dataclasses.replace(tiny, channel_base=channels * 32, channel_most=channels, w_dim=64)
        generator, discriminator = TrainableGenerator(settings), Discriminator(settings)
        w = generator.styles(torch.randn(256, 64))
        assert 0.3 < float(w.detach().std()) < 3
        maps = generator.features(w[:8, None].detach().expand(-1, generator.num_ws, -1), "none")
        assert all(0.3 < float(values.std()) < 3 for name, values in maps.items() if "conv" in name)
        assert 0.02 < float(discriminator(torch.randn(32, 3, 32, 32)).detach().std()) < 5


def test_the_mapping_network_that_learns_is_the_one_that_paints(tiny: Settings) -> None:
    generator = TrainableGenerator(tiny)
    z = torch.randn(5, 64)
    assert torch.allclose(generator.styles(z), generator.mapping(z)[:, 0], atol=1e-5)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_roles_of_the_finished_network_are_the_panel_s(size: int) -> None:
    settings = Settings(size=size)
    shapes = tuple((r, r) for r in settings.resolutions for _ in range(2))[1:]
    ranges = [latent_range(name, settings.network.num_ws, shapes) for name in ("coarse", "medium", "fine")]
    assert roles(settings, size) == tuple(len(one) for one in ranges)
    for smaller in settings.resolutions[3:]:
        counts = roles(settings, smaller)
        assert sum(counts) == settings.network.num_ws
        assert sum(counts[:2]) <= 2 * settings.resolutions.index(smaller)  # its last colours are fine


def test_a_network_that_grows_begins_with_what_it_had_painted(tiny: Settings) -> None:
    settings = dataclasses.replace(tiny, size=128, channel_base=1024)
    torch.manual_seed(1)
    generator = TrainableGenerator(settings)
    ws = generator.styles(torch.randn(2, 64))[:, None].expand(-1, generator.num_ws, -1)
    small, large = generator.synthesis(ws, stop=64), generator.synthesis(ws, stop=128)
    grown = torch.nn.functional.avg_pool2d(large, 2)
    assert (grown - small).std() < 0.35 * small.std()


def test_an_adversarial_step_changes_both_networks_and_gives_finite_figures(tiny: Settings) -> None:
    trainer = Trainer(tiny, CPU)
    before = [
        torch.cat([p.detach().flatten() for p in n.parameters()]) for n in (trainer.generator, trainer.discriminator)
    ]
    moment = moment_at(tiny, 0.5)
    assert moment.stage == ADVERSARIAL
    for _ in range(3):
        trainer.step(moment)
    after = [
        torch.cat([p.detach().flatten() for p in n.parameters()]) for n in (trainer.generator, trainer.discriminator)
    ]
    assert all((one != other).float().mean() > 0.9 for one, other in zip(before, after, strict=True))
    figures = trainer.take_figures()
    assert {"supervised", "generator", "discriminator", "penalty"} <= figures.keys()
    assert all(math.isfinite(value) for value in figures.values())


def test_a_discriminator_learns_to_tell_the_formula_s_pictures_from_others(tiny: Settings) -> None:
    trainer = Trainer(tiny, CPU)
    trainer.begin_stage(ADVERSARIAL)
    for group in trainer.discriminator_optimiser.param_groups:
        group["lr"] = 2e-3
    fakes = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for _ in range(12):
        trainer.judge(paint("silk", trainer.draw_latents()[1], 32), fakes)
        trainer.stage_steps += 1
    with torch.no_grad():
        real = trainer.discriminator(paint("silk", trainer.draw_latents()[1], 32))
        assert real.min() > trainer.discriminator(fakes).max()


def test_the_penalty_s_gradient_is_that_of_small_differences(tiny: Settings) -> None:
    torch.manual_seed(3)
    discriminator = Discriminator(tiny).double()
    pictures = torch.randn(4, 3, 32, 32, dtype=torch.float64)

    def penalty() -> Tensor:
        return gradient_penalty(discriminator, pictures)[1]

    # What it is: the squared length of the logits' gradient by the pictures, here by finite differences.
    direction = torch.randn_like(pictures)
    moved = pictures.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(moved).sum(), moved)
    step = 1e-5
    slope = (discriminator(pictures + step * direction) - discriminator(pictures - step * direction)).sum() / (2 * step)
    assert float(slope.detach()) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)
    assert float(penalty().detach()) == pytest.approx(float(gradient.square().sum() / len(pictures)), rel=1e-5)
    # And how it moves with a weight.
    weight = discriminator.blocks[0].conv1.weight
    (by_weight,) = torch.autograd.grad(penalty(), weight)
    turned = torch.randn_like(weight)
    with torch.no_grad():
        weight += step * turned
    above = float(penalty().detach())
    with torch.no_grad():
        weight -= 2 * step * turned
    below = float(penalty().detach())
    assert (above - below) / (2 * step) == pytest.approx(float((by_weight * turned).sum()), rel=1e-3)


def test_the_penalty_of_a_plane_is_its_squared_slope() -> None:
    class Plane(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return 3 * pictures[:, 0, 0, 0] + 4 * pictures[:, 1, 2, 2]

    assert float(gradient_penalty(Plane(), torch.randn(5, 3, 4, 4))[1]) == pytest.approx(25)


def test_losses_are_smallest_where_they_should_be() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    assert supervised_loss(pictures, pictures) == 0
    blurred = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1)
    assert supervised_loss(blurred, pictures) > 0.1
    sure, unsure = torch.full((4,), 5.0), torch.zeros(4)
    assert discriminator_loss(sure, -sure) < discriminator_loss(unsure, unsure) < discriminator_loss(-sure, sure)
    assert generator_loss(sure) < generator_loss(-sure)


def test_the_schedule_grows_then_plays_and_ends_with_a_rate_of_zero() -> None:
    settings = Settings()
    moments = [moment_at(settings, step / 1000) for step in range(1001)]
    assert list(dict.fromkeys((m.stage, m.size) for m in moments)) == [
        (SUPERVISED, 64),
        (SUPERVISED, 128),
        (SUPERVISED, 256),
        (ADVERSARIAL, 256),
    ]
    assert sum(m.stage == SUPERVISED for m in moments) == pytest.approx(300, abs=1)
    weights = [m.supervised_weight for m in moments]
    assert weights == sorted(weights, reverse=True)
    assert (weights[0], weights[-1]) == (1.0, pytest.approx(0.1))
    alone = dataclasses.replace(settings, supervised_share=0.0, supervised_first=0.0, supervised_last=0.0)
    assert {(m.stage, m.supervised_weight) for m in (moment_at(alone, p) for p in (0.0, 0.5, 1.0))} == {
        (ADVERSARIAL, 0.0)
    }
    assert moments[850].rate == settings.adversarial_rate
    assert moments[925].rate == pytest.approx(settings.adversarial_rate / 2)
    assert moments[-1].rate == 0
