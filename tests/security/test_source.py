# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing in the add-on turns data into code: no evaluation, no pickles, no programs but its own."""

import ast
from pathlib import Path

CODE = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}
PROGRAMS = {"subprocess": {"run", "Popen", "call", "check_call", "check_output", "getoutput"}}
PROGRAMS["os"] = {"system", "popen", "startfile", *(f"exec{way}" for way in ("v", "ve", "vp", "l", "le", "lp"))}
READERS = {"pickle": {"load", "loads", "Unpickler"}, "marshal": {"load", "loads"}, "shelve": {"open"}}
READERS["yaml"] = {"load", "unsafe_load"}
READERS["importlib"] = {"import_module"}
READERS["runpy"] = {"run_path", "run_module"}
# Who may start programs: each starts one that the artist chose, by its path, never by a text for a shell.
STARTERS = {"engine/process.py", "blender/installer.py", "blender/farm_bundle.py"}
IMPORTERS = {"farm/run.py"}  # a farm's program finds the add-on under the name that Blender gave it


def calls(path: Path) -> list[tuple[str, str, ast.Call]]:
    """Each call of a file: what it is called on, its name, and the call."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found.append(("", node.func.id, node))
            elif isinstance(node.func, ast.Attribute):
                found.append((ast.unparse(node.func.value), node.func.attr, node))
    return found


def test_no_file_of_the_add_on_evaluates_unpickles_or_imports_by_name(repository: Path) -> None:
    wrong = []
    for path in sorted((repository / "stylegan_reactive").rglob("*.py")):
        name = path.relative_to(repository / "stylegan_reactive").as_posix()
        for owner, function, node in calls(path):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            bad = (not owner and function in CODE) or (function in READERS.get(owner, set()) and name not in IMPORTERS)
            bad = bad or (owner == "torch" and function == "load" and keywords.get("weights_only") != "True")
            bad = bad or (owner == "np" and function == "load" and keywords.get("allow_pickle") != "False")
            bad = bad or (function in PROGRAMS.get(owner, set()) and name not in STARTERS)
            bad = bad or keywords.get("shell") == "True" or "driver_namespace" in owner
            if bad:
                wrong.append(f"{name}:{node.lineno} {owner}.{function}")
    assert wrong == []


def test_a_planted_evaluation_is_found(tmp_path: Path) -> None:
    package = tmp_path / "stylegan_reactive"
    package.mkdir()
    lines = ("eval(x)", "pickle.loads(x)", "torch.load(x)", "np.load(x)", "subprocess.run(x)", "f(shell=True)")
    for line in lines:
        (package / "file.py").write_text(line)
        try:
            test_no_file_of_the_add_on_evaluates_unpickles_or_imports_by_name(tmp_path)
        except AssertionError:
            continue
        raise AssertionError(f"{line} was not found")
