"""HealthReport: what the health check found, in numbers and in plain sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing the user should know: what, where, what to do. `images` as the user wrote them."""

    severity: Severity
    code: str
    message: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """Readable images of one split, domain and class; `label` is None for unlabelled and test."""

    split: str
    domain: str
    label: str | None
    images: int


@dataclass(frozen=True)
class ImageStatistics:
    """Minimum, median and maximum of the upright sizes in pixels, and the share without colour."""

    width: tuple[int, int, int]
    height: tuple[int, int, int]
    grey_share: float


@dataclass(frozen=True)
class HealthReport:
    """State of the data before anyone trains on it.

    Duplicates are groups of images as the user wrote them. `digests` (SHA-256 by path) and
    `groups` (equal ids: same picture) serve the image cache and the splits, not the report.
    """

    counts: tuple[Count, ...]
    quarantined: tuple[tuple[str, str], ...]  # (image as given, reason)
    exact_duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    imbalance: float | None  # largest class / smallest class of the labelled target
    statistics: ImageStatistics
    findings: tuple[Finding, ...]
    digests: Mapping[Path, str] = field(repr=False)
    groups: Mapping[Path, int] = field(repr=False)

    def group_ids(self, paths: Sequence[Path]) -> NDArray[np.int64]:
        """(N,) ids for `stratified_folds`: equal for duplicates and near duplicates."""
        return np.array([self.groups[path] for path in paths], dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Everything the report shows, ready for JSON."""
        return {
            "counts": [asdict(count) for count in self.counts],
            "quarantined": [
                {"image": given, "reason": reason} for given, reason in self.quarantined
            ],
            "exact_duplicates": [list(group) for group in self.exact_duplicates],
            "near_duplicates": [list(group) for group in self.near_duplicates],
            "imbalance": self.imbalance,
            "statistics": {
                "width": list(self.statistics.width),
                "height": list(self.statistics.height),
                "grey_share": self.statistics.grey_share,
            },
            "findings": [
                {**asdict(finding), "images": list(finding.images)} for finding in self.findings
            ],
        }
