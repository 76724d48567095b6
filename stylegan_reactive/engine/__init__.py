# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that holds torch: its client (for Blender), its protocol, and its server (in the child)."""
