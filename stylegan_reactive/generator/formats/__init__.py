# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign network files: one reader for each kind, which turns plain data into one of our generators' tensors."""

from . import lucidrains, nvidia_pytorch, nvidia_tensorflow, rosinality, stylegan1, stylegan3

READERS = (nvidia_pytorch, nvidia_tensorflow, rosinality, stylegan3, stylegan1, lucidrains)
