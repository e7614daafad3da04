"""How to run a study again: the command, the versions, the seed and the data's digest."""

import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from automl_xfer.study.records import StudyRecord

_PACKAGES = ("torch", "timm", "optuna", "scikit-learn", "numpy", "pillow")
_FLAGS = {"disabled_plugins": "--disable-plugin"}
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/\s]*(?=@)|(password=)[^&\s]*", re.IGNORECASE)


def command_line(study: StudyRecord) -> str:
    """The search command, one option a line; options that were left at nothing are left out.

    A password in a storage URL is replaced by dots: a report is made to be shown.
    """
    options = {"study": study.name, "seed": study.seed} | dict(study.options)
    return " \\\n  ".join(["automl-xfer search", *_arguments(options)])


def versions(study: StudyRecord) -> dict[str, str]:
    """Package -> version: automl-xfer as recorded, the others as found by this report."""
    found = {"automl-xfer": study.version, "Python": python_version(), **_plugins(study)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _plugins(study: StudyRecord) -> dict[str, str]:
    """Plugin -> version, as the study's catalog names them."""
    owners = {owner for names in study.catalog.values() for owner in names.values()}
    found = (owner.rpartition(" ") for owner in sorted(owners))
    return {name: version for name, _, version in found if name}


def _arguments(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        flag = _FLAGS.get(key, "--" + key.replace("_", "-"))
        if value is None or value is False or value == "":
            continue
        if value is True:
            yield flag
        elif isinstance(value, Mapping):  # choices by axis: --alignment none,coral
            yield from _arguments({axis: _joined(chosen) for axis, chosen in value.items()})
        elif isinstance(value, list | tuple):
            yield from (f"{flag} {_quoted(item)}" for item in value)
        else:
            yield f"{flag} {_quoted(value)}"


def _joined(chosen: Any) -> Any:
    return ",".join(map(str, chosen)) if isinstance(chosen, list | tuple) else chosen


def _quoted(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return shlex.quote(_PASSWORD.sub(r"\1\2...", text))
