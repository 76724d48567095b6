# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage done to good files by a seeded chance: bytes, numbers of the kinds that formats have, pieces, and JSON."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
FORMS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1e308,
        -1e-320,
        2**31,
        2**63,
        10**30,
        10**400,
        "",
        "a" * 300,
        "../../x",
        "\0",
        "é",
    ),
    *([], {}, [[]], [1, 2, 3], {"kind": "x"}, [None] * 20, "audio_kick", "builtin", "1, 2, 3", "NaN"),
)


def mutated(data: bytes, chance: random.Random, longest: int = 1 << 17) -> bytes:
    """A file with some damage."""
    if data[:1] == b"{" and chance.random() < 0.7:
        changed = mutated_json(data, chance)
        if changed is not None:
            return changed[:longest]
    found = bytearray(data or b"\0")
    for _ in range(1 << chance.randrange(5)):
        _damage(found, chance)
    return bytes(found[:longest])


def _damage(found: bytearray, chance: random.Random) -> None:
    """One change, in place."""
    at = chance.randrange(len(found)) if found else 0
    kind = chance.randrange(7)
    if kind == 0 and found:
        found[at] = chance.randrange(256)
    elif kind == 1 and found:
        found[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        form = chance.choice(FORMS)
        value = chance.choice(NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
        found[at : at + struct.calcsize(form)] = struct.pack(form, value)
    elif kind == 3:
        del found[at : at + chance.choice((1, 2, 4, 64, 1024))]
    elif kind == 4:
        found[at:at] = found[at : at + chance.choice((1, 8, 64, 512))]
    elif kind == 5:
        piece = chance.randrange(len(found)) if found else 0
        length = chance.choice((2, 8, 32))
        found[at : at + length] = found[piece : piece + length]
    else:
        found[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))


def mutated_json(data: bytes, chance: random.Random) -> bytes | None:
    """A JSON text in which some values, keys or items are others; None where it is none."""
    try:
        tree = json.loads(data)
        for _ in range(1 << chance.randrange(3)):
            tree = _changed(tree, chance)
        return json.dumps(tree).encode() + data[len(data.rstrip()) :]
    except (ValueError, RecursionError, OverflowError):
        return None


def _changed(value: Any, chance: random.Random) -> Any:
    """A value with one change somewhere inside."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key, found = chance.choice(list(value)), dict(value)
        kind = chance.randrange(8)
        if kind == 0:
            del found[key]
        elif kind == 1:
            found[chance.choice(("", "kind", "version", "a" * 300, "__class__", key + "x"))] = found.pop(key)
        else:
            found[key] = _changed(found[key], chance)
        return found
    if isinstance(value, list) and value and chance.random() < 0.9:
        at, items = chance.randrange(len(value)), list(value)
        kind = chance.randrange(6)
        if kind == 0:
            del items[at]
        elif kind == 1:
            items[at:at] = items[at : at + 1] * chance.choice((1, 2, 70))
        else:
            items[at] = _changed(items[at], chance)
        return items
    if isinstance(value, int | float) and not isinstance(value, bool) and chance.random() < 0.4:
        return value * chance.choice((-1, 2, 10, 1000, 0.5)) + chance.choice((-1, 0, 1))
    return chance.choice(VALUES)
