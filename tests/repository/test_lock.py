# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock names every package that the environment holds, and the environment holds what the lock names."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

# Python's own installer, and the CUDA libraries that torch itself pins to the version (TORCH=default).
NOT_LOCKED = re.compile(r"pip|setuptools|triton|nvidia-.*|cuda-.*")


def plain(name: str) -> str:
    """Write a package's name in the one way in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_versions(lock: str, python: str) -> dict[str, str]:
    """Read the exact versions that the lock names for one Python; any other kind of line is an error."""
    versions: dict[str, str] = {}
    for line in lock.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([\w.-]+)==([\w.]+)(?: ; python_version == "([\d.]+)")?', line)
        assert match, f"not an exact version: {line}"
        name, version, only_for = match.groups()
        if only_for in (None, python):
            assert plain(name) not in versions, f"{name} twice for Python {python}"
            versions[plain(name)] = version
    return versions


@pytest.fixture
def lock(repository: Path) -> str:
    return (repository / "requirements.lock").read_text(encoding="utf-8")


def test_lock_gives_each_python_the_blender_and_numpy_that_belong_together(lock: str) -> None:
    old, new = locked_versions(lock, "3.11"), locked_versions(lock, "3.13")
    assert (old["bpy"], old["numpy"]) == ("5.0.1", "1.26.4")
    assert new["bpy"] == "5.2.3"
    assert new["numpy"].startswith("2.")


def test_blender_of_each_python_is_among_those_that_are_tested(lock: str, repository: Path) -> None:
    tested = (repository / "requirements-blender.lock").read_text(encoding="utf-8")
    pins = [line for line in tested.splitlines() if line and not line.startswith("#")]
    assert [pin.split(".")[:2] for pin in pins] == sorted(pin.split(".")[:2] for pin in pins)  # oldest first
    assert {line for line in lock.splitlines() if line.startswith("bpy==")} <= set(pins)


def test_installed_packages_are_those_of_the_lock(lock: str, repository: Path) -> None:
    if Path(sys.prefix) != repository / ".venv":
        pytest.skip("these tests do not run in the .venv of `make setup`")
    locked = locked_versions(lock, "{}.{}".format(*sys.version_info))
    installed = {plain(one.name): one.version.partition("+")[0] for one in metadata.distributions()}
    strays = {name: version for name, version in installed.items() if locked.get(name) != version}
    assert {name: version for name, version in strays.items() if not NOT_LOCKED.fullmatch(name)} == {}
    assert set(locked) - set(installed) <= {"torch"}  # torch may have an environment of its own
