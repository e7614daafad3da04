"""The sources of a study as the report's table shows them."""

import math
from dataclasses import dataclass

from automl_xfer.study.records import SourceResult


@dataclass(frozen=True)
class SourceRow:
    """One source: images, weight, consistency, agreement, three distances, class shares apart."""

    name: str
    cells: tuple[str, ...]


def source_row(source: SourceResult) -> SourceRow:
    """A source in words; what is not known is a dash."""
    before, after = source["before"], source["after"]
    distances = (
        f"{_number(before.get(name))} → {_number(after.get(name))}"
        for name in ("proxy_a", "frechet", "mmd")
    )
    return SourceRow(
        source["name"],
        (
            f"{source['images']:,}",
            _number(source["weight"]),
            _percent(source["consistency"]),
            _percent(source["agreement"]),
            *distances,
            _number(source["prior_difference"]),
        ),
    )


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.0%}"
