# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives as long as Blender runs and is stored in no file: the engine, and the notices in the scenes' panels."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..engine.client import Engine, Settings
from ..engine.protocol import NetworkFacts
from ..errors import ReactiveError
from .patch_parts import checkpoint_of
from .preferences import chosen_device, engine_python, memory_limit, own_folder
from .trust import trust


@dataclass
class Notice:
    """A text for the panel: an error, or how far something is (``progress`` 0..1)."""

    text: str
    is_error: bool = False
    progress: float | None = None


@dataclass
class Session:
    """The one engine of this Blender, the notices by scene, and whether a long operator runs (``busy``).

    ``report_lines`` is what the engine said of itself when it was last tested.
    ``networks`` has what the engine says of the networks that it was asked about, by `checkpoint_of`.
    ``same_everywhere``: use nothing that was measured on this machine, for it may round otherwise than another.
    ``farm_bundle`` is the folder of the last job for a render farm, ``farm_lines`` the report of the last check.
    ``clipboard`` holds a copied patch where the system has no clipboard.
    """

    busy: bool = False
    report_lines: tuple[str, ...] = ()
    clipboard: str = ""
    same_everywhere: bool = False
    farm_bundle: str = ""
    farm_lines: tuple[str, ...] = ()
    networks: dict[str, NetworkFacts] = field(default_factory=dict)
    _engine: Engine | None = None
    _notices: dict[int, Notice] = field(default_factory=dict)

    def engine(self, *, for_file: bool = True) -> Engine:
        """The engine for the Python and device that are chosen now; it starts when it is first asked something.

        Parameters
        ----------
        for_file : bool
            It will be asked for what the open file names, which the artist must have allowed: see `trust`.

        Raises
        ------
        NotAllowed
            The open file is a stranger's.
        EngineError
            There is no Python for the engine.
        """
        if for_file:
            trust.check()
        python, device = engine_python(), chosen_device()
        if self._engine is None or (self._engine.python, self._engine.device) != (python, device):
            self.close()
            self._engine = Engine(python, device, log_folder=_log_folder())
        cache = None if self.same_everywhere else own_folder("cache")
        self._engine.configure(Settings(memory=memory_limit(), cache_folder="" if cache is None else str(cache)))
        return self._engine

    @property
    def incidents_met(self) -> int:
        """How many things went wrong with the engine and were mended without a word."""
        return 0 if self._engine is None else self._engine.incidents_met

    def incidents_since(self, met: int) -> list[str]:
        """What they were since there had been so many."""
        new = self.incidents_met - met
        return list(self._engine.incidents)[-new:] if self._engine is not None and new > 0 else []

    def close(self) -> None:
        """Stop the engine and give its memory back."""
        engine, self._engine, self.report_lines = self._engine, None, ()
        if engine is not None:
            engine.close()

    def network(self, scene: bpy.types.Scene) -> NetworkFacts | None:
        """What is known of a scene's network; None where the engine was not asked yet."""
        return self.networks.get(checkpoint_of(scene))

    def notice(self, scene: bpy.types.Scene) -> Notice | None:
        """What the scene's panel shows."""
        return self._notices.get(scene.session_uid)

    def tell(self, scene: bpy.types.Scene, notice: Notice | None) -> None:
        """Show a notice in the scene's panel; None takes it away."""
        if notice is None:
            self._notices.pop(scene.session_uid, None)
        else:
            self._notices[scene.session_uid] = notice
        if not bpy.app.background and not bpy.app.timers.is_registered(_redraw):
            bpy.app.timers.register(_redraw)  # not at once: a render calls from a thread of its own

    def fail(self, scene: bpy.types.Scene, error: ReactiveError) -> None:
        """Show an error in the scene's panel."""
        self.tell(scene, Notice(str(error), is_error=True))


def _redraw() -> None:
    """Let every panel show what is new; a timer that runs once."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            area.tag_redraw()


def _log_folder() -> Path:
    """Where the engine's log goes: the extension's own folder where it is installed."""
    return own_folder("log") or Path(tempfile.gettempdir())


session = Session()
