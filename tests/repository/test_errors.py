# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error that an artist may read in the panel says what to do about it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Words with which a sentence tells somebody to do something.
ADVICE = re.compile(
    r"\b(?:Add|Allow|Bake|Break|Check|Choose|Close|Connect|Convert|Count|Delete|Disconnect|Download|Export|Free|Give|Install|"
    r"Leave|Let|Load|Lower|Make|Mend|Move|Mute|Name|Open|Press|Put|Raise|Read|Remove|Rename|Restart|Right-click|Save|Select|Set|Shorten|Start|"
    r"Stop|Switch|Take|Try|Turn|Type|Unlock|Update|Use|Wait|Write)\b"
    r"|\b[Cc]an be\b|\b(?:must|should|needs?|wanted|expected)\b"
)
SAID_AGAIN = {"error", "fault"}  # an error that is handed on with a word before it brings its own advice


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of all errors of our family that a file makes, with their lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        if not re.fullmatch(r"\w+Error", node.func.id) or node.func.id in dir(__builtins__):
            continue
        parts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
        text = "".join(part for part in parts if isinstance(part, str))
        if text and not SAID_AGAIN & {part.id for part in ast.walk(node.args[0]) if isinstance(part, ast.Name)}:
            yield node.lineno, text


def test_every_error_in_blender_says_what_to_do(repository: Path) -> None:
    silent = []
    for path in sorted((repository / "stylegan_reactive" / "blender").glob("*.py")):
        for line, text in messages(path):
            if not ADVICE.search(text):
                silent.append(f"{path.name}:{line}: {text}")
    assert silent == []
