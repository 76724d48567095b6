# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms import along the arrows of the design and in no other way.

Why it matters: Blender's own process may hold neither torch nor librosa, the engine may hold no Blender, and a room
can only be changed alone as long as nothing reaches into it from the side.
"""

import ast
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

NAME = "stylegan_reactive"


@dataclass(frozen=True)
class Rule:
    """What the files that fit a pattern may import beside the standard library, their own room and what all share."""

    pattern: str
    packages: set[str] = field(default_factory=set)
    rooms: set[str] = field(default_factory=set)  # a room, or one module in it
    types: set[str] = field(default_factory=set)  # the same, under `if TYPE_CHECKING:` only
    lazy: set[str] = field(default_factory=set)  # packages and rooms, inside functions only
    own_room: tuple[str, ...] = ("*",)  # which modules of its own room
    by_name: bool = False  # `from stylegan_reactive...`; an installed extension bears another name


BLENDER = {"bpy", "bpy_extras", "mathutils", "gpu", "gpu_extras", "aud"}
SOUND = {"numpy", "scipy", "librosa", "soundfile", "soxr", "numba"}
SHARED = ("errors", "files", "builtin_networks", "archives")  # modules beside the rooms, which any of them may import
# The side of the engine that Blender's process loads, and the side that holds torch.
ENGINE_FRONT = (
    *("engine", "engine.client", "engine.environment", "engine.frames", "engine.logs", "engine.process"),
    *("engine.protocol", "engine.shared_pixels"),
)

# The first rule whose pattern fits a file is the one that counts.
RULES = (
    Rule("__init__.py", lazy={"bpy", "blender"}),
    *(Rule(f"{module}.py") for module in SHARED),
    Rule("audio/sound_file.py", packages={"numpy", "soundfile"}, lazy={"av"}),
    Rule("audio/analysis.py", packages={"numpy"}, lazy={"threadpoolctl"}),
    Rule("audio/neural_models.py", packages=SOUND, lazy={"torch", "torchaudio", "safetensors", "demucs", "openunmix"}),
    Rule("audio/*", packages=SOUND),
    Rule("generator/*", packages={"torch", "numpy", "safetensors"}),
    Rule("choreography/*", packages={"torch", "numpy"}, types={"generator"}),
    *(
        Rule(f"{module.replace('.', '/')}{ending}", packages={"numpy"}, own_room=ENGINE_FRONT)
        for module in ENGINE_FRONT
        for ending in (".py", "/__init__.py")
    ),
    Rule("engine/__main__.py", own_room=("engine.server",), by_name=True),  # is run as a file
    Rule("engine/*", packages={"torch", "numpy", "librosa"}, rooms={"choreography", "generator", "audio"}),
    Rule("farm/run.py", lazy={"bpy"}),  # is run as a file, and finds the add-on by itself
    Rule("farm/*", rooms={"files"}),
    Rule("blender/*", packages={"numpy", *BLENDER}, rooms={"engine.client", "engine.protocol", "farm"}),
)


@dataclass(frozen=True)
class Import:
    """One import of one file: a package, or a dotted module of ours, and where it stands."""

    file: str
    line: int
    target: str
    is_ours: bool
    by_name: bool
    in_function: bool
    for_types: bool


def imports_of(package: Path, path: Path) -> list[Import]:
    """Read every import of a file, without running it."""
    file = path.relative_to(package).as_posix()
    here = [NAME, *path.relative_to(package).parent.parts]
    found: list[Import] = []

    def is_module(parts: list[str]) -> bool:
        place = package.joinpath(*parts[1:])
        return place.is_dir() or place.with_suffix(".py").is_file()

    def targets(node: ast.Import | ast.ImportFrom) -> list[tuple[str, bool, bool]]:
        names = [alias.name for alias in node.names]
        named = names if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.Import) or node.level == 0:
            return [(name.removeprefix(f"{NAME}."), name.split(".")[0] == NAME, True) for name in named]
        base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
        base = [part for part in base if part]
        # `from ..engine import client` names a module; `from ..engine.client import Engine` something inside one.
        modules = [[*base, name] if is_module([*base, name]) else base for name in names]
        return [(".".join(parts[1:]), True, False) for parts in modules]

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.extend(Import(file, node.lineno, *target, in_function, for_types) for target in targets(node))
        in_function = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                walk(child, in_function, True)
            for child in node.orelse:
                walk(child, in_function, for_types)
            return
        for child in ast.iter_child_nodes(node):
            walk(child, in_function, for_types)

    walk(ast.parse(path.read_text(encoding="utf-8")), False, False)
    return found


def fits(target: str, names: set[str]) -> bool:
    """Whether a dotted target is one of the names or lies inside one."""
    return any(target == name or target.startswith(name + ".") for name in names)


def is_allowed(one: Import) -> bool:
    """Whether the table allows this import."""
    rule = next(rule for rule in RULES if fnmatch(one.file, rule.pattern))
    lazily = rule.lazy if one.in_function else set()
    if not one.is_ours:
        top = one.target.partition(".")[0]
        return top in sys.stdlib_module_names or top in rule.packages | lazily
    if one.by_name and not rule.by_name:
        return False
    room = one.file.partition("/")[0] if "/" in one.file else ""
    is_own = bool(room) and fits(one.target, {room})
    if is_own:
        return any(fnmatch(one.target, pattern) for pattern in rule.own_room)
    types = rule.types if one.for_types else set()
    return fits(one.target, {*SHARED} | rule.rooms | types | lazily)


def wrong_arrows(package: Path) -> list[str]:
    """Return one line for every import that the design does not know."""
    return [
        f"{one.file}:{one.line} imports {'' if one.by_name else '.'}{one.target}"
        for path in sorted(package.rglob("*.py"))
        for one in imports_of(package, path)
        if not is_allowed(one)
    ]


def test_every_import_follows_the_design(repository: Path) -> None:
    package = repository / NAME
    assert list(package.rglob("*.py"))
    assert wrong_arrows(package) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("blender/panel.py", "import torch"),
        ("blender/panel.py", "def draw():\n    import librosa"),
        ("blender/panel.py", "from ..generator import load_generator"),
        ("blender/panel.py", "from ..engine import server"),
        ("blender/panel.py", "from ..engine.server import serve"),
        ("blender/panel.py", "from stylegan_reactive.errors import ReactiveError"),
        ("audio/onset.py", "import torch.nn"),
        ("audio/onset.py", "import bpy"),
        ("generator/style.py", "from ..audio import analyse"),
        ("generator/style.py", "from ..choreography.patch import Patch"),
        ("choreography/mix.py", "from ..generator import load_generator"),
        ("choreography/mix.py", "import bpy"),
        ("engine/client.py", "import torch"),
        ("engine/client.py", "from . import server"),
        ("engine/client.py", "def start():\n    from ..audio import analyse"),
        ("engine/protocol.py", "from .server import serve"),
        ("engine/server.py", "from ..blender import panel"),
        ("engine/server.py", "from training.data import paint"),
        ("errors.py", "import numpy"),
        ("__init__.py", "import bpy"),
        ("__init__.py", "from . import blender"),
    ],
)
def test_a_planted_wrong_import_is_found(tmp_path: Path, file: str, line: str) -> None:
    package = plant(tmp_path, file, line)
    assert len(wrong_arrows(package)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("blender/panel.py", "import bpy, numpy as np\nfrom pathlib import Path\nfrom ..engine.client import Engine"),
        ("blender/panel.py", "from . import other\nfrom ..errors import ReactiveError"),
        ("generator/style.py", "from ..builtin_networks import DEFAULT"),
        ("choreography/mix.py", "if TYPE_CHECKING:\n    from ..generator import Generator"),
        ("engine/server.py", "import torch\nfrom ..audio import analyse\nfrom .protocol import Hello"),
        ("__init__.py", "def register():\n    import bpy\n    from . import blender"),
    ],
)
def test_an_import_of_the_design_is_let_through(tmp_path: Path, file: str, line: str) -> None:
    package = plant(tmp_path, file, line)
    assert wrong_arrows(package) == []


def test_training_knows_of_the_rooms_only_the_generator(repository: Path) -> None:
    folder = repository / "training"
    known = {"generator", *SHARED}
    packages = {"torch", "safetensors", "PIL"}
    wrong = []
    for path in sorted(folder.glob("*.py")):
        for one in imports_of(folder, path):
            package = one.target.partition(".")[0]
            ours = fits(one.target, known) or not one.by_name  # `from .data import paint` is training's own
            if not (ours if one.is_ours else package in packages | sys.stdlib_module_names):
                wrong.append(f"{one.file}:{one.line} imports {one.target}")
    assert list(folder.glob("*.py"))
    assert wrong == []


def test_nothing_that_is_shipped_or_shown_needs_training(repository: Path) -> None:
    needing = [
        f"{path.relative_to(repository).as_posix()}:{one.line}"
        for room in (NAME, "tools", "examples", "benchmarks")
        for path in sorted((repository / room).rglob("*.py"))
        for one in imports_of(repository / room, path)
        if not one.is_ours and fits(one.target, {"training"})
    ]
    assert needing == []


def plant(folder: Path, file: str, text: str) -> Path:
    """Make a package with all rooms in which one file holds the text."""
    package = folder / NAME
    rooms = ("audio", "generator", "choreography", "engine", "blender")
    empty = ["__init__.py", *(f"{module}.py" for module in SHARED), *(f"{room}/__init__.py" for room in rooms)]
    empty += ["engine/server.py", "engine/client.py", "engine/protocol.py", "choreography/patch.py", "blender/other.py"]
    for name in empty:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    (package / file).write_text(text + "\n", encoding="utf-8")
    return package
