"""Values that every database keeps alike: finite numbers, text without NUL, aware times."""

import math
import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, Integer, Text
from sqlalchemy.types import TypeDecorator

from automl_xfer.errors import StorageError


def plain(value: Any, where: str = "value") -> Any:
    """`value` as JSON data: NumPy numbers and arrays become Python's, NaN and infinities None.

    Raises StorageError that names the place of anything else.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise StorageError(
        f"{where} is a {type(value).__name__}, which JSON cannot keep; "
        "use plain numbers, text, lists and dictionaries"
    )


def plain_text(text: str) -> str:
    """`text` as valid UTF-8 without NUL, which PostgreSQL refuses."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _key(key: Any, where: str) -> str:
    if isinstance(key, str | int | np.integer) and not isinstance(key, bool):
        return plain_text(str(key))
    raise StorageError(f"{where} has the key {key!r}; JSON keys are text")


class PlainJson(TypeDecorator[Any]):
    """JSON through `plain`."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return plain(value)


class Scores(TypeDecorator[tuple[float, ...]]):
    """A row of numbers as a JSON list; NaN is null there and NaN here."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[float, ...] | None, dialect: Dialect) -> Any:
        return plain(list(value or ()))

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[float, ...]:
        return tuple(math.nan if score is None else float(score) for score in value)


class NamedScores(TypeDecorator[dict[str, float]]):
    """Numbers by name as a JSON object; NaN is null there and NaN here."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, float] | None, dialect: Dialect) -> Any:
        return plain(dict(value or {}))

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, float]:
        return {name: math.nan if score is None else score for name, score in value.items()}


class Finite(TypeDecorator[float]):
    """A number, or None for NaN and infinities."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or not math.isfinite(value) else float(value)


class Whole(TypeDecorator[int]):
    """A whole number, NumPy's too."""

    impl = BigInteger().with_variant(Integer, "sqlite")
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return None if value is None else operator.index(value)


class PlainText(TypeDecorator[str]):
    """Text of any length through `plain_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else plain_text(value)


class Utc(TypeDecorator[datetime]):
    """A time with its zone, kept as UTC; SQLite drops the zone and gets it back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise StorageError(f"the time {value} has no zone; use datetime.now(UTC)")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
