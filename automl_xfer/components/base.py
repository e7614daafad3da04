"""Component: one plugin class on one axis, and the fields that declare its search space."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from automl_xfer.errors import ComponentError

_KEY = "parameter"


class OutOfRange(ValueError):  # noqa: N818
    """A number that the search does not draw."""


class KeptInt(int):
    """A whole number out of today's range that an earlier version drew: it runs as it did."""


class KeptFloat(float):
    """A number out of today's range that an earlier version drew: it runs as it did."""


@dataclass(frozen=True)
class FloatRange:
    """Numbers from `low` to `high`, both included; `log` draws them evenly in the logarithm."""

    low: float
    high: float
    log: bool = False

    def check(self, value: object) -> float:
        """Return `value` as a float, or raise ValueError with the rule it breaks."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number, not {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"must be finite, not {value!r}")
        if not self.low <= value <= self.high:
            raise OutOfRange(f"must be between {self.low} and {self.high}, not {value!r}")
        return float(value)


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False

    def check(self, value: object) -> int:
        """Return `value`, or raise ValueError with the rule it breaks."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {value!r}")
        if not self.low <= value <= self.high:
            raise OutOfRange(f"must be between {self.low} and {self.high}, not {value!r}")
        return value


@dataclass(frozen=True)
class Options:
    """One of a few named values."""

    values: tuple[str | int | float | bool, ...]

    def check(self, value: object) -> Any:
        """Return `value`, or raise ValueError with the rule it breaks."""
        if any(value == option and type(value) is type(option) for option in self.values):
            return value
        number = isinstance(value, int | float) and math.isfinite(value)
        alike = type(value) is not bool and type(value) in map(type, self.values)
        error = OutOfRange if number and alike else ValueError
        raise error(f"must be one of {', '.join(map(repr, self.values))}, not {value!r}")


ParameterRange = FloatRange | IntRange | Options


def Float(default: float, low: float, high: float, *, log: bool = False) -> Any:  # noqa: N802
    """A component field that holds a number: default, type and search range at once."""
    return dataclasses.field(default=float(default), metadata={_KEY: FloatRange(low, high, log)})


def Int(default: int, low: int, high: int, *, log: bool = False) -> Any:  # noqa: N802
    """A component field that holds a whole number: default, type and search range at once."""
    return dataclasses.field(default=default, metadata={_KEY: IntRange(low, high, log)})


def Choice(default: Any, options: tuple[Any, ...]) -> Any:  # noqa: N802
    """A component field that holds one of `options`: default, type and search range at once."""
    return dataclasses.field(default=default, metadata={_KEY: Options(options)})


@dataclass(frozen=True)
class Component:
    """Base of every plugin class: configuration only, checked when made, plain data both ways.

    `requires` and `excludes` name facts about the data and about the components chosen before
    this one (see `automl_xfer.space.facts`); a component whose facts do not hold is never
    suggested. `provides` are the facts it adds for the axes drawn after it. `complexity` breaks
    ties: of two strategies that score alike the one with the smaller sum wins.
    """

    axis: ClassVar[str] = ""
    name: ClassVar[str] = ""
    requires: ClassVar[frozenset[str]] = frozenset()
    excludes: ClassVar[frozenset[str]] = frozenset()
    provides: ClassVar[frozenset[str]] = frozenset()
    complexity: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check every parameter against its declared range."""
        for name, allowed in self.parameter_ranges().items():
            value = getattr(self, name)
            if isinstance(value, KeptInt | KeptFloat):
                continue
            try:
                object.__setattr__(self, name, allowed.check(value))
            except ValueError as error:
                raise ComponentError(f"{self.axis} {self.name!r}: {name} {error}") from None

    def kept(self) -> dict[str, KeptInt | KeptFloat]:
        """The parameters that an earlier version drew and this one does not."""
        values = {name: getattr(self, name) for name in self.parameter_ranges()}
        return {k: v for k, v in values.items() if isinstance(v, KeptInt | KeptFloat)}

    @classmethod
    def parameter_ranges(cls) -> dict[str, ParameterRange]:
        """The searchable parameters, in the order of the class body."""
        return {f.name: f.metadata[_KEY] for f in fields(cls) if _KEY in f.metadata}

    @property
    def label(self) -> str:
        """What names this component among the candidates of its axis: its name by default."""
        return self.name

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters as plain JSON data."""
        return {"name": self.name, **{f.name: getattr(self, f.name) for f in fields(self)}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the component from `to_dict`'s data; an unknown parameter is an error.

        A number out of its range is kept: a bundle must still predict after a plugin's range
        changed.
        """
        parameters = {key: value for key, value in data.items() if key != "name"}
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(parameters) - known):
            raise ComponentError(
                f"{cls.axis} {cls.name!r} has no parameter {', '.join(unknown)}; "
                f"it has {', '.join(sorted(known)) or 'none'}"
            )
        ranges = cls.parameter_ranges()
        return cls(**{k: _kept(v, ranges[k]) if k in ranges else v for k, v in parameters.items()})


def _kept(value: Any, allowed: ParameterRange) -> Any:
    """The value, marked as kept if it is a number that `allowed` does not hold."""
    try:
        allowed.check(value)
    except OutOfRange:
        return KeptInt(value) if isinstance(value, int) else KeptFloat(value)
    except ValueError:
        pass  # the component says what is wrong
    return value
