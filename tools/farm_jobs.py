# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a bundle's job, read as its farm reads them: for tests and `make farm`, which then run them.

Open Job Description: a template whose format strings are filled in (2023-09 Template Schemas, section 7.3). Flamenco:
the tasks that its job type script makes, in Node with a stand-in of the manager.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
STAND_IN = REPOSITORY / "tests" / "farm" / "flamenco_stand_in.js"
_EXPRESSION = re.compile(r"{{\s*([\w.]+)\s*}}")
_RANGE = re.compile(r"(-?\d+)-(-?\d+):(\d+)")


@dataclass(frozen=True)
class Task:
    """A task of a job: the commands to run, and the names of the tasks that come before it."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    after: tuple[str, ...]


def filled(text: str, values: dict[str, str]) -> str:
    """A format string with its values; raises KeyError for one that is not defined."""
    return _EXPRESSION.sub(lambda match: values[match[1]], text)


def openjd_tasks(template: dict[str, Any], bundle: Path, parameters: dict[str, str]) -> list[Task]:
    """The tasks of a template of Open Job Description, in its order."""
    values = {}
    for definition in template["parameterDefinitions"]:
        value = str(parameters.get(definition["name"], definition.get("default")))
        if definition["type"] == "PATH":  # a relative default is below the template
            value = str(bundle / value)
        values[f"Param.{definition['name']}"] = value
    tasks: list[Task] = []
    for step in template["steps"]:
        action = step["script"]["actions"]["onRun"]
        after = tuple(
            task.name
            for dependency in step.get("dependencies", ())
            for task in tasks
            if task.name.split()[0] == dependency["dependsOn"]
        )
        for task_values in _parameter_space(step, values):
            command = tuple(filled(part, {**values, **task_values}) for part in (action["command"], *action["args"]))
            name = " ".join([step["name"], *task_values.values()])
            tasks.append(Task(name, (command,), after))
    return tasks


def _parameter_space(step: dict[str, Any], values: dict[str, str]) -> list[dict[str, str]]:
    """The values of a step's task parameter, of which ours has at most one."""
    definitions = step.get("parameterSpace", {}).get("taskParameterDefinitions", [])
    if not definitions:
        return [{}]
    (definition,) = definitions
    match = _RANGE.fullmatch(filled(definition["range"], values))
    assert match is not None, definition["range"]
    first, last, size = map(int, match.groups())
    return [{f"Task.Param.{definition['name']}": str(value)} for value in range(first, last + 1, size)]


def node() -> str:
    """The Node of this machine; "" where there is none."""
    return shutil.which("node") or ""


def compiled(script: Path, job: Path) -> dict[str, Any]:
    """What Flamenco's manager makes of a job; raises RuntimeError with what the script threw."""
    answer = subprocess.run([node(), str(STAND_IN), str(script), str(job)], capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def flamenco_tasks(script: Path, job: Path, blender: str) -> list[Task]:
    """The tasks of a job for Flamenco, with the commands that a worker makes of them: see its list of commands."""
    tasks = []
    for task in compiled(script, job)["tasks"]:
        commands = []
        for command in task["commands"]:
            given = command["parameters"]
            assert command["name"] == "blender-render", command["name"]
            executable = given["exe"].replace("{blender}", blender)
            arguments = given["exeArgs"].replace("{blenderArgs}", "-b -y").split()
            commands.append((executable, *arguments, *given["argsBefore"], given["blendfile"], *given["args"]))
        tasks.append(Task(task["name"], tuple(commands), tuple(task["dependencies"])))
    return tasks
