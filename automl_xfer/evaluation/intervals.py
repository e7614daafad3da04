"""Intervals over images, 95 %: percentile bootstrap, single and paired."""

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.metrics import (
    METRICS,
    Counts,
    Labels,
    Probabilities,
    confusion_counts,
    image_counts,
)

_RESAMPLES = 1000
_Z = 1.959964  # of a normal 97.5 %
_AT_ONCE = 1_000_000
"""So many numbers of resampled images or counts in memory at a time."""


def score_interval(
    metric: str, labels: Labels, probabilities: Probabilities, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a metric: labels (N,), probabilities (N, K).

    It begins no higher than Wilson's lower bound (1927) for images that are all right: resamples of
    these do not differ, and a bootstrap would be sure of what a few images show.
    """
    low, high = _percentiles(_resampled(metric, labels, [probabilities], seed)[0])
    return min(low, _lower_bound_of_all_right(metric, labels)), high


def paired_interval(
    metric: str, labels: Labels, ours: Probabilities, theirs: Probabilities, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of metric(ours) - metric(theirs) on the same resampled images."""
    first, second = _resampled(metric, labels, [ours, theirs], seed)
    return _percentiles(first - second)


def _lower_bound_of_all_right(metric: str, labels: Labels) -> float:
    """n / (n + z²) of the accuracy, where n images of unlike weight count as Kish's fewer.

    Cohen's kappa is what this is beyond the agreement by chance.
    """
    n_effective = len(labels) ** 2 / (image_counts(metric, labels) ** 2).sum()
    low = n_effective / (n_effective + _Z**2)
    if metric == "cohen-kappa":
        chance = ((np.bincount(labels) / len(labels)) ** 2).sum()
        low = 1 - (1 - low) / max(1 - chance, 1 - low)  # no less than 0
    return float(low)


def _resampled(
    metric: str, labels: Labels, predictions: list[Probabilities], seed: int
) -> list[Counts]:
    """The metric of each prediction on 1,000 resamples of the images, the same for all."""
    n, k = predictions[0].shape
    random = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // max(n, k * k))
    predicted = [probabilities.argmax(1) for probabilities in predictions]
    values: list[list[Counts]] = [[] for _ in predictions]
    for start in range(0, _RESAMPLES, block):
        rows = random.integers(0, n, size=(min(block, _RESAMPLES - start), n))
        for found, classes in zip(values, predicted, strict=True):
            found.append(METRICS[metric](confusion_counts(labels[rows], classes[rows], k)))
    return [np.concatenate(each) for each in values]


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
