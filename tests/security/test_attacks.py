# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a stranger's file tries, nothing runs, is written or goes out; memory stays small; the artist is told."""

from pathlib import Path

import pytest

from tests.security.attacks_data import GROUPS as DATA
from tests.security.attacks_pickles import GROUPS as PICKLES
from tests.security.attacks_sounds import GROUPS as SOUNDS
from tests.security.canary import PEAK, SECONDS, Verdict, verdicts

GROUPS = (*PICKLES, *DATA, *SOUNDS)
NAMES_NO_FILE = ("patch", "to_client", "to_engine")  # these read no file of their own


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacks") / "read here"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def found(place: Path) -> list[Verdict]:
    return verdicts(GROUPS, place)


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_comes_of_an_attack(found: list[Verdict], group: str) -> None:
    here = [one for one in found if one.group == group]
    assert here, "the canary did not live to begin"
    assert [one for one in here if one.events] == []
    assert [one for one in here if one.outcome not in ("refused", "read")] == []
    assert [one for one in here if one.outcome == "read" and not one.harmless] == []
    assert [one for one in here if one.peak > PEAK + 8 * one.size] == []
    assert [one for one in here if one.seconds > SECONDS] == []


def test_every_refusal_names_the_file(found: list[Verdict]) -> None:
    refused = [one for one in found if one.outcome == "refused" and one.reader not in NAMES_NO_FILE]
    assert len(refused) > 1000
    assert [one for one in refused if "file" not in one.said and "drums" not in one.said] == []


def test_no_attack_wrote_anything(found: list[Verdict], place: Path) -> None:
    assert found
    assert [path.name for path in place.parent.iterdir()] == [place.name]
