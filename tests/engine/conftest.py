# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the engine share."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def own_shared_memory() -> Callable[[], set[str]]:
    """What this process has of it, when it is asked; others may come and go meanwhile."""

    def mapped() -> set[str]:
        found = re.findall(r"/dev/shm/\S+", Path("/proc/self/maps").read_text())
        return {name for name in found if Path(name).exists()}

    return mapped
