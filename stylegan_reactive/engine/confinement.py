# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine may not do, whatever a file makes it do: start programs, open sockets, change files elsewhere.

Python tells an audit hook of each such step before it happens (PEP 578), and the hook can refuse it. It cannot be taken
away again. It is a second wall behind readers that execute nothing, against what files of strangers have to offer:
pickles, archives, names with ``..``, links. It is none against machine code that has taken over the process, nor
against code of Python that is at large in it and knows its way: ``ctypes`` leads to any function of the system, and
only the plain ones are refused by name; a few steps (``os.mkfifo``) tell no hook.

What is refused is an ``OSError``, so that packages which only try (some count the processor's cores by running a
program) go on without.
"""

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAMS = frozenset(
    {
        *("subprocess.Popen", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.forkpty"),
        *("pty.spawn", "os.startfile", "os.startfile/2", "webbrowser.open"),
    }
)
NETWORK = frozenset(
    {
        *("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    }
)
# Events that change files: which of their arguments are paths, and which say to what open folder these are relative.
CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    **dict.fromkeys(("os.remove", "os.rmdir", "shutil.rmtree"), ((0, 1),)),
    **dict.fromkeys(("os.mkdir", "os.chmod"), ((0, 2),)),
    **dict.fromkeys(("os.chown", "os.utime"), ((0, 3),)),
    **dict.fromkeys(("os.rename", "os.link"), ((0, 2), (1, 3))),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}
# Functions of the system that start programs or open sockets, as ctypes looks them up.
FUNCTIONS = frozenset(
    {
        *("system", "popen", "execl", "execle", "execlp", "execv", "execve", "execvp", "execvpe", "fexecve", "syscall"),
        *("posix_spawn", "posix_spawnp", "fork", "vfork", "clone", "socket", "connect", "bind", "sendto", "_wsystem"),
        *("CreateProcessA", "CreateProcessW", "WinExec", "ShellExecuteA", "ShellExecuteW", "WSASocketA", "WSASocketW"),
    }
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """The engine may not do this; the message says what."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EACCES, f"the engine may not {what}")


class Confinement:
    """The rules of this process; `begin` puts them in force.

    Attributes
    ----------
    folders : tuple of Path
        Where files may be changed, all links followed: those of the packages, for Python's own compiled files, and
        what `allow_writing` adds.
    """

    def __init__(self) -> None:
        package = Path(__file__).resolve().parent.parent
        self.folders: tuple[str, ...] = tuple(
            {os.path.realpath(folder) for folder in (package, sys.prefix, sys.base_prefix)}
        )
        self._thread = threading.local()

    def begin(self, refusing: Callable[[str], None] = lambda what: None) -> None:
        """From here on, and to the end of the process. `refusing` is told what is refused, for the log."""

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            what = self.objection(event, arguments)
            if what:
                refusing(what)
                raise Refused(what)

        sys.addaudithook(hook)

    def allow_writing(self, folder: str | Path) -> None:
        """Let files in a folder be changed from now on."""
        place = os.path.realpath(folder)
        if place not in self.folders:
            self.folders = (*self.folders, place)

    @contextlib.contextmanager
    def online(self) -> Iterator[None]:
        """Let this thread, while it is in here, open sockets: for a download that the artist has allowed."""
        self._thread.online = True
        try:
            yield
        finally:
            self._thread.online = False

    def objection(self, event: str, arguments: tuple[Any, ...]) -> str:
        """What is wrong with a step that an audit event tells of; an empty text if nothing is."""
        if event in PROGRAMS:
            return f"start programs ({arguments[0] if arguments else event!s:.80})"
        if event in NETWORK:
            return "" if getattr(self._thread, "online", False) else f"use the network ({event})"
        if event == "ctypes.dlsym" and arguments[1] in FUNCTIONS:
            return f"call {arguments[1]} of the system"
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & WRITING)
            return self._objection_to_path(path) if writes else ""
        for path_at, folder_at in CHANGES.get(event, ()):
            folder = arguments[folder_at] if folder_at is not None and folder_at < len(arguments) else None
            if found := self._objection_to_path(arguments[path_at], folder):
                return found
        return ""

    def _objection_to_path(self, path: Any, folder: Any = None) -> str:
        """Whether a path, its links followed, leads out of the folders that may be written.

        `folder` is the number of an open folder that it is relative to; -1 or None: of none.
        """
        if path is None or isinstance(path, int):  # an open file: it was asked about when it was opened
            return ""
        path = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            try:
                path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
            except OSError:  # not on this system; the whole tree was asked about when its removal began
                return ""
        place = os.path.realpath(path)
        if place == os.path.realpath(os.devnull):
            return ""
        if any(place == allowed or place.startswith(allowed.rstrip(os.sep) + os.sep) for allowed in self.folders):
            return ""
        return f"change files outside of its folders ({place})"
