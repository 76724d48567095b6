# SPDX-License-Identifier: GPL-3.0-or-later
"""Which properties can be keyed: those of the picture can, those of how it is made cannot and show no key dot."""

FIXED: set[str] = set()
"""Options of a property that cannot be keyed."""

FILE: set[str] = {"PATH_SUPPORTS_BLEND_RELATIVE"}
"""Options of the path of a file, which may begin with ``//``; it cannot be keyed either."""
