# SPDX-License-Identifier: GPL-3.0-or-later
"""Start of the engine process: ``python -I .../stylegan_reactive/engine/__main__.py``.

Run as a file, not with ``-m``: the folder that holds the extension also holds other people's extensions, and none of
them may become importable here. So the package is put under its own name by hand and ``sys.path`` stays as it was.
"""

import importlib.util
import json
import sys
from pathlib import Path

OLDEST = (3, 11)


def load_package() -> None:
    """Make ``stylegan_reactive`` importable from the folder of this file, and nothing else beside it."""
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "stylegan_reactive", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["stylegan_reactive"] = package
    spec.loader.exec_module(package)


def refuse() -> None:
    """Answer whatever is asked that this Python is too old, which could not even read the rest."""
    text = "The engine's Python, {}, is version {}.{}, but {}.{} or later is needed. Choose another in the preferences."
    message = text.format(sys.executable, *sys.version_info[:2], *OLDEST)
    for line in sys.stdin:
        answer = {"id": json.loads(line)["id"], "error": {"kind": "EngineError", "message": message}}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    sys.exit(1)


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        refuse()
    sys.path = [entry for entry in sys.path if entry != str(Path(__file__).resolve().parent)]
    load_package()
    from stylegan_reactive.engine.server import main

    main()
