# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN Reactive: turns a song into curves that an artist can edit, and the curves into a film."""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import blender

    blender.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from . import blender

    blender.unregister()
