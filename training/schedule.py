# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens when, as a function of the share of the time that has passed. It knows no clock and no step.

The time counts, not the steps, so that a training fits into the time for which a machine is lent, however fast it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from .networks import growing_steps
from .settings import Settings

SUPERVISED, ADVERSARIAL = "supervised", "adversarial"
WARM_UP_STEPS = 100  # Adam's first estimates are poor


@dataclass(frozen=True)
class Moment:
    """What holds at one moment.

    Attributes
    ----------
    stage : str
        "supervised" or "adversarial".
    size : int
        Pixels of the pictures.
    rate : float
        Adam's learning rate.
    mapping_boost : float
        The factor of the rate for the mapping network.
    supervised_weight : float
        Of the supervised loss.
    """

    stage: str
    size: int
    rate: float
    mapping_boost: float
    supervised_weight: float


def moment_at(settings: Settings, progress: float) -> Moment:
    """What holds after this share of the time, from 0 to 1.

    Supervised: 30 % of that time at a quarter of the size (never below 64 px), 30 % at half of it, 40 % at the full
    size. Adversarial: always the full size, the supervised loss fading by the same factor in equal times
    (evenly, if one of its ends is nought).
    """
    progress = min(max(progress, 0.0), 1.0)
    share = settings.supervised_share
    rate_left = min(1.0, (1 - progress) / settings.decay_share) if settings.decay_share else 1.0
    if progress < share:
        passed = progress / share
        steps = growing_steps(settings)
        smaller = 0 if passed >= 0.6 else 1 if passed >= 0.3 else 2
        size = settings.resolutions[-1 - min(smaller, steps - 1)]
        return Moment(SUPERVISED, size, settings.supervised_rate * rate_left, settings.mapping_boost, 1.0)
    passed = (progress - share) / (1 - share) if share < 1 else 1.0
    first, last = settings.supervised_first, settings.supervised_last
    weight = first * (last / first) ** passed if first and last else first + (last - first) * passed
    return Moment(ADVERSARIAL, settings.size, settings.adversarial_rate * rate_left, 1.0, weight)


def warm_up(steps: int) -> float:
    """The factor of the learning rate after so many steps of a stage."""
    return min(1.0, (steps + 1) / WARM_UP_STEPS)
