# SPDX-License-Identifier: GPL-3.0-or-later
"""Links in the documentation lead somewhere, in the repository and in the help that comes with the extension."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def dead_links(folder: Path, pattern: str, link: re.Pattern[str]) -> list[str]:
    """Links of all files that lead to no file."""
    dead = []
    for page in sorted(folder.rglob(pattern)):
        for target in link.findall(page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).is_file():
                dead.append(f"{page.relative_to(folder).as_posix()} -> {target}")
    return dead


def test_every_link_of_the_documentation_leads_to_a_file(repository: Path) -> None:
    pages = [repository / "README.md", repository / "CHANGELOG.md"]
    dead = [
        f"{page.name} -> {target}"
        for page in pages
        for target in LINK.findall(page.read_text("utf-8"))
        if not re.match(r"[a-z]+:", target) and not (repository / target).exists()
    ]
    assert dead + dead_links(repository / "docs", "*.md", LINK) == []


def test_every_picture_of_the_tutorial_is_shown_in_it(repository: Path) -> None:
    shown = set(LINK.findall((repository / "docs" / "tutorial.md").read_text("utf-8")))
    pictures = {f"tutorial/{path.name}" for path in (repository / "docs" / "tutorial").iterdir()}
    assert len(pictures) == 10
    assert pictures <= shown


@pytest.fixture
def help_pages(repository: Path) -> Any:
    """The tool that makes the help."""
    spec = importlib.util.spec_from_file_location("help_pages", repository / "tools" / "help_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["help_pages"] = module
    spec.loader.exec_module(module)
    return module


def test_help_of_the_extension_is_whole(repository: Path, help_pages: Any, tmp_path: Path) -> None:
    help_pages.write_help(repository / "docs", tmp_path / "help")
    assert dead_links(tmp_path / "help", "*.html", re.compile(r'(?:href|src)="([^"#]+)')) == []
    text = (tmp_path / "help" / "panels" / "envelopes.html").read_text("utf-8")
    assert "<h1>Envelopes</h1>" in text
    assert "|" not in re.sub(r"<[^>]+>", "", text).split("Shape")[1]  # tables are tables
    assert "**" not in text
