# SPDX-License-Identifier: GPL-3.0-or-later
"""The room of the generators: networks, their files, and what can be done to them. torch; never bpy, never audio."""

from .base import Generator
from .bend_operations import OPERATIONS, Operation, Parameter
from .bending import Bend, Channels
from .canvas import Canvas
from .checkpoint import builtin_checkpoint, convert, load_generator, save_generator
from .clusters import Clusters, find_clusters, load_or_find_clusters
from .directions import Directions, sefa
from .editing import rank_one_edit, seeded_direction
from .execution import Execution, captured, prepare, tune
from .latent_files import load_directions, load_latents, load_ws, save_ws
from .lucidrains import Lucidrains, LucidrainsConfig
from .projection import Projection, project
from .resampling import BORDERS
from .rewriting import Rewrite, blend, from_network, load_deltas, save_deltas
from .stylegan1 import StyleGAN1, StyleGAN1Config
from .stylegan2 import StyleGAN2, StyleGAN2Config
from .stylegan3 import StyleGAN3, StyleGAN3Config, transform_matrix
from .workspace import keep_freed_memory

__all__ = [
    "BORDERS",
    "OPERATIONS",
    "Bend",
    "Canvas",
    "Channels",
    "Clusters",
    "Directions",
    "Execution",
    "Generator",
    "Lucidrains",
    "LucidrainsConfig",
    "Operation",
    "Parameter",
    "Projection",
    "Rewrite",
    "StyleGAN1",
    "StyleGAN1Config",
    "StyleGAN2",
    "StyleGAN2Config",
    "StyleGAN3",
    "StyleGAN3Config",
    "blend",
    "builtin_checkpoint",
    "captured",
    "convert",
    "find_clusters",
    "from_network",
    "keep_freed_memory",
    "load_deltas",
    "load_directions",
    "load_generator",
    "load_latents",
    "load_or_find_clusters",
    "load_ws",
    "prepare",
    "project",
    "rank_one_edit",
    "save_deltas",
    "save_generator",
    "save_ws",
    "seeded_direction",
    "sefa",
    "transform_matrix",
    "tune",
]
