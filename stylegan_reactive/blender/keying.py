# SPDX-License-Identifier: GPL-3.0-or-later
"""Which properties can be keyed: those of the picture can, those of how it is made cannot and show no key dot."""

FIXED: set[str] = set()
"""Options of a property that cannot be keyed."""
