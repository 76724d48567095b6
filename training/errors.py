# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training run says when it cannot go on."""

from stylegan_reactive.errors import ReactiveError


class TrainingError(ReactiveError):
    """The training cannot begin or cannot go on; the message says why, and what to do."""
