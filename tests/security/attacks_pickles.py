# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickles that call what they name: every way of calling that the format has, what they would call, and where it hides.

The bytes are put together by hand, because no pickler writes most of them.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tests.security.canary import Attack
from tests.security.seeds import names_of_nvidia, torch_file

EXTENSION = 0x7FED  # what copyreg's registry knows os.system by, while these attacks run


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def sprung(folder: Path) -> str:
    """The file whose being there would show that an attack was carried out."""
    return str(folder.parent / "sprung")


def targets(folder: Path) -> dict[tuple[str, str], bytes]:
    """What is called: module and name, and the pickled arguments, without a tuple around them."""
    out = sprung(folder)
    command = text(f"touch {out}")
    code = text(f"open({out!r}, 'w')")
    address = text("http://127.0.0.1:9/")
    inner = pickle.dumps(None)[:-1] + b"0cos\nsystem\n(" + command + b"tR."
    blob = b"B" + struct.pack("<I", len(inner)) + inner
    found: dict[tuple[str, str], bytes] = {
        **dict.fromkeys([("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen")], command),
        **dict.fromkeys([("subprocess", name) for name in ("Popen", "run", "getoutput", "check_call")], command),
        **dict.fromkeys([(module, name) for module in ("builtins", "__builtin__") for name in ("eval", "exec")], code),
        **dict.fromkeys([("builtins", "__import__"), ("importlib", "import_module")], text("antigravity")),
        **dict.fromkeys([("runpy", "run_path"), ("builtins", "execfile")], text(out)),
        **dict.fromkeys([("pickle", "loads"), ("_pickle", "loads"), ("cPickle", "loads"), ("marshal", "loads")], blob),
        **dict.fromkeys([("torch", "load"), ("numpy", "load"), ("torch.jit", "load")], text(out)),
        **dict.fromkeys([("urllib.request", "urlopen"), ("webbrowser", "open")], address),
        **dict.fromkeys([("os", "mkdir"), ("os", "unlink"), ("shutil", "rmtree"), ("os", "chdir")], text(out)),
        **dict.fromkeys([("ctypes", "CDLL"), ("torch.ops", "load_library")], text("libc.so.6")),
        **dict.fromkeys([("torch.hub", "load"), ("torch.utils.cpp_extension", "load")], text("somebody/something")),
        ("builtins", "open"): text(out) + text("w"),
        ("io", "open"): text(out) + text("w"),
        ("socket", "create_connection"): text("127.0.0.1") + b"K\x09\x86",
        ("builtins", "getattr"): b"cos\n__dict__\n" + text("system"),
        ("operator", "attrgetter"): text("system"),
        ("functools", "partial"): b"cos\nsystem\n" + command,
        ("builtins", "map"): b"cos\nsystem\n(" + command + b"l",
        ("timeit", "timeit"): code,
        ("pty", "spawn"): command,
        ("sys", "exit"): b"K\x01",
        ("os", "_exit"): b"K\x01",
        ("os", "abort"): b"",
        ("copyreg", "_reconstructor"): b"cos\nsystem\nc__builtin__\nobject\nN",
        ("copyreg", "__newobj__"): b"cos\nsystem\n" + command,
        ("types", "FunctionType"): b"N}",
        ("torch.storage", "_load_from_bytes"): blob,
        ("numpy.core.multiarray", "scalar"): b"cnumpy\ndtype\n(" + text("O8") + b"K\x00K\x01tR" + blob,
        ("numpy.core.multiarray", "_reconstruct"): b"cos\nsystem\nK\x00\x85" + text("b"),
        ("torch._utils", "_rebuild_tensor_v2"): b"cos\nsystem\n" + command + b"NNN",
        ("torch._tensor", "_rebuild_from_type_v2"): b"cos\nsystem\ncos\nsystem\n(" + command + b"tN",
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): (
            b"}(" + text("type") + text("class") + text("module_src") + code + text("class_name") + text("Generator")
            + text("state") + b"}u"
        ),
        ("stylegan_reactive.generator.unpickle", "read_pickle"): text(out),
        ("stylegan_reactive.engine.process", "Process"): text(out) + text(out),
    }  # fmt: skip
    return found


