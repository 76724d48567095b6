# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping network of all StyleGANs: z, and the class c if there are classes, to one w for each layer.

They differ in depth, in learning rate and in how a class comes in; all else that differs (the gain of an activation,
the norm of z) is a factor that the reader of a file puts into the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .layers import FullyConnected, check_config, normalise_second_moment, positive, whole

LABELS = ("embed", "concat")


@dataclass(frozen=True)
class MappingConfig:
    """The architecture of a mapping network.

    Attributes
    ----------
    z_dim, c_dim, w_dim : int
        Lengths of z, of a class (0: no classes) and of w.
    widths : tuple of int
        The length that each layer gives; the last is `w_dim`.
    lr_multiplier : float
        The stored weights are multiplied by it (0.01 in published checkpoints).
    labels : str
        "embed": a class is mapped to `embed_dim` features, normalised by itself and joined to the normalised z.
        "concat": it is mapped without a bias, joined to z as it is, and both are normalised as one (StyleGAN2, 2019).
    embed_dim : int
        Features that a class is mapped to.
    """

    z_dim: int
    c_dim: int
    w_dim: int
    widths: tuple[int, ...]
    lr_multiplier: float = 0.01
    labels: str = "embed"
    embed_dim: int = 0

    def __post_init__(self) -> None:
        check_config(
            self,
            {
                "z_dim": whole(self.z_dim, 1, 65536),
                "c_dim": whole(self.c_dim, 0, 65536),
                "w_dim": whole(self.w_dim, 1, 65536),
                "widths": isinstance(self.widths, tuple)
                and 1 <= len(self.widths) <= 64
                and all(whole(width, 1, 65536) for width in self.widths)
                and self.widths[-1] == self.w_dim,
                "lr_multiplier": positive(self.lr_multiplier),
                "labels": self.labels in LABELS,
                "embed_dim": whole(self.embed_dim, 1 if self.c_dim else 0, 65536),
            },
        )


class MappingNetwork(nn.Module):
    """z and c to ws; truncation pulls towards the average w."""

    w_avg: Tensor

    def __init__(self, config: MappingConfig, num_ws: int) -> None:
        super().__init__()
        self.config = config
        self.num_ws = num_ws
        features = config.z_dim
        if config.c_dim:
            self.embed = FullyConnected(config.c_dim, config.embed_dim, activate=False)
            features += config.embed_dim
        for index, width in enumerate(config.widths):
            self.add_module(f"fc{index}", FullyConnected(features, width, activate=True, lr=config.lr_multiplier))
            features = width
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    @property
    def layers(self) -> tuple[FullyConnected, ...]:
        """``fc0``, ``fc1``, ..."""
        return tuple(self.get_submodule(f"fc{index}") for index in range(len(self.config.widths)))  # type: ignore[misc]

    @torch.no_grad()
    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float | Tensor = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """One w for each layer.

        Parameters
        ----------
        z : Tensor
            [batch, z_dim], normally distributed.
        c : Tensor or None
            [batch, c_dim], one-hot or a mixture; needed exactly if the network knows classes.
        truncation_psi : float or Tensor
            0 is the average w, 1 no truncation; or a tensor [batch] with one for each sample.
        truncation_cutoff : int or None
            Only this many ws, from the coarsest on, are truncated; None: all.

        Returns
        -------
        Tensor
            [batch, num_ws, w_dim].

        Raises
        ------
        ValueError
            If z, c or truncation_psi has another shape, or truncation_psi is not finite.
        """
        psi = checked_truncation(truncation_psi, len(z))
        x = self.normalised_inputs(z, c)
        for layer in self.layers:
            x = layer(x)
        ws = x[:, None].repeat(1, self.num_ws, 1)  # [batch, num_ws, w_dim]
        if psi is not None:
            ws[:, :truncation_cutoff] = self.w_avg.lerp(ws[:, :truncation_cutoff], psi.to(ws)[:, None, None])
        return ws

    def normalised_inputs(self, z: Tensor, c: Tensor | None) -> Tensor:
        """What the first layer reads.  [batch, z_dim + embed_dim]"""
        config = self.config
        if z.ndim != 2 or z.shape[1] != config.z_dim:
            raise ValueError(f"z has shape {list(z.shape)}, not [batch, {config.z_dim}]")
        if not config.c_dim:
            return normalise_second_moment(z)
        if c is None or c.shape != (len(z), config.c_dim):
            given = "nothing" if c is None else f"shape {list(c.shape)}"
            raise ValueError(
                f"this generator knows {config.c_dim} classes: pass c [{len(z)}, {config.c_dim}], not {given}"
            )
        if config.labels == "embed":
            return torch.cat([normalise_second_moment(z), normalise_second_moment(self.embed(c))], dim=1)
        return normalise_second_moment(torch.cat([z, self.embed(c)], dim=1))


def checked_truncation(psi: float | Tensor, batch: int) -> Tensor | None:
    """Truncation as a tensor [batch or 1], known to be finite; None where it does nothing."""
    values = torch.as_tensor(psi)
    if values.shape not in ((), (1,), (batch,)):
        raise ValueError(f"truncation_psi has shape {list(values.shape)}, not [{batch}]")
    if not bool(values.isfinite().all()):
        raise ValueError(f"truncation_psi is {psi}; finite numbers were expected")
    return None if bool((values == 1).all()) else values.reshape(-1)
