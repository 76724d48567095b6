# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the pipe is plain data and comes back as it was."""

import numpy as np
import pytest

from stylegan_reactive.engine import protocol
from stylegan_reactive.errors import ReactiveError, SongError


def test_array_comes_back_as_it_was() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    np.testing.assert_array_equal(protocol.unpack(protocol.pack(values)), values)


def test_message_is_one_line_even_if_its_text_has_several() -> None:
    message = {"id": 1, "text": "one\ntwo\u2028three"}
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == message


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"null", b'{"id": "x"}', b"\xff", b'{"id": 1'])
def test_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (UnicodeDecodeError and JSONDecodeError are ValueErrors)
        protocol.decode(line)


def test_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        protocol.encode({"id": 1, "value": float("inf")})


def test_equal_patches_have_one_key_whatever_their_order() -> None:
    assert protocol.patch_key({"a": 1, "b": [2.0]}) == protocol.patch_key({"b": [2.0], "a": 1})
    assert protocol.patch_key({"a": 1}) != protocol.patch_key({"a": 2})


def test_error_keeps_its_kind_and_text() -> None:
    error = protocol.error_from(protocol.error_fields(SongError("silent")))
    assert type(error) is SongError
    assert str(error) == "silent"


def test_error_of_an_unknown_kind_is_still_an_error_for_the_artist() -> None:
    assert type(protocol.error_from({"kind": "SystemExit", "message": "no"})) is ReactiveError
    assert isinstance(protocol.error_from("nonsense"), ReactiveError)
