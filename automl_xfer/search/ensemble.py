"""Weights of an ensemble of finalists, from their held-out predictions."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.intervals import paired_interval
from automl_xfer.evaluation.metrics import log_losses, mean_log_loss

_ROUNDS = 10

_CLEARLY = 1.96
"""Standard errors."""

Weights = NDArray[np.float32]
Fits = Callable[[set[int]], bool]
"""Whether these models (places) may be in one ensemble."""


def ensemble_weights(
    metric: str,
    labels: NDArray[np.int64],
    stack: NDArray[np.float32],
    fits: Fits = lambda chosen: True,
) -> Weights:
    """(M,) weights, sum 1, of models, best first, whose probabilities are `stack` (M, N, K).

    All alike, unless the log-loss of greedy weights is clearly better: on few images greedy weights
    follow luck, and equal ones are the safer choice. The first model alone where its log-loss or
    the metric is clearly better than the ensemble's. Clearly: beyond the 95 % interval of the
    difference on the same images.
    """
    alone, equal = np.eye(len(stack), dtype=np.float32)[0], equal_weights(len(stack), fits)
    greedy = greedy_weights(labels, stack, fits)
    chosen = greedy if _clearly_better(labels, _mean(greedy, stack), _mean(equal, stack)) else equal
    first, together = stack[0], _mean(chosen, stack)
    better = _clearly_better(labels, first, together)
    return alone if better or paired_interval(metric, labels, first, together)[0] > 0 else chosen


def equal_weights(n: int, fits: Fits = lambda chosen: True) -> Weights:
    """(n,) equal weights of as many of the first models as may be together, at least one."""
    chosen = {0}
    for place in range(1, n):
        chosen |= {place} if fits({*chosen, place}) else set()
    shares = [(place in chosen) / len(chosen) for place in range(n)]
    return np.array(shares, np.float32)


def greedy_weights(
    labels: NDArray[np.int64], stack: NDArray[np.float32], fits: Fits = lambda chosen: True
) -> Weights:
    """(M,) weights by greedy forward selection with replacement on log-loss.

    Caruana et al. 2004, Ensemble selection from libraries of models (ICML). Log-loss tells more
    than accuracy on few images.
    """
    chosen: list[int] = []
    best_loss = np.inf
    for _ in range(_ROUNDS):
        totals = stack + stack[chosen].sum(0) if chosen else stack
        losses = np.array([mean_log_loss(labels, total / (len(chosen) + 1)) for total in totals])
        losses[[not fits({*chosen, place}) for place in range(len(stack))]] = np.inf
        pick = int(np.argmin(losses))
        if losses[pick] >= best_loss - 1e-4:
            break
        best_loss = losses[pick]
        chosen.append(pick)
    counts = Counter(chosen or [0])
    return np.array([counts[i] / counts.total() for i in range(len(stack))], np.float32)


def _mean(weights: Weights, stack: NDArray[np.float32]) -> NDArray[np.float32]:
    together: NDArray[np.float32] = np.tensordot(weights, stack, axes=1)
    return together


def _clearly_better(
    labels: NDArray[np.int64], ours: NDArray[np.float32], theirs: NDArray[np.float32]
) -> bool:
    """Whether our log-loss is lower by more than 1.96 standard errors of the paired difference."""
    gains = log_losses(labels, theirs) - log_losses(labels, ours)
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return bool(gains.mean() > _CLEARLY * error)
