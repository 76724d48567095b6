# SPDX-License-Identifier: GPL-3.0-or-later
"""A short stretch of the long run (`make soak`): the same code, with a crash in its middle."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def soak(repository: Path) -> ModuleType:
    """The tool."""
    spec = importlib.util.spec_from_file_location("soak", repository / "tools" / "soak.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hundreds_of_pictures_and_a_crash_leave_nothing_and_are_all_right(soak: ModuleType, tmp_path: Path) -> None:
    network = tmp_path / "tiny.safetensors"
    soak.make_network(network)
    part = soak.through_the_engine("tiny", str(network), 400, tmp_path)
    assert part.wrong == 0
    last, warm = part.samples[-1], part.samples[len(part.samples) // 5 :]
    assert last.lives == 2
    for which in (0, 1):
        assert last.files[which] <= min(each.files[which] for each in warm) + 3
        assert last.threads[which] <= min(each.threads[which] for each in warm) + 1
    assert last.shared <= max(each.shared for each in warm[: len(warm) // 2])
    # A picture is 4 to 60 KB here: of 400, one that is never let go of would be 8 MB and more.
    assert last.memory[0] - warm[0].memory[0] < 4e6


def test_slope_is_that_of_the_memory_and_no_life_of_the_engine_counts_for_another(soak: ModuleType) -> None:
    def sample(pictures: int, life: int, megabytes: float) -> object:
        return soak.Sample(pictures, life, (int(megabytes * 1e6), 100_000_000), (1, 1), (1, 1), 1)

    before = [sample(n * 100, 1, 50 + n * 0.02) for n in range(100)]
    after = [sample(10_000 + n * 100, 2, 10 + n * 0.02) for n in range(100)]
    slope, error = soak.slope([*before, *after], 0)
    assert slope == pytest.approx(2.0, abs=0.01)
    assert error < 0.01
    assert soak.slope([*before, *after], 1)[0] == pytest.approx(0.0, abs=1e-6)
