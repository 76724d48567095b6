# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickles and PyTorch files are read as plain data: what is in them comes out, and nothing in them ever runs."""

from __future__ import annotations

import argparse
import collections
import copyreg
import io
import os
import pickle
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan_reactive.errors import CheckpointError
from stylegan_reactive.generator import load_generator, pickle_machine
from stylegan_reactive.generator.pickle_machine import PlainGlobal
from stylegan_reactive.generator.unpickle import PlainObject, read_pickle


class Place:
    """Reads what is written to it as a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "file"
        self.sprung = folder / "sprung"

    def read(self, data: bytes) -> Any:
        self.path.write_bytes(data)
        return read_pickle(self.path)

    def refused(self, data: bytes) -> str:
        """The complaint about a file that must be refused, and must not have done anything."""
        self.path.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            read_pickle(self.path)
        assert not self.sprung.exists()
        assert str(self.path) in str(caught.value)
        return str(caught.value)

    def command(self) -> str:
        return f"touch {self.sprung}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.parts = (function, args, state)

    def __reduce__(self) -> Any:
        return self.parts


class Shell:
    """Stands in these tests for a class that only whoever wrote a file has."""


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def torch_bytes(value: Any, *, new: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


PLAIN = {
    "numbers": [0, 1, 255, 256, 65536, -1, -(1 << 40), 1 << 70, 0.5, -1e300, True, False, None],
    "texts": ["", "a", "ü" * 300, b"", b"\x00\xff", b"b" * 500],
    "nested": ((), (1,), (1, 2), (1, 2, 3), (1, (2, [3, {"four": 4}]), 5)),
    4: {"key": (1, 2)},
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_out_as_they_went_in(place: Place, protocol: int) -> None:
    assert place.read(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_comes_out_of_every_protocol(place: Place, protocol: int) -> None:
    arrays = {
        "float32": np.arange(300, dtype=np.float32).reshape(20, 15),
        "other byte order": np.arange(6, dtype=">f8").reshape(2, 3),
        "columns first": np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4)),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float16),
        "one": np.array(2.5),
    }
    found = place.read(pickle.dumps({**arrays, "scalar": np.float32(0.25), "whole": np.int64(-7)}, protocol))
    for name, array in arrays.items():
        assert isinstance(found[name], np.ndarray)
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")
    assert (found["scalar"], found["whole"]) == (0.25, -7)


def test_python_2_wrote_bytes_as_text(place: Place) -> None:
    raw = np.arange(3, dtype="<f4").tobytes()
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x03\x85"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
    )
    assert place.read(array + bytes([len(raw)]) + raw + b"tb.").tolist() == [0, 1, 2]
    assert place.read(b"(dp0\nS'a\\xe9\\n'\np1\nI01\nsV\\u20ac\np2\nL5L\ns.") == {"a\xe9\n": True, "€": 5}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_containers_of_python_come_out(place: Place, protocol: int) -> None:
    ordered = collections.OrderedDict(a=1, b=2)
    found = place.read(pickle.dumps([ordered, {1, 2}, frozenset([3]), bytearray(b"abc"), slice(1, 2)], protocol))
    assert found[0] == {"a": 1, "b": 2}
    assert sorted(found[1]) == [1, 2]
    assert list(found[2]) == [3]
    assert bytes(found[3]) == b"abc"
    assert isinstance(found[4], PlainObject)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool],
)
def test_tensors_come_out_of_both_containers(place: Place, new: bool, dtype: torch.dtype) -> None:
    base = (torch.arange(24) % 7).to(dtype)
    values = {
        "whole": base,
        "view": base.view(4, 6)[1:3, ::2],
        "turned": base.view(4, 6).T,
        "one": base[5],
        "none": base[:0],
        "parameter": torch.nn.Parameter(base, requires_grad=False),
    }
    found = place.read(torch_bytes(values, new=new))
    for name, tensor in values.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor.data)
    assert found["whole"].data_ptr() == found["parameter"].data_ptr()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_come_out_of_plain_pickles(place: Place, protocol: int) -> None:
    module = torch.nn.Linear(70, 50)
    found = place.read(pickle.dumps({"module": module, "tensor": module.weight.data.half()}, protocol))
    assert torch.equal(found["tensor"], module.weight.data.half())
    assert isinstance(found["module"], PlainObject)
    assert torch.equal(found["module"].state["_parameters"]["weight"], module.weight.data)


def test_a_training_file_with_optimiser_and_arguments_is_read(place: Place) -> None:
    module = torch.nn.Linear(3, 3)
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    saved = {"g": module.state_dict(), "optim": optimiser.state_dict(), "args": argparse.Namespace(size=64)}
    for new in (True, False):
        found = place.read(torch_bytes(saved, new=new))
        assert torch.equal(found["g"]["weight"], module.weight.data)
        assert found["optim"]["state"][0]["exp_avg"].shape == (3, 3)
        assert found["args"].state == {"size": 64}


def test_what_nobody_knows_is_inert_and_keeps_its_data(place: Place) -> None:
    shell = Shell()
    shell.__dict__.update(depth=3, inner=[1, 2])
    found = place.read(pickle.dumps([shell, Shell]))
    assert isinstance(found[0], PlainObject)
    assert found[0].name == "Shell"
    assert found[0].state == {"depth": 3, "inner": [1, 2]}
    assert isinstance(found[1], PlainGlobal)


# From here on: files that mean harm.


@pytest.mark.parametrize("function", [os.system, eval, exec, __import__, getattr, copyreg.pickle])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_called_functions_are_never_called(place: Place, function: Any, protocol: int) -> None:
    found = place.read(pickle.dumps({"G_ema": Calls(function, place.command())}, protocol))
    assert isinstance(found["G_ema"], PlainObject)
    assert found["G_ema"].args == (place.command(),)
    assert not place.sprung.exists()
    with pytest.raises(CheckpointError, match="none of the networks"):
        load_generator(place.path)


def test_a_command_inside_of_a_tensor_is_never_run(place: Place) -> None:
    for inner in (
        pickle.dumps(Calls(os.system, place.command())),
        torch_bytes(Calls(os.system, place.command()), new=False),
    ):
        place.refused(pickle.dumps(Calls(torch.storage._load_from_bytes, inner)))
    nested = torch_bytes(
        Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(os.system, place.command()))), new=False
    )
    place.refused(pickle.dumps(Calls(torch.storage._load_from_bytes, nested)))


def test_a_command_inside_of_a_numpy_object_is_never_run(place: Place) -> None:
    trap = pickle.dumps(Calls(os.system, place.command()))
    scalar = np.float32(0).__reduce__()[0]
    objects = np.array([Calls(os.system, place.command())], dtype=object)
    found = place.read(pickle.dumps([Calls(scalar, np.dtype("O"), trap), objects]))
    assert all(isinstance(value, PlainObject) for value in found)
    assert not place.sprung.exists()


def test_no_state_is_given_to_anything_real(place: Place) -> None:
    call = b"(" + text("__setstate__") + b"cos\nsystem\nd"  # {"__setstate__": os.system}
    command = text(place.command())
    place.read(b"ccollections\nOrderedDict\n)R" + call + b"b" + command + b"b.")
    place.read(b"cos\nsystem\n)R" + call + b"b" + command + b"b.")
    for real in (b"cbuiltins\nset\n)R", b"cbuiltins\nset\n", b"cos\nsystem\n", command, b"K\x01", b")"):
        place.refused(real + call + b"b" + command + b"b.")
    assert not place.sprung.exists()


def test_old_ways_of_making_objects_are_inert(place: Place) -> None:
    argument = b"S'" + place.command().encode() + b"'\n"
    assert isinstance(place.read(b"(" + argument + b"ios\nsystem\n."), PlainObject)
    assert isinstance(place.read(b"(cos\nsystem\n" + argument + b"o."), PlainObject)
    reconstructed = b"ccopy_reg\n_reconstructor\n(cos\nsystem\nc__builtin__\nobject\nNtR."
    assert isinstance(place.read(reconstructed), PlainObject)
    assert not place.sprung.exists()


def test_the_registry_of_extensions_is_out_of_reach(place: Place) -> None:
    copyreg.add_extension("os", "system", 0x7FFF)
    try:
        message = place.refused(b"\x80\x02\x83\xff\x7f" + text(place.command()) + b"\x85R.")
        place.refused(b"\x80\x02\x84\xff\x7f\x00\x00" + text(place.command()) + b"\x85R.")
    finally:
        copyreg.remove_extension("os", "system", 0x7FFF)
    assert "operation" in message


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x95" + b"\xff" * 8,  # a frame
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),  # bytes
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40),  # a text
        b"\x80\x05\x96" + struct.pack("<Q", (1 << 64) - 1),  # a bytearray
        b"\x80\x02\x8b" + struct.pack("<i", 1 << 30),  # a whole number
        b"\x80\x02\x8b" + struct.pack("<i", -5),
        b"\x80\x02T" + struct.pack("<i", -1),
        b"I" + b"9" * 5000 + b"\n.",
        b"g99999999999999999999\n.",
        b"j\xff\xff\xff\xff.",
    ],
)
def test_impossible_lengths_are_refused(place: Place, data: bytes) -> None:
    place.refused(data)


def test_a_far_place_in_the_memo_takes_no_memory(place: Place) -> None:
    assert place.read(b"K\x07r\xfe\xff\xff\xff0j\xfe\xff\xff\xff.") == 7


@pytest.mark.parametrize(
    "data", [b"", b".", b"0.", b"a.", b"e.", b"t.", b"R.", b"b.", b"(R.", b"s.", b"u.", b"\x93.", b"Q."]
)
def test_an_empty_stack_is_refused(place: Place, data: bytes) -> None:
    place.refused(b"\x80\x04" + data)


def test_deep_nesting_is_refused_or_read_but_never_fatal(place: Place) -> None:
    depth = 100_000
    assert place.read(b"N" + b"\x85" * depth + b".") is not None
    assert place.read(b"]" * depth + b"a" * (depth - 1) + b".") is not None
    place.refused(b"}N" + b"\x85" * depth + b"Ns.")  # as a key it would have to be hashed
    assert isinstance(place.read(b"cos\nsystem\n" * 20000 + b")" + b"R\x85" * 19999 + b"R."), PlainObject)


def test_data_that_multiply_themselves_are_refused(place: Place) -> None:
    many = b"](" + b"N" * 100_000 + b"eq\x00" + b"0"
    pairs = b"](" + b"NN\x86" * 50_000 + b"eq\x00" + b"0"
    assert "refers to itself" in place.refused(pairs + b"(" + b"ccollections\nOrderedDict\nh\x00\x85R" * 500 + b"t.")
    place.read(many + b"(" + b"cbuiltins\nset\nh\x00\x85R" * 20_000 + b"t.")
    encode = b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R"
    assert "refers to itself" in place.refused(text("a" * 1_000_000) + b"q\x00(" + encode * 2000 + b"t.")
    doubled = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(200))
    assert isinstance(place.read(doubled + b"."), list)
    with pytest.raises(CheckpointError):
        load_generator(place.path)


def numpy_truths(count: int) -> bytes:
    """The pickle's beginning up to the state of an array of bools, which it keeps as number 1."""
    kind = (
        b"cnumpy\ndtype\n("
        + text("b1")
        + b"K\x00K\x01tR(K\x03"
        + text("|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shape = b"J" + struct.pack("<i", count) + b"\x85"
    return b"(K\x01" + shape + kind + b"\x89B" + struct.pack("<I", count) + b"\x01" * count + b"tq\x010"


def test_one_text_of_the_file_cannot_be_copied_without_end(place: Place) -> None:
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    assert place.read(numpy_truths(3) + array + b"h\x01b.").tolist() == [True, True, True]
    assert "refers to itself" in place.refused(numpy_truths(1 << 20) + b"(" + (array + b"h\x01b") * 64 + b"l.")

    load = b"ctorch.storage\n_load_from_bytes\nh\x01\x85R"
    truths = stored(torch.ones(1 << 20, dtype=torch.bool))
    little = stored(torch.ones(1))
    long_text, long_number = text("a" * 1_000_000), b"\x8b" + struct.pack("<i", 1_000_000) + b"\x01" * 1_000_000
    for inner in (truths, *(little[:2] + long + b"0" + little[2:] for long in (long_text, long_number))):
        kept = b"B" + struct.pack("<I", len(inner)) + inner + b"q\x010"
        place.read(kept + load + b".")
        assert "refers to itself" in place.refused(kept + b"(" + load * 64 + b"l.")


def stored(tensor: torch.Tensor) -> bytes:
    """A tensor's storage as it lies in a plain pickle, a file in the file."""
    strings = [argument for _, argument, _ in pickletools.genops(pickle.dumps(tensor)) if isinstance(argument, bytes)]
    return max(strings, key=len)


def test_dictionaries_made_again_and_again_are_refused(place: Place) -> None:
    pairs = b"](" + b"".join(b"J" + struct.pack("<i", key) + b"N\x86" for key in range(10_000)) + b"eq\x000"
    again = b"ccollections\nOrderedDict\nh\x00\x85R"
    assert len(place.read(pairs + again + b".")) == 10_000
    assert "refers to itself" in place.refused(pairs + b"(" + again * 50 + b"l.")


def test_more_work_than_a_network_needs_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_OPERATIONS", 10_000)
    assert place.read(b"N0" * 4_000 + b"N.") is None
    assert "operations" in place.refused(b"N0" * 6_000 + b"N.")
    storage = pickle.dumps(torch.zeros(1))  # some hundred operations each, and all of them one text in the file
    inner = next(argument for _, argument, _ in pickletools.genops(storage) if isinstance(argument, bytes))
    again = b"ctorch.storage\n_load_from_bytes\nh\x00\x85R"
    many = b"B" + struct.pack("<I", len(inner)) + inner + b"q\x00(" + again * 1000 + b"t."
    assert "operations" in place.refused(many)


def test_keys_that_would_all_collide_are_refused(place: Place) -> None:
    key = ((1 << 61) - 1) << 64
    place.refused(b"}\x8a" + bytes([17]) + key.to_bytes(17, "little") + b"Ns.")
    place.refused(b"}]Ns.")


@pytest.mark.parametrize("number", [(1 << 61) - 1, 1 << 32, -1])
def test_places_in_the_memo_that_could_all_collide_are_refused(place: Place, number: int) -> None:
    assert "impossible number" in place.refused(b"Np%d\n." % number)


def test_tuples_of_numbers_could_all_collide_and_are_no_keys(place: Place) -> None:
    whole, broken = b"\x8a\x01\x07", b"G" + struct.pack(">d", 0.5)
    for part in (whole, broken):
        assert "key" in place.refused(b"}" + part + text("a") + b"\x86Ns.")
    assert place.read(b"}" + text("b") + text("a") + b"\x86Ns.") == {("b", "a"): None}


def tensor_pickle(size: Any, stride: Any, offset: Any, numbers: int = 6) -> bytes:
    storage = torch.zeros(numbers).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return pickle.dumps(Calls(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, {}))


def test_a_view_inside_of_its_storage_is_read(place: Place) -> None:
    assert place.read(tensor_pickle((2, 3), (3, 1), 0)).shape == (2, 3)
    assert place.read(tensor_pickle((2,), (3,), 2)).shape == (2,)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((2, 3), (3, 1), 1),
        ((2, 3), (4, 1), 0),
        ((2, 3), (-3, 1), 3),
        ((-2, 3), (3, 1), 0),
        ((2, 3), (3, 1), -1),
        ((7,), (0,), 0),
        ((1 << 40, 1 << 40), (0, 0), 0),
        ((1 << 62, 4, 0), (1, 1, 1), 0),
        ((2, 3), (3,), 0),
        ((2.0, 3), (3, 1), 0),
        ((True, 3), (3, 1), 0),
        ("ab", (3, 1), 0),
        ((1,) * 100, (1,) * 100, 0),
        ((2, 3), (3, 1), 1 << 70),
        ((2, 3), (3, 1), "0"),
        (([[]] * 3,), (1,), 0),
    ],
)
def test_a_view_out_of_its_storage_is_refused(place: Place, size: Any, stride: Any, offset: Any) -> None:
    place.refused(tensor_pickle(size, stride, offset))


