# SPDX-License-Identifier: GPL-3.0-or-later
"""The room of the generators: networks, and reading and writing their files. torch; never bpy, never audio."""

from .checkpoint import builtin_checkpoint, load_generator, save_generator
from .stylegan2 import StyleGAN2, StyleGAN2Config

__all__ = ["StyleGAN2", "StyleGAN2Config", "builtin_checkpoint", "load_generator", "save_generator"]
