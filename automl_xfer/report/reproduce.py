"""How to run a study again: the command, the versions, the seed and the data's digest."""

import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from automl_xfer.study.records import StudyRecord

_PACKAGES = ("torch", "timm", "optuna", "scikit-learn", "numpy", "pillow")


def command_line(study: StudyRecord) -> str:
    """The search command, one option a line; options that were left at nothing are left out.

    `study.options["command"]`, where it is kept, is the command itself.
    """
    if command := study.options.get("command"):
        return command if isinstance(command, str) else shlex.join(map(str, command))
    options = {"study": study.name, "seed": study.seed} | dict(study.options)
    return " \\\n  ".join(["automl-xfer search", *_arguments(options)])


def versions(study: StudyRecord) -> dict[str, str]:
    """Package -> version: automl-xfer as recorded, the others as found by this report."""
    found = {"automl-xfer": study.version, "Python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _arguments(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        flag = "--" + str(key).replace("_", "-")
        if value is None or value is False or value == "":
            continue
        if value is True:
            yield flag
        elif isinstance(value, Mapping):  # choices by axis: --alignment none,coral
            yield from _arguments({axis: _joined(chosen) for axis, chosen in value.items()})
        elif isinstance(value, list | tuple):
            yield from (f"{flag} {shlex.quote(str(item))}" for item in value)
        else:
            yield f"{flag} {shlex.quote(str(value))}"


def _joined(chosen: Any) -> Any:
    return ",".join(map(str, chosen)) if isinstance(chosen, list | tuple) else chosen