def test_arrays_of_impossible_shape_are_refused(place: Place) -> None:
    function, args, state = np.zeros(4, np.float32).__reduce__()
    for shape in ((5,), (1 << 40, 1 << 40), (-4,), (2, -2), "4", (4.0,), ((4,),)):
        place.refused(pickle.dumps(Calls(function, *args, state=(1, shape, *state[2:]))))
    for data in (b"\0" * 15, b"\0" * 17, 16, None):
        place.refused(pickle.dumps(Calls(function, *args, state=(*state[:4], data))))


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


def entries_of(value: Any) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(torch_bytes(value, new=True))) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_an_archive_without_a_folder_or_with_another_byte_order_is_read(place: Place) -> None:
    entries = {name.split("/", 1)[1]: data for name, data in entries_of(torch.arange(3.0)).items()}
    assert torch.equal(place.read(archive(entries)), torch.arange(3.0))
    swapped = entries | {"byteorder": b"big", "data/0": np.arange(3, dtype=">f4").tobytes()}
    assert torch.equal(place.read(archive(swapped)), torch.arange(3.0))


def test_a_compressed_archive_is_refused_unread(place: Place) -> None:
    entries = entries_of(torch.arange(3.0)) | {"archive/data/0": bytes(50_000_000)}
    assert "compressed" in place.refused(archive(entries, zipfile.ZIP_DEFLATED))


