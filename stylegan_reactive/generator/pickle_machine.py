# SPDX-License-Identifier: GPL-3.0-or-later
"""A pickle machine that builds plain data and nothing else: protocols 0 to 5, as PEP 307, 3154 and 574 describe them.

Why not ``pickle.Unpickler`` with ``find_class``: the C one allocates whatever a memo index or a length asks for, hashes
tuples of any depth (which overflows the C stack), reads copyreg's extension registry, and calls ``__setstate__``,
``append``, ``extend`` and ``__setitem__`` of whatever lies on its stack. This one has no such calls: a global is a
value of our own (`Known` or `PlainGlobal`), only a `Known` is ever called, and what is not known stays inert data.

It is quick enough because a network's bulk lies in few long strings, which are handed on as views of the file: a
checkpoint of 360 MB has some 100 000 opcodes, a tenth of a second. What a file may cost is bounded: the opcodes by
`MAX_OPERATIONS`, and all that is copied, texts and what stand-ins make, by the `Budget`.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

MAX_OPERATIONS = 4_000_000  # some forty times what the largest networks need; each makes at most about 100 bytes
LONG_STRING = 1024  # bytes; from here on a view of the file is handed on instead of a copy
MAX_KEY_PARTS = 64
LAST_MEMO = (1 << 32) - 1  # what the binary protocols can say; larger numbers could all collide


class PickleError(ValueError):
    """The stream is cut short, damaged, or asks for something that no network file needs."""


class Budget:
    """What reading a file may cost, however often it refers to its own data: bytes that are copied, and operations.

    Parameters
    ----------
    size : int
        The file's bytes.
    """

    def __init__(self, size: int) -> None:
        self.left = 3 * size + (1 << 20)
        self.operations = MAX_OPERATIONS

    def spend(self, count: int) -> None:
        """Take count bytes of it."""
        self.left -= count
        if self.left < 0:
            raise PickleError("its data refers to itself so often that it would need far more memory than its size")


class Known:
    """A global that we have a stand-in for; it is called with the file's arguments and must check them."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class PlainGlobal:
    """A global that we have no stand-in for: its name, and nothing that could be run."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.module}.{self.name}, not read>"


class PlainObject:
    """What would have been an object of a class that we do not know, as inert data.

    Attributes
    ----------
    module, name : str
        Where its class or function would be found.
    args : tuple
        What it would have been called with.
    state : object
        What it would have been given as its state (mostly a dict of its attributes); None without.
    entries, elements : dict, list
        What it would have held as a dict, and as a list or set.
    """

    def __init__(self, module: str, name: str, args: tuple[Any, ...] = ()) -> None:
        self.module = module
        self.name = name
        self.args = args
        self.state: Any = None
        self.entries: dict[Any, Any] = {}
        self.elements: list[Any] = []

    def __repr__(self) -> str:
        return f"<object of {self.module}.{self.name}, not read>"


class Unfinished:
    """A stand-in that becomes its value when its state arrives; `finish` gives that value."""

    def __init__(self) -> None:
        self.memo_keys: list[int] = []

    def finish(self, state: Any) -> Any:
        """The value."""
        raise NotImplementedError


def refuse_persistent(identifier: Any) -> NoReturn:
    """For streams that have no business with persistent ids."""
    raise PickleError("it refers to data outside of itself, which only PyTorch's own containers may do")


def is_key(value: Any, parts: int = MAX_KEY_PARTS) -> bool:
    """Whether a value may be hashed: a string, a number, something inert, or a short tuple of such, but no numbers.

    The hashes of tuples of numbers can be made to collide; those of strings hold a secret of this process.
    """
    if isinstance(value, tuple):
        return len(value) <= parts and all(is_key(part, 0) and not isinstance(part, int | float) for part in value)
    if isinstance(value, int):
        return value.bit_length() <= 64  # Python hashes whole numbers modulo 2**61 - 1: larger ones could all collide
    return value is None or isinstance(value, str | float | bytes | PlainGlobal | PlainObject | Known)


class PickleMachine:
    """Runs one pickle out of a buffer.

    Parameters
    ----------
    data : memoryview
        The buffer.
    budget : Budget
        Of the whole file; pickles inside of pickles share it.
    find_global : callable
        (module, name) to a `Known`, a `PlainGlobal` or another value that is safe to hold.
    persistent : callable
        A persistent id to its value.
    position : int
        Where the pickle begins; after `run`, where it ended.
    """

    def __init__(
        self,
        data: memoryview,
        budget: Budget,
        find_global: Callable[[str, str], Any] = PlainGlobal,
        persistent: Callable[[Any], Any] = refuse_persistent,
        position: int = 0,
    ) -> None:
        self.data = data
        self.budget = budget
        self.find_global = find_global
        self.persistent = persistent
        self.position = position
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []  # one for each open mark
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the pickle describes; PickleError, or another error from bad data, if there is none."""
        for count in range(self.budget.operations):
            code = self.read(1)[0]
            if code == STOP:
                self.budget.operations -= count
                return self.pop()
            operation = OPERATIONS.get(code)
            if operation is None:
                raise PickleError(f"there is no operation {code:#04x} (at byte {self.position - 1}), or none we allow")
            operation(self)
        raise PickleError(f"it takes more than {MAX_OPERATIONS} operations, far more than a network needs")

    # Reading the stream

    def read(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise PickleError(f"it is cut short: {count} bytes from byte {self.position} on are not there")
        start, self.position = self.position, end
        return self.data[start:end]

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.read(struct.calcsize(form)))
        return int(value)

    def line(self, longest: int = 1 << 16) -> bytes:
        start = self.position
        while True:  # in pieces, so that no view of the whole file is copied
            piece = bytes(self.data[self.position : min(self.position + 256, len(self.data))])
            end = piece.find(b"\n")
            if end >= 0:
                self.position += end + 1
                self.budget.spend(self.position - start)
                return bytes(self.data[start : self.position - 1])
            self.position += len(piece)
            if not piece or self.position - start > longest:
                raise PickleError(f"it is cut short: the line at byte {start} does not end")

    def text(self, length: int) -> str:
        view = self.read(length)
        self.budget.spend(length)
        return str(view, "utf-8", "surrogatepass")

    def latin(self, length: int) -> str:
        """A string of Python 2, which may hold text or bytes."""
        view = self.read(length)
        self.budget.spend(length)
        return str(view, "latin-1")

    def long_number(self, length: int) -> int:
        view = self.read(length)
        self.budget.spend(length)
        return int.from_bytes(view, "little", signed=True)

    def long_bytes(self, length: int) -> bytes | memoryview:
        view = self.read(length)
        return view if length >= LONG_STRING else bytes(view)

    # The stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise PickleError(f"its stack is empty at byte {self.position}")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise PickleError(f"its stack is empty at byte {self.position}")
        return self.stack[-1]

    def mark(self) -> None:
        self.outer_stacks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        if not self.outer_stacks:
            raise PickleError(f"it closes a mark that is not open at byte {self.position}")
        values, self.stack = self.stack, self.outer_stacks.pop()
        return values

    def popped(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    def discard(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    # The memo

    def put(self, key: int) -> None:
        if not 0 <= key <= LAST_MEMO:
            raise PickleError(f"it stores a value under an impossible number at byte {self.position}")
        value = self.top()
        if isinstance(value, Unfinished):
            value.memo_keys.append(key)
        self.memo[key] = value

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise PickleError(f"it refers to value {key}, which it never stored, at byte {self.position}")
        self.push(self.memo[key])

    # Containers

    def set_items(self, values: list[Any]) -> None:
        holder = self.top()
        target = holder.entries if isinstance(holder, PlainObject) else holder
        if not isinstance(target, dict) or len(values) % 2:
            raise PickleError(f"it stores entries in something that is no dictionary at byte {self.position}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not is_key(key):
                raise PickleError(f"it has a dictionary with a key that is neither a text nor a number ({type(key)})")
            target[key] = value

    def append_items(self, values: list[Any]) -> None:
        holder = self.top()
        target = holder.elements if isinstance(holder, PlainObject) else holder
        if not isinstance(target, list):
            raise PickleError(f"it appends to something that is no list at byte {self.position}")
        target.extend(values)

    def new_dict(self, values: list[Any]) -> None:
        self.push({})
        self.set_items(values)

    # Objects

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError(f"it names a class that is no text at byte {self.position}")
        self.push(self.find_global(module, name))

    def call(self, function: Any, args: Any, keywords: Any = None) -> None:
        if not isinstance(args, tuple):
            raise PickleError(f"it calls something without a tuple of arguments at byte {self.position}")
        if isinstance(function, PlainGlobal):
            self.push(PlainObject(function.module, function.name, args))
        elif isinstance(function, Known) and not keywords:
            self.push(function.call(*args))
        else:
            raise PickleError(f"it calls something that is not a class or function at byte {self.position}")

    def build(self) -> None:
        holder, state = self.popped(2)
        if isinstance(holder, Unfinished):
            value = holder.finish(state)
            for key in holder.memo_keys:
                if self.memo.get(key) is holder:
                    self.memo[key] = value
            self.push(value)
        elif isinstance(holder, PlainObject):
            holder.state = state
            self.push(holder)
        elif isinstance(holder, dict):  # attributes of a dict, such as _metadata of PyTorch's state dictionaries
            self.push(holder)
        else:
            raise PickleError(f"it gives a state to something that has none at byte {self.position}")


def quoted(line: bytes) -> str:
    """A string of protocol 0: as Python 2 prints it."""
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise PickleError("it has a text without quotation marks")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")  # type: ignore[attr-defined]


def decimal(line: bytes) -> int | bool:
    """A whole number of protocol 0; 00 and 01 are False and True."""
    truths = {b"00": False, b"01": True}
    return truths[line] if line in truths else int(line.rstrip(b"L"))


def skip_frame(machine: PickleMachine) -> None:
    """A frame only says how much may be read at once; here all of it is at hand."""
    if machine.number("<Q") > len(machine.data) - machine.position:
        raise PickleError("it is cut short: a frame is longer than the rest of the file")


def operations() -> Iterator[tuple[bytes, Callable[[PickleMachine], Any]]]:
    """Each opcode and what it does. Left out: 0x82 to 0x84 (copyreg's registry) and 0x97, 0x98 (outside buffers)."""
    yield b"\x80", lambda m: m.read(1)  # protocol
    yield b"\x95", skip_frame
    # numbers and constants
    yield b"N", lambda m: m.push(None)
    yield b"\x88", lambda m: m.push(True)
    yield b"\x89", lambda m: m.push(False)
    yield b"I", lambda m: m.push(decimal(m.line()))
    yield b"L", lambda m: m.push(decimal(m.line()))
    yield b"K", lambda m: m.push(m.read(1)[0])
    yield b"M", lambda m: m.push(m.number("<H"))
    yield b"J", lambda m: m.push(m.number("<i"))
    yield b"\x8a", lambda m: m.push(m.long_number(m.read(1)[0]))
    yield b"\x8b", lambda m: m.push(m.long_number(m.number("<i")))
    yield b"F", lambda m: m.push(float(m.line()))
    yield b"G", lambda m: m.push(struct.unpack(">d", m.read(8))[0])
    # texts and bytes
    yield b"S", lambda m: m.push(quoted(m.line(len(m.data))))
    yield b"T", lambda m: m.push(m.latin(m.number("<i")))
    yield b"U", lambda m: m.push(m.latin(m.read(1)[0]))
    yield b"V", lambda m: m.push(str(m.line(len(m.data)), "raw-unicode-escape"))
    yield b"\x8c", lambda m: m.push(m.text(m.read(1)[0]))
    yield b"X", lambda m: m.push(m.text(m.number("<I")))
    yield b"\x8d", lambda m: m.push(m.text(m.number("<Q")))
    yield b"C", lambda m: m.push(bytes(m.read(m.read(1)[0])))
    yield b"B", lambda m: m.push(m.long_bytes(m.number("<I")))
    yield b"\x8e", lambda m: m.push(m.long_bytes(m.number("<Q")))
    yield b"\x96", lambda m: m.push(m.long_bytes(m.number("<Q")))  # a bytearray
    # containers
    yield b"(", PickleMachine.mark
    yield b")", lambda m: m.push(())
    yield b"\x85", lambda m: m.push(m.popped(1))
    yield b"\x86", lambda m: m.push(m.popped(2))
    yield b"\x87", lambda m: m.push(m.popped(3))
    yield b"t", lambda m: m.push(tuple(m.since_mark()))
    yield b"]", lambda m: m.push([])
    yield b"l", lambda m: m.push(m.since_mark())
    yield b"a", lambda m: m.append_items([m.pop()])
    yield b"e", lambda m: m.append_items(m.since_mark())
    yield b"}", lambda m: m.push({})
    yield b"d", lambda m: m.new_dict(m.since_mark())
    yield b"s", lambda m: m.set_items(list(m.popped(2)))
    yield b"u", lambda m: m.set_items(m.since_mark())
    yield b"\x8f", lambda m: m.push([])  # a set; no network needs it as more than a list
    yield b"\x90", lambda m: m.append_items(m.since_mark())
    yield b"\x91", lambda m: m.push(m.since_mark())
    # the stack and the memo
    yield b"0", PickleMachine.discard
    yield b"1", PickleMachine.since_mark
    yield b"2", lambda m: m.push(m.top())
    yield b"p", lambda m: m.put(int(m.line()))
    yield b"q", lambda m: m.put(m.read(1)[0])
    yield b"r", lambda m: m.put(m.number("<I"))
    yield b"\x94", lambda m: m.put(len(m.memo))
    yield b"g", lambda m: m.get(int(m.line()))
    yield b"h", lambda m: m.get(m.read(1)[0])
    yield b"j", lambda m: m.get(m.number("<I"))
    # globals, objects and persistent ids
    yield b"c", lambda m: m.find(m.line().decode("utf-8"), m.line().decode("utf-8"))
    yield b"\x93", lambda m: m.find(*m.popped(2))
    yield b"R", lambda m: m.call(*m.popped(2))
    yield b"\x81", lambda m: m.call(*m.popped(2))
    yield b"\x92", lambda m: m.call(*m.popped(3))
    yield b"i", make_instance
    yield b"o", make_object
    yield b"b", PickleMachine.build
    yield b"P", lambda m: m.push(m.persistent(m.line().decode("ascii")))
    yield b"Q", lambda m: m.push(m.persistent(m.pop()))


def make_instance(machine: PickleMachine) -> None:
    """INST: a class by its name, the arguments since the mark."""
    machine.find(machine.line().decode("utf-8"), machine.line().decode("utf-8"))
    function = machine.pop()
    machine.call(function, tuple(machine.since_mark()))


def make_object(machine: PickleMachine) -> None:
    """OBJ: a class and its arguments since the mark."""
    function, *args = machine.since_mark() or [None]
    machine.call(function, tuple(args))


STOP = ord(".")
OPERATIONS: dict[int, Callable[[PickleMachine], Any]] = {code[0]: action for code, action in operations()}
