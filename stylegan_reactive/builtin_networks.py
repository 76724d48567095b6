# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks that come with the extension: what they are called, and where they lie on this machine.

A patch names one as ``builtin:silk``, or as plain ``builtin`` for the one that is taken where nothing was chosen. So a
patch or a .blend file finds it on every machine, wherever the extension is installed.
"""

from dataclasses import dataclass
from pathlib import Path

ASSETS = Path(__file__).resolve().parent / "assets"
BUILTIN = "builtin"


@dataclass(frozen=True)
class BuiltinNetwork:
    """One network that comes with the extension.

    Attributes
    ----------
    name : str
        What a patch calls it, after ``builtin:``, and its file, before ``.safetensors``.
    title, description : str
        What the artist reads.
    """

    name: str
    title: str
    description: str

    @property
    def checkpoint(self) -> str:
        """What a patch and a scene call it."""
        return f"{BUILTIN}:{self.name}"

    @property
    def path(self) -> Path:
        """Its file on this machine."""
        return ASSETS / f"{self.name}.safetensors"


BUILTIN_NETWORKS = (
    BuiltinNetwork("silk", "Silk", "Folds of glossy, veined silk; very fast on any computer"),
    BuiltinNetwork("bloom", "Bloom", "Luminous flowers in a dark nebula, with stars that twinkle with the noise"),
)
DEFAULT = "bloom"


def is_builtin(checkpoint: str) -> bool:
    """Whether a patch means a network of the extension's, be it one that is not there, and no file."""
    return checkpoint == BUILTIN or checkpoint.startswith(f"{BUILTIN}:")


def find_builtin(checkpoint: str) -> BuiltinNetwork | None:
    """The network that ``builtin``, ``builtin:name`` or an empty text means; None where there is none."""
    name = DEFAULT if checkpoint in ("", BUILTIN) else checkpoint.removeprefix(f"{BUILTIN}:")
    return next((network for network in BUILTIN_NETWORKS if network.name == name), None)


def known_builtins() -> str:
    """The names of all of them, for a message."""
    return ", ".join(f'"{network.checkpoint}"' for network in BUILTIN_NETWORKS)
