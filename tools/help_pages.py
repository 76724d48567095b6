# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the extension's help from docs/: the same pages as HTML, so that a browser shows them without a network.

Only what our pages use of Markdown is read: headings, paragraphs, lists, tables, code, emphasis, links and pictures.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ max-width: 46em; margin: 2em auto; padding: 0 1em; font: 16px/1.55 sans-serif; color: #222; background: #fff }}
img {{ max-width: 100% }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #ccc; padding: .3em .6em; vertical-align: top }}
code, pre {{ background: #f3f3f3 }} pre {{ padding: .8em; overflow: auto }} th {{ text-align: left }}
</style>
<body>
{body}
</body>
</html>
"""


def inline(text: str) -> str:
    """Emphasis, code, links and pictures inside a line."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(_code(piece) if piece.startswith("`") else _words(piece) for piece in pieces)


def _code(piece: str) -> str:
    return f"<code>{html.escape(piece.strip('`'))}</code>"


def _words(piece: str) -> str:
    piece = html.escape(piece, quote=False)
    piece = re.sub(r"!\[([^\]]*)\]\(([^)]+)\)", r'<img src="\2" alt="\1">', piece)
    piece = re.sub(r"\[([^\]]+)\]\(([^)#]+?)\.md(#[^)]*)?\)", r'<a href="\2.html\3">\1</a>', piece)
    piece = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', piece)
    piece = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", piece)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", piece)


def block(lines: list[str]) -> str:
    """One block, between empty lines, as HTML."""
    first = lines[0]
    heading = re.match(r"(#{1,4}) (.*)", first)
    if heading:
        level = len(heading.group(1))
        rest = block(lines[1:]) if lines[1:] else ""
        return f"<h{level}>{inline(heading.group(2))}</h{level}>\n{rest}"
    if first.startswith("    "):
        return "<pre>" + html.escape("\n".join(line[4:] for line in lines)) + "</pre>"
    if first.startswith("|"):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        cells = [["th" if number == 0 else "td", *row] for number, row in enumerate(rows) if number != 1]
        made = ("".join(f"<{kind}>{inline(cell)}</{kind}>" for cell in row) for kind, *row in cells)
        return "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in made) + "\n</table>"
    marker = re.match(r"(-|\d+\.) ", first)
    if marker:
        kind = "ul" if marker.group(1) == "-" else "ol"
        items = re.split(r"^(?:-|\d+\.) ", "\n".join(lines), flags=re.MULTILINE)[1:]
        return f"<{kind}>\n" + "\n".join(f"<li>{inline(_joined(item))}</li>" for item in items) + f"\n</{kind}>"
    return f"<p>{inline(_joined(chr(10).join(lines)))}</p>"


def _joined(text: str) -> str:
    return " ".join(text.split())


def page(markdown: str) -> str:
    """A page of Markdown as a page of HTML."""
    blocks, current = [], []
    for line in [*markdown.splitlines(), ""]:
        if line.strip():
            current.append(line)
        elif current:
            blocks.append(block(current))
            current = []
    title = next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "Help")
    return PAGE.format(title=html.escape(title), body="\n".join(blocks))


def write_help(docs: Path, folder: Path) -> None:
    """Write all pages of `docs` and the tutorial's pictures into a folder."""
    for path in sorted(docs.rglob("*")):
        target = folder / path.relative_to(docs)
        if path.suffix == ".md":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_suffix(".html").write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
        elif path.suffix in (".jpg", ".png"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
