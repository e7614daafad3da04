"""Pruning on few folds: paired tests per image against the best trial on the same folds.

Rank tests over fold scores (Wilcoxon) cannot reject with fewer than five folds. The folds of a
study are the same for all trials, so the images are pairs: McNemar's normal approximation on the
images that exactly one of the two got right, and Wilcoxon's signed ranks of their log scores, which
tell more where images are few.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

_MARGIN = 0.10
"""Only what is right on so many images fewer, as a share of all, may be hopeless at all."""

_LEAST = 2
"""And no fewer than so many: on a small fold one image is a tenth of it."""

_Z = 2.0  # McNemar, one-sided 2.3 %
_P = 0.01  # Wilcoxon, one-sided


@dataclass
class ImageScores:
    """What a trial made of each image, row by row, as its folds come in: right, and log score."""

    by_row: dict[int, tuple[bool, float]] = field(default_factory=dict)

    def add(
        self, rows: NDArray[np.int64], correct: NDArray[np.bool_], log_scores: NDArray[np.float64]
    ) -> None:
        """Take in the images (N,) of one fold."""
        made = zip(correct.tolist(), log_scores.tolist(), strict=True)
        self.by_row.update(zip(rows.tolist(), made, strict=True))


def is_hopeless(trial: ImageScores, best: ImageScores) -> bool:
    """Whether `trial` is so far behind `best` on its images that more folds will not mend it."""
    rows = [row for row in trial.by_row if row in best.by_row]
    if not rows:
        return False
    right, log_scores = np.array([trial.by_row[row] for row in rows]).T
    best_right, best_log_scores = np.array([best.by_row[row] for row in rows]).T
    lost, won = int((best_right > right).sum()), int((right > best_right).sum())
    if lost - won < max(_LEAST, _MARGIN * len(rows)):
        return False
    if (lost - won) / math.sqrt(lost + won) > _Z:
        return True
    worse = wilcoxon(log_scores - best_log_scores, alternative="less")
    return bool(worse.pvalue < _P)
