# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the repository works on any machine and stays light to clone."""

import re
import subprocess
from pathlib import Path

import pytest

LARGEST_FILE = 5 * 2**20  # bytes; the built-in networks come near
LARGEST_SUM = 20 * 2**20
HOME = r"(?:/(?:home|Users)/[A-Za-z]|/root\b|[A-Z]:\\Users\\)"
SCRATCH = r"/(?:tmp/[a-z]|work/(?:main|shared)|opt/(?:pypi|wheels))"
REGISTRY = r"(?:pypi\.org|pythonhosted\.org|pytorch\.org/whl|conda\.anaconda\.org|https?://[^\s\"']+/simple\b)"


def tracked_files(repository: Path) -> list[Path]:
    """Return the files that a clone brings."""
    if not (repository / ".git").exists():
        pytest.skip("this copy of the repository is no git clone, so nothing says which files belong to it")
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True)
    files = [repository / name for name in answer.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]


def places_named_in(text: str) -> list[str]:
    """Return what in the text is true on one machine or in one network only."""
    return re.findall("|".join((HOME, SCRATCH, REGISTRY)), text)


def test_no_file_names_a_machine_s_folder_or_a_package_registry(repository: Path) -> None:
    found = {}
    for path in tracked_files(repository):
        if path == Path(__file__).resolve():
            continue
        if places := places_named_in(path.read_bytes().decode("utf-8", errors="ignore")):
            found[path.relative_to(repository).as_posix()] = places
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ["open('/home/ada/song.wav')", r"C:\Users\ada", "cd /root", "https://pypi" + ".org", "http://mirror:80/x/simple"],
)
def test_a_planted_place_is_found(text: str) -> None:
    assert places_named_in(text)


def test_a_clone_stays_light(repository: Path) -> None:
    sizes = {path.relative_to(repository).as_posix(): path.stat().st_size for path in tracked_files(repository)}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FILE} == {}
    assert sum(sizes.values()) < LARGEST_SUM


def test_every_source_file_says_its_licence(repository: Path) -> None:
    sources = [path for path in tracked_files(repository) if path.suffix == ".py"]
    first_lines = {path.relative_to(repository).as_posix(): path.read_text("utf-8").split("\n")[0] for path in sources}
    licence = "# SPDX-License-Identifier: GPL-3.0-or-later"
    assert [name for name, line in first_lines.items() if line != licence] == []
