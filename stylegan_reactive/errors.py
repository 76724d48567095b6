# SPDX-License-Identifier: GPL-3.0-or-later
"""The one family of errors that an artist may read.

Each message says what was wrong, with which file or value, and what to do. The panel shows it as it is;
anything that is not a ``ReactiveError`` is a bug, and only its trace in the log explains it.
"""


class ReactiveError(Exception):
    """Something that the artist can mend; ``str(error)`` is the text for the panel."""


class SongError(ReactiveError):
    """The song cannot be read or holds nothing to hear."""


class CheckpointError(ReactiveError):
    """The network file cannot be read or is of a kind that is not known."""


class PatchError(ReactiveError):
    """The mapping names something that does not exist or has a value out of range."""


class EngineError(ReactiveError):
    """The engine process cannot start, stopped, or does not answer."""
