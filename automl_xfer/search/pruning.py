"""Pruning on few folds: a paired test per image against the best trial on the same folds.

Rank tests over fold scores (Wilcoxon) cannot reject with fewer than five folds. The folds of a
study are the same for all trials, so the images are pairs: McNemar's normal approximation on the
images that exactly one of the two got right.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from automl_xfer.search.trial import TrialStep

_Z = 2.0  # one-sided 2.3 %
_MARGIN = 0.10  # on few images: only what is behind by a tenth of them


@dataclass
class CorrectImages:
    """Which images a trial got right, row by row, as its folds come in."""

    by_row: dict[int, bool] = field(default_factory=dict)

    def add(self, step: TrialStep) -> None:
        """Take in one fold."""
        self.by_row.update(zip(step.rows.tolist(), step.correct.tolist(), strict=True))


def is_hopeless(trial: CorrectImages, best: CorrectImages) -> bool:
    """Whether `trial` is so far behind `best` on its images that more folds will not mend it."""
    rows = [row for row in trial.by_row if row in best.by_row]
    ours = np.array([trial.by_row[row] for row in rows])
    theirs = np.array([best.by_row[row] for row in rows])
    lost, won = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    if lost - won < _MARGIN * len(rows):
        return False
    return lost > won and (lost - won) / math.sqrt(lost + won) > _Z


def correct_images(rows: NDArray[np.int64], correct: NDArray[np.bool_]) -> CorrectImages:
    """From a stored trial's predictions."""
    return CorrectImages(dict(zip(rows.tolist(), correct.tolist(), strict=True)))
