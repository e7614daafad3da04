"""Bootstrap intervals over images, single and paired (percentile method, 95 %)."""

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.metrics import METRICS, Labels, Probabilities

_RESAMPLES = 1000


def bootstrap_interval(
    metric: str, labels: Labels, probabilities: Probabilities, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a metric: labels (N,), probabilities (N, K)."""
    predicted = probabilities.argmax(1)
    measure = METRICS[metric]
    values = [measure(labels[rows], predicted[rows]) for rows in _resamples(len(labels), seed)]
    return _percentiles(values)


def paired_interval(
    metric: str, labels: Labels, ours: Probabilities, theirs: Probabilities, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of metric(ours) - metric(theirs) on the same resampled images."""
    first, second = ours.argmax(1), theirs.argmax(1)
    measure = METRICS[metric]
    values = [
        measure(labels[rows], first[rows]) - measure(labels[rows], second[rows])
        for rows in _resamples(len(labels), seed)
    ]
    return _percentiles(values)


def _resamples(n: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, n, size=(_RESAMPLES, n))


def _percentiles(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
