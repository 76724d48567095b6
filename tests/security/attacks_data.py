# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives, tensors, arrays, JSON, caches and messages that lie about what they hold."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from tests.security import seeds
from tests.security.attacks_pickles import archive, text
from tests.security.canary import Attack

ENTRIES = 400_000


def entries_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def with_names(names: list[str], content: bytes, base: dict[str, bytes]) -> bytes:
    """An archive that has further entries, of which some may have one name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in base.items():
            file.writestr(name, data)
        for name in names:
            file.writestr(name, content)
    return buffer.getvalue()


def overlapping(count: int, size: int) -> bytes:
    """An archive whose entries are all the same bytes."""
    kernel = bytes(size)
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, size, size, 1, 0) + b"0" + kernel
    directory = b""
    for number in range(count):
        name = f"a/data/{number}".encode()
        directory += b"PK\x01\x02" + struct.pack(
            "<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, 0
        )
        directory += name
    pickled = entries_of(seeds.torch_file({"g_ema": torch.ones(1)}))["archive/data.pkl"]
    body = (
        local
        + b"PK\x03\x04"
        + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, len(pickled), len(pickled), 10, 0)
        + b"a/data.pkl"
    )
    body += pickled
    directory += b"PK\x01\x02" + struct.pack(
        "<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, len(pickled), len(pickled), 10, 0, 0, 0, 0, 0, len(local)
    ) + b"a/data.pkl"  # fmt: skip
    end = struct.pack("<4H2LH", 0, 0, (count + 1) & 0xFFFF, (count + 1) & 0xFFFF, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def archives(folder: Path) -> Iterator[Attack]:
    """Zip archives, for all who read them."""
    good = seeds.torch_file({"g_ema": {"a": torch.ones(1000)}})
    entries = entries_of(good)
    zeros = {"archive/data/0": bytes(200_000_000)}
    bomb = archive({**entries, **zeros}, zipfile.ZIP_DEFLATED)
    twice = archive({**entries, "archive/data/0": archive(zeros, zipfile.ZIP_DEFLATED)}, zipfile.ZIP_DEFLATED)
    pickle_bomb = archive({**entries, "archive/data.pkl": b"N0" * 50_000_000 + b"N."}, zipfile.ZIP_DEFLATED)
    big = bytearray(good)
    place = good.rfind(b"PK\x05\x06")
    start = struct.unpack("<L", good[place + 16 : place + 20])[0]
    for offset in (20, 24):  # sizes in the directory's first entry
        big[start + offset : start + offset + 4] = b"\xfe\xff\xff\x7f"
    far = bytearray(good)
    far[start + 42 : start + 46] = b"\xfe\xff\xff\x7f"
    counted = bytearray(good)
    counted[place + 8 : place + 12] = b"\xff\xff\xff\xff"
    directory = bytearray(good)
    directory[place + 12 : place + 20] = b"\xff\xff\xff\x7f" * 2
    zip64 = good[:place] + b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 9, 9, 1 << 60, 0)
    zip64 += b"PK\x06\x07" + struct.pack("<LQL", 0, place, 1) + good[place : place + 8] + b"\xff" * 12 + b"\0\0"
    tricks = ("../../sprung", "/sprung", "..\\sprung", "C:\\sprung", "a/../../sprung", "a\0b", "a" * 60_000)
    found = {
        "packed a thousandfold": bomb,
        "packed twice": twice,
        "its pickle packed": pickle_bomb,
        "a size of 2 GB": bytes(big),
        "an entry far away": bytes(far),
        "more entries than there are": bytes(counted),
        "a directory of 2 GB": bytes(directory),
        "a directory of an exabyte": zip64,
        "entries over one another": overlapping(2000, 1 << 16),
        "hundreds of thousands of entries": millions_of_entries(),
        "one name twice": with_names(["archive/data.pkl"], b"cos\nsystem\n)R.", entries),
        "two pickles": with_names(["other/data.pkl"], b"cos\nsystem\n)R.", entries),
        "a link": linked(entries),
        **{f"an entry {name[:20]!r}": with_names([name], b"x", entries) for name in tricks},
        **{f"cut at {share}": good[: int(len(good) * share)] for share in (0.1, 0.5, 0.9, 0.99)},
    }
    for name, data in found.items():
        for reader in ("network", "weights", "latents", "analysis"):
            yield Attack(name, reader, data, harmless=reader == "analysis")


def millions_of_entries() -> bytes:
    """An archive that is nothing but a directory of 18 MB."""
    entry = b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    directory = entry * ENTRIES
    end = struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, len(directory), 4, 0)
    return b"PK\x03\x04" + directory + b"PK\x05\x06" + end


def linked(entries: dict[str, bytes]) -> bytes:
    """An archive with an entry that unpackers take for a link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in entries.items():
            if name.endswith("data/0"):
                about = zipfile.ZipInfo(name)
                about.external_attr = 0o120777 << 16
                file.writestr(about, "/etc/hostname")
            else:
                file.writestr(name, data)
    return buffer.getvalue()


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def headers(folder: Path) -> Iterator[Attack]:
    """Safetensors, for all who read them."""
    good = seeds.networks(folder)["own.safetensors"]
    (length,) = struct.unpack("<Q", good[:8])
    header, data = json.loads(good[8 : 8 + length]), good[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    first, second = names[:2]
    size = header[first]["data_offsets"]

    def changed(**fields: Any) -> bytes:
        return safetensors({**header, first: {**header[first], **fields}}, data)

    def described(**fields: Any) -> bytes:
        return safetensors({**header, "__metadata__": {**header["__metadata__"], **fields}}, data)

    config = json.loads(header["__metadata__"]["config"])
    keys = json.dumps(header)
    found = {
        "tensors over one another": changed(data_offsets=header[second]["data_offsets"]),
        "a negative place": changed(data_offsets=[-4, size[1]]),
        "a place behind the end": changed(data_offsets=[len(data), len(data) + 4000]),
        "a place far behind the end": changed(data_offsets=[0, 1 << 62]),
        "places the wrong way round": changed(data_offsets=size[::-1]),
        "a shape of an exabyte": changed(shape=[1 << 60]),
        "a shape that overflows": changed(shape=[1 << 32, 1 << 32, 4]),
        "a negative shape": changed(shape=[-1, -4]),
        "a shape of many": changed(shape=[1] * 100_000),
        "a shape of numbers with points": changed(shape=[1.5]),
        "an unknown type": changed(dtype="F99"),
        "whole numbers": changed(dtype="I32"),
        "bytes": changed(dtype="U8"),
        "no tensors": safetensors({"__metadata__": header["__metadata__"]}),
        "one name twice": safetensors((keys[:-1] + f', "{first}": {json.dumps(header[first])}' + "}").encode(), data),
        "a million tensors": safetensors(
            b"{"
            + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(200_000))
            + b"}"
        ),
        "names that are paths": safetensors({**header, "../../sprung": {**header[first]}}, data),
        "nested without end": safetensors(b'{"a":' + b"[" * 100_000, length=100_005),
        "a header of 4 GB": safetensors(header, data, length=(1 << 32) - 1),
        "a header of an exabyte": safetensors(header, data, length=1 << 60),
        "a header behind the end": safetensors(header, data, length=len(good) * 2),
        "no header": struct.pack("<Q", 0),
        "a header that is a list": safetensors(b"{}[]"),
        "metadata that are numbers": described(architecture=7),
        "metadata that are nested": described(config="[" * 100_000),
        "an architecture by path": described(architecture="os.system"),
        "not a number": safetensors(header, np.full(len(data) // 2, np.nan, np.float16).tobytes()),
        "infinity": safetensors(header, np.full(len(data) // 2, np.inf, np.float16).tobytes()),
        **{
            f"a {name} of {str(value)[:20]}": described(config=json.dumps({**config, name: value}))
            for name in config
            for value in (1 << 40, -1, 0, 1e308, "a", None, [], [1] * 1000, [1 << 40] * 3, {}, True, math.nan)
        },
        **{
            f"a mapping's {name} of {str(value)[:20]}": described(
                config=json.dumps({**config, "mapping": {**config["mapping"], name: value}})
            )
            for name in config["mapping"]
            for value in (1 << 40, -1, 65536, 1e308, "a", [1 << 20] * 64, [65536] * 60, {}, math.inf)
        },
    }
    rightful = (
        "a conv_clamp of",
        "a noise of True",
        "a connection of",
        "a mapping's lr",
        "a mapping's embed_dim of 65536",
    )
    for name, content in found.items():
        harmless = name == "one name twice" or name.startswith(rightful)
        yield Attack(name, "network", content, harmless)
        if not name.startswith(("a mapping's", "a ")) or "shape" in name or "place" in name or "header" in name:
            yield Attack(name, "latents", content)
            yield Attack(name, "clusters", content, harmless=True)
            yield Attack(name, "weights", content)


def tensors(folder: Path) -> Iterator[Attack]:
    """Tensors in pickles, whose storages, strides and sizes do not fit; made by hand."""

    def rebuilt(size: str, stride: str, offset: str = "0", numbers: int = 6, name: str = "_rebuild_tensor_v2") -> bytes:
        """A network's file with one tensor: its size, stride and offset as Python would write them."""
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"L%dL\ntQ" % numbers
        call = b"\x80\x02}" + text("g_ema") + b"}" + text("a") + f"ctorch._utils\n{name}\n(".encode() + storage
        call += whole(eval(offset)) + tuple_of(eval(size)) + tuple_of(eval(stride))
        call += b"\x89ccollections\nOrderedDict\n)RtRss."
        return archive({"a/data.pkl": call, "a/data/0": bytes(24), "a/byteorder": b"little"})

    shapes = {
        "beyond the storage": ("(2, 3)", "(3, 1)", "1"),
        "far beyond the storage": ("(2, 3)", "(1 << 40, 1)", "0"),
        "a negative stride": ("(2, 3)", "(-3, 1)", "3"),
        "a negative size": ("(-2, -3)", "(3, 1)", "0"),
        "a negative offset": ("(2, 3)", "(3, 1)", "-1"),
        "a stride of nothing": ("(1 << 20, 1 << 20)", "(0, 0)", "0"),
        "a size that overflows": ("(1 << 32, 1 << 32)", "(0, 0)", "0"),
        "a size that overflows to nothing": ("(1 << 62, 4, 0)", "(1, 1, 1)", "0"),
        "an offset that overflows": ("(2, 3)", "(3, 1)", "(1 << 63) - 1"),
        "many dimensions": ("(1,) * 5000", "(1,) * 5000", "0"),
        "fewer strides": ("(2, 3)", "(3,)", "0"),
        "overlapping strides": ("(3, 3)", "(1, 1)", "0"),
    }
    for name, (size, stride, offset) in shapes.items():
        for function in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            data = rebuilt(size, stride, offset, name=function)
            yield Attack(f"{name}, {function}", "pickle", data, harmless=True)
            yield Attack(f"{name}, {function}", "network", data)
            yield Attack(f"{name}, {function}", "weights", data)
    for numbers in (0, 5, 7, 1 << 40, 1 << 62, 1 << 70, -1):
        data = rebuilt("(2, 3)", "(3, 1)", numbers=numbers)
        yield Attack(f"a storage of {numbers}", "pickle", data)
        yield Attack(f"a storage of {numbers}", "weights", data)
    for key in ("../0", "/etc/hostname", "data.pkl", "", "0/../0", "\0"):
        data = rebuilt("(2, 3)", "(3, 1)").replace(text("0"), text(key) if len(key) == 1 else text("0"))
        yield Attack(f"a storage in {key!r}", "network", data)


def whole(value: int) -> bytes:
    return b"L%dL\n" % value


def tuple_of(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(whole, values)) + b"t"


def arrays(folder: Path) -> Iterator[Attack]:
    """NumPy's files, alone and in archives."""
    good = seeds.latents()["w.npy"]

    def headed(header: str, data: bytes = bytes(128), version: bytes = b"\x01\x00") -> bytes:
        raw = header.encode("latin-1") + b"\n"
        return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(raw)) + raw + data

    def like(**fields: str) -> str:
        usual = {"descr": "'<f4'", "fortran_order": "False", "shape": "(4, 8)"}
        return "{" + ", ".join(f"'{key}': {value}" for key, value in {**usual, **fields}.items()) + "}"

    found = {
        "objects": headed(like(descr="'|O'"), b"cos\nsystem\n)R."),
        "records": headed(like(descr="[('a', '<f4')]")),
        "records of objects": headed(like(descr="[('a', '|O')]")),
        "texts": headed(like(descr="'<U1000000000'")),
        "dates": headed(like(descr="'<M8[s]'")),
        "complex numbers": headed(like(descr="'<c8'")),
        "a shape of an exabyte": headed(like(shape="(1 << 60, 8)")),
        "a shape that overflows": headed(like(shape="(4294967296, 4294967296, 8)")),
        "a shape of 60 GB": headed(like(shape="(2000000000, 8)")),
        "a negative shape": headed(like(shape="(-1, 8)")),
        "a shape by code": headed(like(shape="(__import__('os').system('true'), 8)")),
        "a shape of many": headed(like(shape="(" + "1," * 3000 + ")")),
        "a header by code": headed("__import__('os').system('true')"),
        "a header nested without end": headed("(" * 9000),
        "a header of operators": headed("-" * 9000 + "1"),
        "a long header": headed(like() + " " * 60_000),
        "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100),
        "another version": headed(like(), version=b"\x09\x00"),
        "not a number": headed(like(), np.full(32, np.nan, np.float32).tobytes()),
        "a pickle": b"cos\nsystem\n)R.",
        "cut short": good[:-5],
    }
    for name, data in found.items():
        yield Attack(name, "latents", data)
        yield Attack(f"{name}, in an archive", "latents", archive({"w.npy": data}))
        yield Attack(f"{name}, in a packed archive", "latents", archive({"w.npy": data}, zipfile.ZIP_DEFLATED))
        yield Attack(f"{name}, as a cache", "analysis", archive({"head.npy": data, "beats.npy": data}), harmless=True)
    zeros = headed(like(shape="(6250000, 8)"), bytes(200_000_000))
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield Attack(f"packed by {kind}", "latents", archive({"w.npy": zeros}, kind))
        yield Attack(f"packed by {kind}, as a cache", "analysis", archive({"head.npy": zeros}, kind), harmless=True)
    for head in ("[" * 100_000, "null", "{}", '{"fps": [1, 0]}', "9" * 5000, '{"frames": 1e999}'):
        entries = entries_of(seeds.heard(folder)["analysis.npz"])
        buffer = io.BytesIO()
        np.save(buffer, np.array(head))
        yield Attack(
            f"a cache's head {head[:12]}",
            "analysis",
            archive({**entries, "head.npy": buffer.getvalue()}),
            harmless=True,
        )
    for names in ("../../sprung", "/sprung", "a\0b", "x" * 5000, ".", ".."):
        yield Attack(f"a stem named {names[:15]!r}", "stems", json.dumps({names: "0" * 64}).encode(), harmless=True)
    for manifest in (b"[" * 100_000, b"7", b"[]", b'{"a": []}', b'{"a": NaN}', b"\xff\xfe", b"9" * 5000):
        yield Attack(f"stems {manifest[:12]!r}", "stems", manifest, harmless=True)


def patches(folder: Path) -> Iterator[Attack]:
    """Patches as JSON."""
    layer = '{"version": 2, "noise_layers": [{"source": {"kind": "own"}, "mask": {"shape": "image", "image": %s}}]}'
    image = '{"width": %s, "height": %s, "pixels": "%s"}'
    latents = '{"version": 2, "latent_layers": [{"source": {"kind": "static", "latents": %s}}]}'
    million = "[" + "1," * 1_000_000 + "1]"
    found = {
        "lists without end": "[" * 1_000_000,
        "objects without end": '{"a":' * 500_000,
        "lists that close": "[" * 100_000 + "]" * 100_000,
        "lists in a patch": '{"version": 2, "latent_layers": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "a number of a million digits": '{"version": ' + "2" * 1_000_000 + "}",
        "a number beyond all": '{"version": 2, "label": 1e999999}',
        "a label of many digits": '{"version": 2, "label": ' + "9" * 4000 + "}",
        "no number": '{"version": 2, "truncation": NaN}',
        "infinity": '{"version": 2, "truncation_cutoff": Infinity}',
        "a version of points": '{"version": 2.0}',
        "a version of truth": '{"version": true}',
        "one key twice": '{"version": 2, "version": 1}',
        "one key a hundred thousand times": "{" + '"version": 2,' * 100_000 + '"version": 2}',
        "a hundred thousand keys": "{" + ",".join(f'"{number}": 1' for number in range(100_000)) + "}",
        "a long key": '{"' + "a" * 1_000_000 + '": 1, "version": 2}',
        "a long text": '{"version": 2, "checkpoint": "' + "a" * 1_000_000 + '"}',
        "a text of escapes": '{"version": 2, "checkpoint": ' + '"\\u0000' * 1 + "\\\\" * 500_000 + '"}',
        "half a character": '{"version": 2, "checkpoint": "\\ud800"}',
        "a path with a null": '{"version": 2, "checkpoint": "a\\u0000b"}',
        "a path that climbs": '{"version": 2, "checkpoint": "../../../etc/passwd"}',
        "a path on another machine": '{"version": 2, "checkpoint": "\\\\\\\\server\\\\share\\\\x.pkl"}',
        "an address": '{"version": 2, "checkpoint": "http://127.0.0.1:9/x.pkl"}',
        "a million latents": latents % million,
        "latents of code": latents % '["__import__(1)"]',
        "seeds beyond all": latents % ("[" + "9" * 4000 + "]"),
        "a range of seeds": latents % '["0-99999999999999"]',
        "a picture of 2 GB": layer % (image % (46340, 46340, "AA==")),
        "a picture of less than it says": layer % (image % (512, 512, "AA==")),
        "a picture that is none": layer % (image % (1, 1, "....")),
        "a picture of many bytes": layer % (image % (512, 512, base64.b64encode(bytes(3_000_000)).decode())),
        "a negative picture": layer % (image % (-1, -1, "AA==")),
        "a thousand layers": '{"version": 2, "latent_layers": [' + ",".join(["{}"] * 100_000) + "]}",
        "an unknown kind": '{"version": 2, "latent_layers": [{"source": {"kind": "__class__"}}]}',
        "a kind that is a list": '{"version": 2, "latent_layers": [{"source": {"kind": []}}]}',
        "attributes": '{"version": 2, "__class__": {"__init__": 1}}',
        "no text": "\0" * 1000,
        "bytes of no text": "\udcff\udcfe",
        "an old patch of nonsense": '{"version": 1, "latent_layers": [{"source": {"clock": [[]], "seed": {}}}, 7]}',
        "a pickle": "cos\nsystem\n(S'true'\ntR.",
    }
    rightful = ("a path that climbs", "a path on", "an address", "a range of seeds", "half a")
    for name, source in found.items():
        yield Attack(name, "patch", source.encode("utf-8", "surrogateescape"), harmless=name.startswith(rightful))


def messages(folder: Path) -> Iterator[Attack]:
    """Lines of either end of the pipe."""
    requests, answers = seeds.requests(), seeds.answers()
    lines = {
        "nested without end": b'{"id": 1, "result": ' + b"[" * 1_000_000,
        "millions of lists": b'{"id": 1, "result": [' + b"[]," * 5_000_000 + b"[]]}",
        "millions of numbers": b'{"id": 1, "result": [' + b"1," * 5_000_000 + b"1]}",
        "a number of a million digits": b'{"id": ' + b"1" * 1_000_000 + b"}",
        "no number": b'{"id": 1, "result": NaN}',
        "no object": b"7",
        "no id": b"{}",
        "an id that is true": b'{"id": true}',
        "no text": b"\xff\xfe\x00",
    }
    for name, line in lines.items():
        yield Attack(name, "to_client", line)
        yield Attack(name, "to_engine", line)
    values: tuple[Any, ...] = (
        None,
        True,
        -1,
        1 << 40,
        1e308,
        "",
        "../../sprung",
        "a" * 10_000,
        [],
        [[]] * 50,
        {},
        {"a": 1},
    )
    for op, line in requests.items():
        message = json.loads(line)
        for key in message:
            for value in values:
                changed = json.dumps({**message, key: value}).encode()
                yield Attack(f"{op} with {key} {str(value)[:20]}", "to_engine", changed, harmless=True)
    for kind, line in answers.items():
        message = json.loads(line)
        for key in message.get("result", {}):
            for value in values:
                changed = json.dumps({**message, "result": {**message["result"], key: value}}).encode()
                yield Attack(f"{kind} with {key} {str(value)[:20]}", "to_client", changed, harmless=True)


def separators(folder: Path) -> Iterator[Attack]:
    """Weights of networks that separate stems."""
    tensor = {"a": torch.zeros(3)}

    def demucs(arguments: str = "[]", named: str = "{}", kind: str = "demucs.htdemucs.HTDemucs") -> bytes:
        return save_tensors(tensor, {"klass": kind, "args": arguments, "kwargs": named})

    fraction = '{"segment": {"_type": "fraction", "numerator": %s, "denominator": %s}}'
    found = {
        "a class by path": demucs(kind="os.system"),
        "a class that is near": demucs(kind="demucs.apply.BagOfModels"),
        "arguments nested without end": demucs("[" * 100_000),
        "names nested without end": demucs(named="[" * 100_000),
        "arguments that are none": demucs("7"),
        "a fraction of nothing": demucs(named=fraction % (1, 0)),
        "a fraction of texts": demucs(named=fraction % ('"1e999999999"', 1)),
        "a fraction of many digits": demucs(named=fraction % ("9" * 4000, 1)),
        "a network of a billion layers": demucs(named='{"depth": 1000000000}'),
        "a network of a billion channels": demucs(named='{"channels": 1000000000}'),
        "a network of a million channels": demucs(named='{"channels": 900000}'),
        "layers of layers": demucs(named='{"t_layers": 60, "depth": 60, "dconv_depth": 60}'),
        "a billion stems": demucs(json.dumps([["a"] * 1000])),
        "a stem by path": demucs(json.dumps([["../../sprung", "b"]])),
        "no channels": demucs(named='{"channels": 0, "audio_channels": 0}'),
        "a negative network": demucs(named='{"channels": -4, "depth": -4}'),
        "views of the same numbers": shared_numbers(),
        "a tensor of the wrong kind": seeds.torch_file({"fc1.weight": [1], "input_mean": {}, "output_mean": None}),
        "no tensors": seeds.torch_file({}),
        "a list": seeds.torch_file([torch.ones(2)]),
    }
    for name, data in found.items():
        yield Attack(name, "weights", data)


def shared_numbers() -> bytes:
    """Terabytes of weights that are all the same number."""
    one = torch.zeros(1)
    state = {
        "fc1.weight": one.expand(1 << 20, 1 << 20),
        "input_mean": one.expand(1 << 19),
        "output_mean": one.expand(1 << 20),
    }
    state |= {f"lstm.weight_ih_l0{ending}": one.expand(1 << 20, 4) for ending in ("", "_reverse")}
    return seeds.torch_file(state)


GROUPS: dict[str, Callable[[Path], Iterator[Attack]]] = {
    "archives": archives,
    "safetensors": headers,
    "tensors": tensors,
    "arrays and caches": arrays,
    "patches": patches,
    "messages": messages,
    "separators": separators,
}
