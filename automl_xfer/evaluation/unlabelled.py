"""Choosing without target labels: gates, then validators by mean rank.

No target label can reach this module: it sees predictions on unlabelled target images and on
held-out source images only.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from automl_xfer.components import (
    MixedPredictions,
    PseudoTarget,
    UnlabelledPredictions,
    Validator,
)

SOURCE_TOLERANCE = 0.10
"""A candidate may lose this much held-out source accuracy against source-only."""

COLLAPSE_SHARE = 0.25
"""A class may shrink to this share of its part in the source-only predictions or the source."""

_VOICES = 2

_TELLING = 0.2
"""So far above chance, as a share of the way to 1, a held-out source must be predicted."""


@dataclass(frozen=True)
class Candidate:
    """One finished trial as the selection sees it."""

    target: NDArray[np.float32]  # (N_t, K)
    source: NDArray[np.float32]  # (N_s, K)
    source_labels: NDArray[np.int64]  # (N_s,)
    learnt_from: NDArray[np.bool_] | None = None  # (N_s,) False: of a source that it leaves out
    mixed: MixedPredictions | None = None
    pseudo_target: PseudoTarget | None = None

    def source_accuracy(self, rows: NDArray[np.bool_] | None = None) -> float:
        """Accuracy on held-out source images, of all or those where `rows` (N_s,) is true."""
        right = self.source.argmax(1) == self.source_labels
        return float(np.mean(right if rows is None else right[rows]))


def collapsed(candidate: Candidate, reference: Candidate | None) -> bool:
    """Whether a class that source-only predicts has all but vanished, or most classes have.

    What source-only predicts more often than the source has the class is its own collapse: no
    more than the class's share of the source is asked for. Without source-only that share alone
    is asked for.
    """
    k = candidate.target.shape[1]
    ours = np.bincount(candidate.target.argmax(1), minlength=k)
    shares = np.bincount(candidate.source_labels, minlength=k) / len(candidate.source_labels)
    expected = shares * len(candidate.target)
    if reference is not None:
        theirs = np.bincount(reference.target.argmax(1), minlength=k)
        expected = np.minimum(theirs, expected)
    gone = (ours == 0)[expected >= 1]
    return bool(np.any(ours < COLLAPSE_SHARE * expected - 1) or 2 * gone.sum() > gone.size)


def open_gates(candidates: Sequence[Candidate], reference: Candidate | None) -> list[bool]:
    """For each, whether held-out source accuracy holds and no class collapsed.

    Both against source-only. Accuracy is compared on the sources that the candidate learns from:
    to leave out a harmful one is no fault. To learn from a harmful one alone is: on its own
    sources a candidate must do at least half as well as the best of all does on theirs. Without
    source-only, the best of all on the same sources is what accuracy is compared with.
    """
    rows = [_learnt(each) for each in candidates]
    own = [each.source_accuracy(of) for each, of in zip(candidates, rows, strict=True)]
    best = max(own, default=0.0)
    others = candidates if reference is None else [reference]
    return [
        mine >= max(each.source_accuracy(of) for each in others) - SOURCE_TOLERANCE
        and mine >= 0.5 * best
        and not collapsed(candidate, reference)
        for candidate, of, mine in zip(candidates, rows, own, strict=True)
    ]


def _learnt(candidate: Candidate) -> NDArray[np.bool_] | None:
    """The rows of the sources that it learns from; None for all."""
    rows = candidate.learnt_from
    return rows if rows is not None and rows.any() else None


def pool_of(
    candidates: Sequence[Candidate],
    open_gate: Sequence[bool],
    kinds: Sequence[Hashable] | None = None,
) -> NDArray[np.float32]:
    """(N_t, K) mean prediction of the first two of each kind behind open gates.

    A method that the sampler tries often must not outvote the others. All speak where all gates
    are closed.
    """
    heard: Counter[Hashable] = Counter()
    voices = []
    for place, candidate in enumerate(candidates):
        kind = place if kinds is None else kinds[place]
        if open_gate[place] and heard[kind] < _VOICES:
            heard[kind] += 1
            voices.append(candidate)
    pool: NDArray[np.float32] = np.mean([each.target for each in voices or candidates], axis=0)
    return pool


def with_telling_sources(
    candidates: Sequence[Candidate], open_gate: Sequence[bool]
) -> list[Candidate]:
    """The candidates, without their held-out sources where these tell nothing.

    That is where not even the best of those behind open gates does much better than chance on
    its held-out source: then one of the sources is of no use. That one candidate fails there
    is what the number is to tell.
    """
    found = [
        each.pseudo_target.accuracy
        for each, gate in zip(candidates, open_gate, strict=True)
        if gate and each.pseudo_target is not None and len(each.pseudo_target.labels)
    ]
    chance = 1 / candidates[0].target.shape[1]
    if max(found, default=0.0) >= chance + _TELLING * (1 - chance):
        return list(candidates)
    return [replace(each, pseudo_target=None) for each in candidates]


def seen_of(candidate: Candidate, pool: NDArray[np.float32]) -> UnlabelledPredictions:
    """What a validator may look at of one candidate."""
    return UnlabelledPredictions(
        candidate.target,
        candidate.source,
        candidate.source_labels,
        pool,
        candidate.mixed,
        candidate.pseudo_target,
    )


def mean_ranks(
    candidates: Sequence[Candidate],
    validators: Sequence[Validator],
    reference: Candidate | None,
    kinds: Sequence[Hashable] | None = None,
) -> NDArray[np.float64]:
    """(candidates,) weighted mean rank share in 0..1 over the validators, 1 is best.

    It is -1 behind a gate. What is behind a gate has no voice in the pool, unless all are, and
    silences nobody. A validator that has nothing to say of some other candidate is not heard.
    `kinds` says which candidates are of one kind, of which two have a voice.
    """
    open_gate = open_gates(candidates, reference)
    pool = pool_of(candidates, open_gate, kinds)
    counted = [validator for validator in validators if validator.weight > 0]
    seen = [seen_of(each, pool) for each in with_telling_sources(candidates, open_gate)]
    scores = np.array([[validator.score(each) for validator in counted] for each in seen])
    ranked = np.array(open_gate if any(open_gate) else [True] * len(candidates))
    heard = np.isfinite(scores[ranked]).all(axis=0)
    weights = np.array([validator.weight for validator in counted])[heard]
    ranks = np.full(len(candidates), -1.0)
    own = rankdata(scores[ranked][:, heard], axis=0) @ weights
    ranks[ranked] = own / (weights.sum() * ranked.sum())
    return np.where(open_gate, ranks, -1.0)
