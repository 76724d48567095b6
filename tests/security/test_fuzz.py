# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzzing once found is read again, and good files are damaged by a seeded chance; `make fuzz` does it for hours.

Each reader has a process of its own, watched by the canary of the attacks: native code could end it.
"""

from pathlib import Path

import pytest

from tests.security.canary import PEAK, SECONDS, Verdict, verdicts
from tests.security.damage import GROUPS
from tests.security.seeds import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    return verdicts(GROUPS, tmp_path_factory.mktemp("damaged"))


@pytest.mark.parametrize("reader", TARGETS)
def test_damaged_file_is_read_or_refused_and_nothing_else(found: list[Verdict], reader: str) -> None:
    here = [one for one in found if one.reader == reader]
    assert len(here) >= 40
    assert [one for one in here if one.outcome not in ("refused", "read") or one.events] == []
    most = PEAK * (4 if reader == "to_engine" else 1)  # that one loads networks and paints
    assert [one for one in here if one.peak > most + 8 * one.size or one.seconds > SECONDS] == []


def test_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1 << 20
