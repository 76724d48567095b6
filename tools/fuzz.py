# SPDX-License-Identifier: GPL-3.0-or-later
"""Coverage-guided fuzzing of everything that reads strangers' files, with atheris (libFuzzer for Python).

    make fuzz SECONDS=600                 all readers in turn, each for ten minutes
    make fuzz SECONDS=60 TARGETS=patch    one of them

`make fuzz` gives it an environment of its own, ``.venv-fuzz``. Each reader begins with the good files of
``tests/security/seeds.py`` and what is kept in ``tests/security/corpus``. What ends in anything but a `ReactiveError`
is written to ``build/fuzz/<reader>/findings`` and the search goes on; a hang, a crash or too much memory ends the
search of that reader. A finding that was mended goes into the corpus, which the tests read again each time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "security" / "corpus"
OUT = ROOT / "build" / "fuzz"
ATHERIS = "3.0.0"
LONGEST_INPUT = 1 << 17  # bytes
MOST_MEMORY = 3072  # megabytes, torch included
LONGEST_RUN = 20  # seconds for one input
INSTRUMENTED = ("stylegan_reactive", "zipfile", "numpy.lib.format", "json.decoder")


def main() -> int:
    """Fuzz the readers that are named, each in a process of its own."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of strangers' files.")
    parser.add_argument("targets", nargs="*", help="names in tests/security/readers.py; all of them by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--environment", type=Path, help="make atheris its own environment here, if it is not there")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        search(arguments.targets[0], arguments.seconds)
        return 0
    os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    if arguments.environment and importlib.util.find_spec("atheris") is None:
        wanted = [*arguments.targets, "--seconds", str(arguments.seconds)]
        return subprocess.run([python_with_atheris(arguments.environment), __file__, *wanted]).returncode
    sys.path.insert(0, str(ROOT))
    from tests.security.readers import READERS

    failed = False
    for target in arguments.targets or READERS:
        command = [sys.executable, __file__, target, "--seconds", str(arguments.seconds), "--child"]
        (OUT / target).mkdir(parents=True, exist_ok=True)
        log = OUT / target / "log"
        with log.open("wb") as output:
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
        found = len(list((OUT / target / "findings").glob("*.bin")))
        print(f"{target}: {last_figures(log)}, {found} findings{f', ended with {code}' if code else ''}", flush=True)
        failed = failed or bool(found or code)
    return int(failed)


def python_with_atheris(environment: Path) -> str:
    """The Python of an environment that has atheris, and all packages of the one that runs this."""
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        wanted = ["install", "--quiet", "--only-binary", ":all:", f"atheris=={ATHERIS}"]
        if subprocess.run([str(python), "-m", "pip", *wanted]).returncode:
            sys.exit("There is no atheris for this Python. Set up with Python 3.11: make setup PYTHON=python3.11")
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        own, theirs = (
            subprocess.run([each, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
            for each in (str(python), sys.executable)
        )
        Path(own, "packages-of-the-repository.pth").write_text(f"{theirs}\n")
        (environment / "ready").touch()
    return str(python)


def last_figures(log: Path) -> str:
    """How far the search came, from libFuzzer's own lines."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(("#", "stat::", "Done "))]
    return lines[-1] if lines else "nothing was run"


def seed(target: str, folder: Path) -> None:
    """Put good files, and what is kept, where the search begins."""
    from tests.security.seeds import seeds_for

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        files = list(seeds_for(target, Path(scratch)).values())
    files += [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    for data in files:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def search(target: str, seconds: int) -> None:
    """Fuzz one reader in this process."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from stylegan_reactive.errors import ReactiveError
        from tests.security.readers import READERS
    from tests.security.mutations import mutated

    place, read = OUT / target, READERS[target]
    findings, known = place / "findings", set[str]()
    findings.mkdir(parents=True, exist_ok=True)
    seed(target, place / "corpus")
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    scratch = tempfile.mkdtemp(prefix="reactive-fuzz-", dir=memory)
    path = Path(scratch, "file")
    runs, began = 0, time.monotonic()

    def once(data: bytes) -> None:
        nonlocal runs
        runs += 1
        path.write_bytes(data)
        try:
            read(path)
        except ReactiveError:
            return
        except Exception as fault:
            frames = traceback.extract_tb(fault.__traceback__)
            where = f"{type(fault).__name__} {[(frame.filename, frame.lineno) for frame in frames[-3:]]}"
            if where not in known:
                known.add(where)
                name = hashlib.sha256(where.encode()).hexdigest()[:12]
                (findings / f"{name}.bin").write_bytes(data)
                (findings / f"{name}.txt").write_text("".join(traceback.format_exception(fault)))
        finally:
            if time.monotonic() - began > seconds:
                print(f"Done {runs} runs in {seconds} s", flush=True)
                (place / "figures.json").write_text(json.dumps({"runs": runs, "seconds": seconds}))
                shutil.rmtree(scratch, ignore_errors=True)
                os._exit(0)

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        chance = random.Random(number)  # half of the changes know what formats are made of
        if chance.random() < 0.5:
            return mutated(data, chance, longest)
        changed: bytes = atheris.Mutate(data, longest)
        return changed

    options = [
        f"-max_len={LONGEST_INPUT}",
        f"-rss_limit_mb={MOST_MEMORY}",
        f"-timeout={LONGEST_RUN}",
        f"-artifact_prefix={place}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(place / "corpus")], once, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
