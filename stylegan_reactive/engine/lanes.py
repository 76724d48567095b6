# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which requests are worked on: what somebody waits for comes first, and the newest preview."""

import threading

from .protocol import Message

BACKGROUND = ("thumbnails", "report")


class Lane:
    """Requests that wait for one thread."""

    def __init__(self) -> None:
        self._waiting: list[Message] = []
        self._here = threading.Condition()
        self.current: int | None = None  # number of the request that is being worked on

    def put(self, message: Message) -> None:
        """A request has come."""
        with self._here:
            self._waiting.append(message)
            self._here.notify()

    def take(self) -> Message:
        """The next request; waits for one.

        In their order what is not `ahead`; then what is, the newest first, as a preview that is late is of no use;
        then what only shows itself bit by bit.
        """
        with self._here:
            self.current = None
            while not self._waiting:
                self._here.wait()
            index = min(range(len(self._waiting)), key=self._rank)
            message = self._waiting.pop(index)
            self.current = message["id"]
            return message

    def _rank(self, index: int) -> tuple[int, int]:
        message = self._waiting[index]
        if message.get("op") in BACKGROUND:
            return 2, index
        return (1, -index) if message.get("ahead") else (0, index)

    def drop(self, number: int) -> bool | None:
        """Take a request out that waits: True. None: it is being worked on. False: it is not here."""
        with self._here:
            for index, message in enumerate(self._waiting):
                if message["id"] == number:
                    del self._waiting[index]
                    return True
            return None if self.current == number else False