Way = Callable[[str, str, bytes], bytes]


def short(value: str) -> bytes:
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


WAYS: dict[str, Way] = {
    "GLOBAL REDUCE": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"(" + args + b"tR",
    "STACK_GLOBAL REDUCE": lambda module, name, args: short(module) + short(name) + b"\x93(" + args + b"tR",
    "dotted name": lambda module, name, args: (
        short(module.partition(".")[0]) + short(".".join([*module.split(".")[1:], name])) + b"\x93(" + args + b"tR"
    ),
    "dotted through another": lambda module, name, args: (
        short("torch") + short(f"serialization.os.sys.modules.{module}.{name}") + b"\x93(" + args + b"tR"
    ),
    "INST": lambda module, name, args: b"(" + args + f"i{module}\n{name}\n".encode(),
    "OBJ": lambda module, name, args: b"(" + f"c{module}\n{name}\n".encode() + args + b"o",
    "NEWOBJ": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"(" + args + b"t\x81",
    "NEWOBJ_EX": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"(" + args + b"t}\x92",
    "NEWOBJ_EX keywords": lambda module, name, args: (
        f"c{module}\n{name}\n".encode() + b")}" + text("args") + b"(" + args + b"ts\x92"
    ),
    "BUILD of a call": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")R(" + args + b"tb",
    "BUILD of a class": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"(" + args + b"tb",
    "BUILD with slots": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")RN}(" + args + b"t\x86b",
    "__setstate__": lambda module, name, args: (
        b"ccollections\nOrderedDict\n)R}"
        + text("__setstate__")
        + f"c{module}\n{name}\n".encode()
        + b"sb("
        + args
        + b"tb"
    ),
    "__reduce__": lambda module, name, args: (
        b"ccollections\nOrderedDict\n)R}"
        + text("__reduce__")
        + f"c{module}\n{name}\n".encode()
        + b"sb"
        + b"("
        + args
        + b"tb"
    ),
    "item of a dictionary": lambda module, name, args: (
        b"ccollections\ndefaultdict\nc" + f"{module}\n{name}\n".encode() + b"\x85R(" + args + b"t."[:-1]
    ),
    "APPENDS to a call": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")R(" + args + b"e",
    "SETITEMS of a call": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")R(K\x00(" + args + b"tu",
    "ADDITEMS to a call": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")R(" + args + b"\x90",
    "call of a call": lambda module, name, args: f"c{module}\n{name}\n".encode() + b")R(" + args + b"tR",
    "BINPERSID": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"(" + args + b"tR" + b"Q",
    "BINPERSID of a storage": lambda module, name, args: (
        b"(" + text("storage") + f"c{module}\n{name}\n".encode() + text("0") + text("cpu") + b"K\x01tQ"
    ),
    "PERSID": lambda module, name, args: f"P{module}.{name}\n".encode(),
    "EXT1": lambda module, name, args: b"\x82\x01(" + args + b"tR",
    "EXT2": lambda module, name, args: b"\x83" + struct.pack("<H", EXTENSION) + b"(" + args + b"tR",
    "EXT4": lambda module, name, args: b"\x84" + struct.pack("<i", EXTENSION) + b"(" + args + b"tR",
    "NEXT_BUFFER": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"\x97\x85R",
    "memo": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"q\x00(" + args + b"tq\x010h\x00h\x01R",
    "DUP": lambda module, name, args: f"c{module}\n{name}\n".encode() + b"2(" + args + b"tR0(" + args + b"tR",
}


COMMON = ("GLOBAL REDUCE", "STACK_GLOBAL REDUCE", "NEWOBJ", "BUILD of a call", "BINPERSID of a storage")