def test_archives_that_lie_are_refused(place: Place) -> None:
    entries = entries_of(torch.arange(3.0))
    names = {name.split("/", 1)[1]: name for name in entries}
    good = archive(entries)
    assert torch.equal(place.read(good), torch.arange(3.0))
    assert "data/0" in place.refused(archive({name: data for name, data in entries.items() if name != names["data/0"]}))
    place.refused(archive(entries | {names["data/0"]: b"\0" * 11}))
    place.refused(archive(entries | {names["data/0"]: b"\0" * 13}))
    assert "data.pkl" in place.refused(archive({"readme.txt": b"hello"}))
    place.refused(archive(entries | {"other/data.pkl": b"N."}))
    place.refused(archive(entries | {names["data.pkl"]: pickle.dumps(Calls(os.system, place.command()))[:-1]}))
    for end in range(0, len(good), 97):
        place.path.write_bytes(good[:end] or b"P")
        with pytest.raises(CheckpointError):
            read_pickle(place.path)


def test_storages_that_are_none_are_refused(place: Place) -> None:
    class Lies(pickle.Pickler):
        identifier: Any = None

        def persistent_id(self, value: Any) -> Any:
            return self.identifier if isinstance(value, Shell) else None

    names = {name.split("/", 1)[1]: data for name, data in entries_of(torch.arange(3.0)).items()}
    for identifier in (
        ("storage", torch.FloatStorage, "../../data.pkl", "cpu", 3),
        ("storage", torch.FloatStorage, "0", "cpu", -3),
        ("storage", torch.FloatStorage, "0", "cpu", 1 << 70),
        ("storage", torch.FloatStorage, "0", "cpu", 3.0),
        ("storage", os.system, "0", "cpu", 3),
        ("storage", torch.FloatStorage, 0, "cpu", 3),
        ("module", os.system),
        "0",
        place.command(),
        None.__class__,
    ):
        buffer = io.BytesIO()
        pickler = Lies(buffer, 2)
        pickler.identifier = identifier
        pickler.dump([Shell()])
        place.refused(archive(names | {"data.pkl": buffer.getvalue()}))
        place.refused(buffer.getvalue())


def test_files_cut_anywhere_are_refused(place: Place) -> None:
    value = {"a": torch.arange(40.0), "b": [np.arange(5.0), "text", 1.5], "c": Shell()}
    for data in (torch_bytes(value, new=False), pickle.dumps(value, 2), pickle.dumps(value, 4)):
        assert place.read(data) is not None
        for end in range(1, len(data), 7):
            place.path.write_bytes(data[:end])
            with pytest.raises(CheckpointError):
                read_pickle(place.path)


def test_a_bad_file_is_refused_in_words(place: Place) -> None:
    place.refused(b"")
    assert "cut short" in place.refused(pickle.dumps([1.0] * 100)[:50])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_pickle(place.path.parent / "nowhere.pkl")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_pickle(place.path.parent)
