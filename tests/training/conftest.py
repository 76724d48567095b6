# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings so small that a step takes hundredths of a second."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.latents import NOISE_DIM, Z_DIM
from training.settings import Settings


@pytest.fixture
def tiny() -> Settings:
    """32 px, 40 seconds of which a test's clock counts one for each step."""
    return Settings(
        data="silk", size=32, seconds=40.0, batch=4, channel_base=512, channel_most=32, w_dim=32, mapping_layers=2
    )


@pytest.fixture
def drawn() -> tuple[Tensor, Tensor]:
    """z [8, 64] and noise latents [8, 96]."""
    random = torch.Generator().manual_seed(11)
    return torch.randn(8, Z_DIM, generator=random), torch.randn(8, NOISE_DIM, generator=random)