def blob(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def archive(entries: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


def legacy(call: bytes) -> bytes:
    """A file of PyTorch's older kind whose object is a call."""
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    return head + b"\x80\x02" + call + b"." + pickle.dumps([], 2)


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "in a list": lambda call: b"\x80\x04](" + call + b"e.",
    "as a value": lambda call: b"\x80\x04}" + text("G_ema") + call + b"s.",
    "as a key": lambda call: b"\x80\x04}" + call + b"Ns.",
    "in a frame": lambda call: b"\x80\x04\x95" + struct.pack("<Q", len(call) + 1) + call + b".",
    "as an argument": lambda call: b"\x80\x02ccollections\nOrderedDict\n" + call + b"\x85R.",
    "as a state": lambda call: b"\x80\x02cargparse\nNamespace\n)\x81" + call + b"b.",
    "as a module's state": lambda call: (
        b"\x80\x02ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(" + text("class_name") + text("Generator")
        + text("state") + call + b"u\x85R."
    ),
    "as a class": lambda call: b"\x80\x02ccopy_reg\n_reconstructor\n(" + call + b"c__builtin__\nobject\nNtR.",
    "as numbers of a storage": lambda call: (
        b"\x80\x02ctorch.storage\n_load_from_bytes\n" + blob(b"\x80\x02" + call + b".") + b"\x85R."
    ),
    "in a storage's own file": lambda call: (
        b"\x80\x02ctorch.storage\n_load_from_bytes\n" + blob(legacy(call)) + b"\x85R."
    ),
    "in a file within a file within a file": lambda call: (
        b"\x80\x02ctorch.storage\n_load_from_bytes\n"
        + blob(legacy(b"ctorch.storage\n_load_from_bytes\n" + blob(legacy(call)) + b"\x85R")) + b"\x85R."
    ),
    "as a system that wrote it": lambda call: (
        pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + b"\x80\x02" + call + b"."
        + pickle.dumps({}, 2) + pickle.dumps([], 2)
    ),
    "in an older file": legacy,
    "in an archive": lambda call: archive({"a/data.pkl": b"\x80\x02" + call + b".", "a/version": b"3"}),
    "in an archive as its version": lambda call: archive({"a/data.pkl": b"N.", "a/version": b"\x80\x02" + call + b"."}),
    "after the end": lambda call: b"\x80\x02N." + call + b".",
    "as an object in an array": lambda call: (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01K\x01\x85cnumpy\ndtype\n("
        + text("O8") + b"K\x00K\x01tR\x89]" + call + b"atb."
    ),
}  # fmt: skip


def calls(folder: Path) -> Iterator[Attack]:
    """Every way of calling everything, for both who read pickles."""
    import copyreg

    copyreg.add_extension("os", "system", EXTENSION)
    copyreg.add_extension("posix", "system", 1)
    for (module, name), args in targets(folder).items():
        for way, write in WAYS.items():
            call = write(module, name, args)
            for protocol in (b"", b"\x80\x02", b"\x80\x04", b"\x80\x05") if name == "system" else (b"\x80\x04",):
                data = protocol + call + b"."
                title = f"{module}.{name} by {way}, protocol {protocol[1:].hex() or 0}"
                yield Attack(title, "pickle", data, harmless=True)
                if name == "system":
                    yield Attack(title, "network", data)


def hidden_calls(folder: Path) -> Iterator[Attack]:
    """Every way of calling, in every place."""
    args = targets(folder)["os", "system"]
    for place, put in PLACES.items():
        for way, write in WAYS.items():
            data = put(write("os", "system", args))
            yield Attack(f"{way}, {place}", "pickle", data, harmless=True)
            yield Attack(f"{way}, {place}", "network", data)
            if way in COMMON:
                yield Attack(f"{way}, {place}", "weights", data)
                yield Attack(f"{way}, {place}", "latents", data)


class Calls:
    """Pickled by Python's own pickler as a call, with a state and items."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


def pickled_calls(folder: Path) -> Iterator[Attack]:
    """What Python's, NumPy's and PyTorch's own writers make of objects that mean harm."""
    import os

    command = f"touch {sprung(folder)}"
    system = Calls(os.system, (command,))
    objects: dict[str, Any] = {
        "a call": system,
        "a call with a state": Calls(os.system, (command,), {"a": system}),
        "a call with items": Calls(dict, (), None, None, iter([("a", system)])),
        "a call with a setter": Calls(dict, (), {"a": 1}, None, None, os.system),
        "an evaluation": Calls(eval, (f"open({sprung(folder)!r}, 'w')",)),
    }
    for name, value in objects.items():
        for protocol in range(6):
            if name == "a call with a setter" and protocol < 2:
                continue
            yield Attack(f"{name}, protocol {protocol}", "pickle", pickle.dumps([value], protocol), harmless=True)
            yield Attack(f"{name}, protocol {protocol}", "network", pickle.dumps({"G_ema": value}, protocol))
        for zipped in (True, False):
            data = torch_file({"g_ema": value, "a": torch.ones(3)}, zipped=zipped)
            yield Attack(f"{name} by PyTorch, zipped {zipped}", "network", data)
            yield Attack(f"{name} by PyTorch, zipped {zipped}", "weights", data)
    with names_of_nvidia() as originals:
        rebuild = originals["_reconstruct_persistent_obj"]
        for key in ("module_src", "type", "version", "state", "class_name"):
            meta = {"type": "class", "version": 6, "module_src": "", "class_name": "Generator", "state": {}}
            data = pickle.dumps({"G_ema": Calls(rebuild, ({**meta, key: system},))})
            yield Attack(f"NVIDIA's {key}", "network", data)


def bombs(folder: Path) -> Iterator[Attack]:
    """Small pickles that ask for much memory or time."""
    huge = (1 << 62, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
    for size in huge:
        for code in (b"\x8d", b"\x8e", b"\x96", b"\x95"):
            yield Attack(
                f"length {size:#x} of {code.hex()}", "network", b"\x80\x05" + code + struct.pack("<Q", size) + b"x"
            )
    for size in (1 << 30, (1 << 31) - 1, -1):
        for code in (b"T", b"\x8b"):
            yield Attack(
                f"length {size} of {code.hex()}", "network", b"\x80\x02" + code + struct.pack("<i", size) + b"x"
            )
    doubled = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(200))
    yield Attack("lists of lists of lists", "network", b"\x80\x02" + doubled + b".")
    tuples = b")q\x00" + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(200))
    yield Attack("pairs of pairs of pairs", "network", b"\x80\x02" + tuples + b".")
    yield Attack("pairs of pairs as a key", "network", b"\x80\x02}" + tuples + b"Ns.")
    for depth in (1000, 100_000, 1_000_000):
        yield Attack(f"{depth} tuples", "network", b"N" + b"\x85" * depth + b".")
        yield Attack(f"{depth} lists", "network", b"]" * depth + b"a" * (depth - 1) + b".")
        yield Attack(f"{depth} marks", "network", b"(" * depth + b".")
        yield Attack(f"{depth} tuples as a key", "network", b"}N" + b"\x85" * depth + b"Ns.")
        yield Attack(f"{depth} dictionaries", "network", b"}" * depth + b"N" * depth + b".")
    many = b"](" + b"NN\x86" * 20_000 + b"eq\x000"
    yield Attack(
        "dictionaries again and again", "network", many + b"(" + b"ccollections\nOrderedDict\nh\x00\x85R" * 500 + b"t."
    )
    long_text = text("a" * 500_000) + b"q\x000"
    yield Attack(
        "bytes again and again",
        "network",
        long_text + b"(" + (b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R") * 900 + b"t.",
    )
    yield Attack("a number of a million digits", "network", b"L" + b"9" * 1_000_000 + b"L\n.")
    yield Attack("a far place in the memo", "network", b"Nr\xff\xff\xff\xff.")
    yield Attack("the last place in the memo", "network", b"Np99999999999999999999\n.")
    itself = b"]q\x00h\x00a."
    yield Attack("a list in itself", "network", itself)
    yield Attack("a dictionary in itself", "network", b"}q\x00" + text("g_ema") + b"h\x00s.")
    yield Attack("a module in itself", "network", (
        b"\x80\x02}q\x00" + text("G_ema") + b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}("
        + text("class_name") + text("Generator") + text("state") + b"h\x00u\x85Rs."
    ))  # fmt: skip


GROUPS: dict[str, Callable[[Path], Iterator[Attack]]] = {
    "calls": calls,
    "hidden calls": hidden_calls,
    "pickled calls": pickled_calls,
    "pickle bombs": bombs,
}
