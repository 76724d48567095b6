# SPDX-License-Identifier: GPL-3.0-or-later
"""The help pages of the panels: they come with the extension, so they open without a network."""

from pathlib import Path

import bpy

PACKAGE = Path(__file__).resolve().parent.parent
PAGES = {
    "SGR_PT_film": "film",
    "SGR_PT_picture": "picture",
    "SGR_PT_envelopes": "envelopes",
    "SGR_PT_latents": "latent_layers",
    "SGR_PT_noise": "noise_layers",
    "SGR_PT_bends": "bends",
    "SGR_PT_rewrites": "rewrites",
    "SGR_PT_palette": "palette",
    "SGR_PT_farm": "farm",
    "SGR_Preferences": "preferences",
}
"""The page of docs/panels that explains each panel."""
# The part of the manual that explains a property or an operator (the pattern that Blender matches), most special first.
MANUAL = (
    ("bpy.types.sgr_envelope*", "panels/envelopes"),
    ("bpy.types.sgr_latent*", "panels/latent_layers"),
    ("bpy.types.sgr_noise*", "panels/noise_layers"),
    ("bpy.types.sgr_bend*", "panels/bends"),
    ("bpy.types.sgr_rewrite*", "panels/rewrites"),
    ("bpy.types.sgr_preferences*", "panels/preferences"),
    ("bpy.types.sgr_*", "panels/film"),
    ("bpy.ops.stylegan_reactive.envelope*", "panels/envelopes"),
    ("bpy.ops.stylegan_reactive.bake*", "panels/envelopes"),
    ("bpy.ops.stylegan_reactive.place*", "panels/picture"),
    ("bpy.ops.stylegan_reactive.install*", "panels/preferences"),
    ("bpy.ops.stylegan_reactive.test*", "panels/preferences"),
    ("bpy.ops.stylegan_reactive.submit*", "panels/farm"),
    ("bpy.ops.stylegan_reactive.check_bundle*", "panels/farm"),
    ("bpy.ops.stylegan_reactive.*", "panels/film"),
)


def address(page: str) -> str:
    """The address of a page such as "panels/film": of the installed extension, else of the repository."""
    installed = PACKAGE / "help" / f"{page}.html"
    return (installed if installed.is_file() else PACKAGE.parent / "docs" / f"{page}.md").as_uri()


def online_manual() -> tuple[str, tuple[tuple[str, str], ...]]:
    """For Blender's *Online Manual* in the menu of the right mouse button: a prefix, and what follows it."""
    folder = PACKAGE / "help" if (PACKAGE / "help").is_dir() else PACKAGE.parent / "docs"
    ending = ".html" if folder.name == "help" else ".md"
    return folder.as_uri() + "/", tuple((pattern, page + ending) for pattern, page in MANUAL)


def draw_help(layout: bpy.types.UILayout, panel: str) -> None:
    """A button that opens the page of a panel."""
    page = PAGES.get(panel)
    if page is not None:
        layout.operator("wm.url_open", text="", icon="QUESTION", emboss=False).url = address(f"panels/{page}")


def register() -> None:
    """Let Blender's own help find the pages."""
    bpy.utils.register_manual_map(online_manual)


def unregister() -> None:
    """Take them out again."""
    bpy.utils.unregister_manual_map(online_manual)
