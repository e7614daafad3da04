"""Options of a search: every choice of the command line and of a study file, checked once."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from automl_xfer.errors import ConfigError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class SearchOptions:
    """What a user may ask of a search. Paths are kept as given, relative to the working folder."""

    target: str
    source: tuple[str, ...] = ()
    study: str | None = None
    storage: str | None = None
    studies_dir: str = "studies"
    time_limit: float = 600.0  # seconds, the whole run from data to report
    trials: int | None = None
    backbone: tuple[str, ...] = ()
    weights_dir: str | None = None
    metric: str = "accuracy"
    image_size: int | None = None
    prefer: str = "accuracy"  # or "speed" of the finished model
    max_latency_ms: float | None = None  # for one image, on the machine that searches
    device: str = "auto"
    compile: bool = False  # long training, on a GPU
    seed: int = 0
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)  # axis -> names
    plugins_dir: str | None = None
    disabled_plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without looking at data."""
        if self.time_limit < 10:
            raise ConfigError(
                f"--time-limit must be at least 10 seconds, not {self.time_limit:g}; "
                "say 10m for ten minutes"
            )
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"--trials must be at least 1, not {self.trials}")
        if self.image_size is not None and not 16 <= self.image_size <= 1024:
            raise ConfigError(f"--image-size must be between 16 and 1024, not {self.image_size}")
        if self.prefer not in ("accuracy", "speed"):
            raise ConfigError(f"--prefer must be accuracy or speed, not {self.prefer!r}")
        if self.max_latency_ms is not None and not self.max_latency_ms > 0:
            raise ConfigError(f"--max-latency-ms must be above 0, not {self.max_latency_ms:g}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"--seed must be between 0 and 2147483647, not {self.seed}")
        if self.study is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", self.study):
            raise ConfigError(
                f"--study must be letters, digits, '.', '_' or '-', at most 100 of them, "
                f"not {self.study!r}"
            )

    @property
    def study_name(self) -> str:
        """The name given, or one made from the target's."""
        if self.study:
            return self.study
        stem = Path(os.path.abspath(self.target)).stem  # noqa: PTH100 - keep symlinks as named
        return re.sub(r"[^\w.-]+", "-", stem).strip("-._") or "study"

    @property
    def directory(self) -> Path:
        """Where the study's files go."""
        return Path(self.studies_dir) / self.study_name

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON and TOML data without the options left unset."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value not in (None, (), {})
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SearchOptions":
        """Options from `to_dict`'s data; an unknown or missing key is a ConfigError."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ConfigError(
                f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        if "target" not in data:
            raise ConfigError("a search needs a target; give --target FOLDER or --target FILE.csv")
        types = get_type_hints(cls)
        values = {name: _with_tuples(value, types[name]) for name, value in data.items()}
        if isinstance(values.get("time_limit"), str):
            values["time_limit"] = parse_duration(values["time_limit"])
        for name, value in values.items():
            if not _fits(value, types[name]):
                raise ConfigError(f"{name} must be {_in_words(types[name])}, not {value!r}")
        return cls(**values)


def _with_tuples(value: Any, kind: Any) -> Any:
    """TOML's lists as tuples, and one text where several may stand as a tuple of one."""
    if get_origin(kind) is dict and isinstance(value, Mapping):
        return {name: _with_tuples(each, get_args(kind)[1]) for name, each in value.items()}
    if get_origin(kind) is tuple and isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _in_words(kind: Any) -> str:
    """What a field's type asks of a user."""
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]
    words = {
        str: "a text",
        bool: "true or false",
        int: "a whole number",
        float: "a time such as '10m'",
        tuple: "a list of texts",
        dict: "a table with a list of names for each axis",
    }
    return words[get_origin(kind) or kind]


def _fits(value: object, kind: Any) -> bool:
    """Whether a value has the type that its field declares; True is no number."""
    arguments = get_args(kind)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if get_origin(kind) is UnionType:
        return any(_fits(value, each) for each in arguments)
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(_fits(each, arguments[1]) for each in value.values())
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(each, str) for each in value)
    return isinstance(value, (int, float) if kind is float else kind)


def parse_duration(text: str) -> float:
    """`90`, `90s`, `10m`, `1h30m` -> seconds. Raises ConfigError."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise ConfigError(
            f"--time-limit must be a number with s, m, h or d, such as 10m, not {text!r}"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def read_study_file(path: Path) -> dict[str, Any]:
    """The options in a study file (TOML). Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the study file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the study file {path} is not valid TOML: {error}") from error


def write_study_file(options: SearchOptions, path: Path) -> None:
    """Write every option that is set as TOML for `read_study_file`. Raises ConfigError."""
    data = options.to_dict()
    choices = data.pop("choices", {})
    lines = [f"{name} = {_toml(value)}" for name, value in data.items()]
    if choices:
        lines += ["", "[choices]"]
        lines += [f"{axis} = {_toml(list(names))}" for axis, names in choices.items()]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the study file {path} ({error.strerror}); name another --save-config"
        ) from error


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
