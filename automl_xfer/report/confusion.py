"""The confusion matrix, or its worst pairs where there are too many classes to draw it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_CLASSES = 50
MAX_PAIRS = 20


@dataclass(frozen=True)
class Cell:
    """Images of one true class predicted as another; `share` is of the true class's images."""

    true: str
    predicted: str
    count: int
    share: float

    @property
    def correct(self) -> bool:
        """Whether this is the diagonal."""
        return self.true == self.predicted


@dataclass(frozen=True)
class Recall:
    """One class: its images, and the share that was recognised (None without images)."""

    name: str
    images: int
    value: float | None


@dataclass(frozen=True)
class Confusion:
    """What the report shows of a confusion matrix. `rows` is empty when there are too many."""

    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    worst_pairs: tuple[Cell, ...]
    recalls: tuple[Recall, ...]  # lowest first


def confusion_view(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Confusion | None:
    """Prepare counts of shape (K, K), rows true and columns predicted; None if they do not fit."""
    if not classes or [len(row) for row in counts] != [len(classes)] * len(classes):
        return None
    matrix = np.asarray(counts, dtype=np.int64)
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    cells = tuple(
        tuple(
            Cell(true, predicted, int(matrix[i, j]), float(shares[i, j]))
            for j, predicted in enumerate(classes)
        )
        for i, true in enumerate(classes)
    )
    wrong = [cell for i, row in enumerate(cells) for j, cell in enumerate(row) if i != j]
    wrong = sorted((cell for cell in wrong if cell.count), key=lambda c: (-c.count, -c.share))
    recalls = [
        Recall(name, int(total), float(share) if total else None)
        for name, total, share in zip(classes, totals, shares.diagonal(), strict=True)
    ]
    return Confusion(
        tuple(classes),
        cells if len(classes) <= MAX_CLASSES else (),
        tuple(wrong[:MAX_PAIRS]),
        tuple(sorted(recalls, key=lambda recall: (recall.value is None, recall.value or 0.0))),
    )
