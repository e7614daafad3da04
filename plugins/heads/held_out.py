"""Splits of the labelled samples, for what a head tunes on those that it was not fitted on."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

FOLDS = 3
MAX_GROUPS = 1000

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def stratified_folds(y: Labels, group: Labels) -> list[tuple[Mask, Mask]]:
    """Masks (N,) of the fitted and the held-out samples of up to three folds; groups stay whole.

    `y` (N,) has every class of 0..P-1. At most 1,000 groups take part, random ones, as many of
    each class. A class with a single group is fitted in every fold; empty where not two have
    more.
    """
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    counts = np.bincount(y[first])
    several = counts >= 2
    if several.sum() < 2:
        return []
    used = _some_groups(y[first])
    shared = several[y[first][used]]
    single, used = used[~shared], used[shared]
    folds = StratifiedKFold(min(FOLDS, counts[several].min()), shuffle=True, random_state=0)
    return [
        (np.isin(member, [*used[train], *single]), np.isin(member, used[test]))
        for train, test in folds.split(used, y[first][used])
    ]


def _some_groups(labels: Labels) -> Labels:
    """Random groups, as many of each class as fit in `MAX_GROUPS`, one per fold at least."""
    order = np.random.default_rng(0).permutation(len(labels))
    share = max(MAX_GROUPS // (labels.max() + 1), FOLDS)
    return np.sort(
        np.concatenate([order[labels[order] == k][:share] for k in range(labels.max() + 1)])
    )
