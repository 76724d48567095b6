# SPDX-License-Identifier: GPL-3.0-or-later
"""Training a generator on pictures that formulas paint. Nothing of the extension imports this; ``docs/training.md``."""
