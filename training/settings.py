# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a training run is told, as one frozen value that travels with it and is written beside its result."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from stylegan_reactive.generator import StyleGAN2Config
from stylegan_reactive.generator.layers import power_of_two, whole
from stylegan_reactive.generator.mapping import MappingConfig

from .data import formula
from .errors import TrainingError
from .latents import Z_DIM

SIZES = (32, 64, 128, 256)
LARGEST_FILE = 15e6  # bytes of the exported network


@dataclass(frozen=True)
class Settings:
    """What decides a run; two runs with the same settings and steps on one device give the same network.

    Attributes
    ----------
    data : str
        The formula, "bloom" or "silk".
    size : int
        Height and width of the finished network's pictures.
    seed : int
        Of the first weights, of the latents and of the noise.
    seconds : float
        How long the whole training takes, summed over all calls; the schedule stretches with it.
    batch : int
        Pictures in a step.
    channel_base, channel_most : int
        At r px the networks have channel_base / r channels, at most channel_most.
    w_dim, mapping_layers : int
        Of the mapping network.
    mapping_multiplier : float
        Its equalised learning rate.
    supervised_share : float
        The share of the time in which pictures are compared with the formula's alone.
    supervised_rate, adversarial_rate : float
        Learning rates of Adam.
    mapping_boost : float
        How much faster the mapping network learns in the supervised time; with the multiplier, as fast as the rest.
    mixing : float
        The share of the pictures whose coarse, medium and fine layers get latents of their own.
    penalty, penalty_every : float, int
        The gamma of R1, and that it is computed in every such step only.
    supervised_first, supervised_last : float
        What the supervised loss counts at both ends of the adversarial time; 0 and 0: not at all there.
    decay_share : float
        The last share of the time, in which the learning rate goes to zero.
    average_half_life : float
        Of the averaged network, in pictures.
    """

    data: str = "bloom"
    size: int = 256
    seed: int = 1
    seconds: float = 1320.0
    batch: int = 64
    channel_base: int = 8192
    channel_most: int = 256
    w_dim: int = 256
    mapping_layers: int = 4
    mapping_multiplier: float = 0.05
    supervised_share: float = 0.3
    supervised_rate: float = 3e-3
    adversarial_rate: float = 2e-3
    mapping_boost: float = 20.0
    mixing: float = 0.9
    penalty: float = 1.0
    penalty_every: int = 16
    supervised_first: float = 1.0
    supervised_last: float = 0.1
    decay_share: float = 0.15
    average_half_life: float = 15000.0

    def __post_init__(self) -> None:
        formula(self.data)
        rates = ("seconds", "mapping_multiplier", "supervised_rate", "adversarial_rate", "average_half_life")
        shares = ("supervised_share", "mixing", "supervised_first", "supervised_last", "decay_share")
        good = {
            "size": power_of_two(self.size, SIZES[0], SIZES[-1]),
            "seed": whole(self.seed, 0, 2**32 - 1),
            "batch": whole(self.batch, 1, 4096),
            "channel_base": whole(self.channel_base, 64, 65536),
            "channel_most": whole(self.channel_most, 4, 1024),
            "w_dim": whole(self.w_dim, 8, 1024),
            "mapping_layers": whole(self.mapping_layers, 1, 16),
            "penalty_every": whole(self.penalty_every, 1, 10000),
            **{name: math.isfinite(getattr(self, name)) and getattr(self, name) > 0 for name in rates},
            **{name: 0 <= getattr(self, name) <= 1 for name in shares},
            "penalty": math.isfinite(self.penalty) and self.penalty >= 0,
            "mapping_boost": math.isfinite(self.mapping_boost) and self.mapping_boost > 0,
        }
        for name, is_good in good.items():
            if not is_good:
                advice = f"one of {', '.join(map(str, SIZES))}" if name == "size" else "another value"
                raise TrainingError(f"{name} = {getattr(self, name)!r} is not possible. Choose {advice}.")

    def channels(self, size: int) -> int:
        """How many the feature maps of this size have, in both networks."""
        return max(4, min(self.channel_most, self.channel_base // size))

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., size."""
        return tuple(4 << level for level in range(int(math.log2(self.size)) - 1))

    @property
    def network(self) -> StyleGAN2Config:
        """The generator's architecture."""
        widths = (self.w_dim,) * self.mapping_layers
        return StyleGAN2Config(
            mapping=MappingConfig(Z_DIM, 0, self.w_dim, widths, lr_multiplier=self.mapping_multiplier),
            resolution=self.size,
            channels=tuple(self.channels(size) for size in self.resolutions),
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def settings_from_json(text: str) -> Settings:
    """Read settings again.

    Raises
    ------
    ValueError, TypeError, TrainingError
        If the text does not hold exactly these.
    """
    return Settings(**json.loads(text))
