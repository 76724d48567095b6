# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made smaller: the distance from the formula's picture, and the two sides of the adversarial game."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOLED_SCALES = 4


def supervised_loss(pictures: Tensor, targets: Tensor) -> Tensor:
    """L1 at full, half, quarter and eighth size, and L1 of the differences between neighbours at full size.

    The small sizes find out where large forms belong long before the pixels agree; the differences ask for edges.
    """
    difference = pictures - targets
    loss = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    loss = loss + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    for scale in range(POOLED_SCALES):
        difference = F.avg_pool2d(difference, 2) if scale else difference
        loss = loss + difference.abs().mean()
    return loss


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, section 3)."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The logistic loss of telling real from painted."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def gradient_penalty(discriminator: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """R1 without its factor: the mean of the squared length of the gradient by the real pictures.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018,
    https://arxiv.org/abs/1801.04406. The loss is gamma / 2 times it.

    Returns
    -------
    tuple of Tensor
        The logits [batch], and the penalty [].
    """
    pictures = pictures.detach().requires_grad_(True)
    logits = discriminator(pictures)
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return logits, gradient.square().sum(dim=(1, 2, 3)).mean()
