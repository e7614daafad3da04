"""Seeded, stratified splits for small data: no class is ever held out whole."""

import numpy as np
from numpy.typing import NDArray

from automl_xfer.errors import DataError

Indices = NDArray[np.int64]

HOLDOUT_FRACTION = 0.2


def default_folds(labels: NDArray[np.int64]) -> int:
    """5 folds up to 500 images, 3 up to 3,000, then 1, which means a 20 % hold-out.

    No more than the images of the median class, but 2 at least: a rare class does not make every
    model learn from fewer images.
    """
    n, counts = len(labels), np.bincount(labels)
    folds = 5 if n <= 500 else 3 if n <= 3000 else 1
    return min(folds, max(2, int(np.median(counts[counts > 0]))))


def stratified_folds(
    labels: NDArray[np.int64],
    n_folds: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> list[tuple[Indices, Indices]]:
    """(train indices, held-out indices) for each fold, both sorted.

    Each image of a class with two or more is held out exactly once; a class that has only one
    (or one group) stays in every fold's training part. Images of one group, such as duplicates,
    are never on both sides. `n_folds` of 1 is a hold-out. Fewer folds come back when no class
    has enough images for as many.

    Raises:
        DataError: every class has only one image.
    """
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    if n_folds == 1:
        return [holdout(labels, HOLDOUT_FRACTION, seed, groups)]
    free = _splittable(labels, groups)
    folds = min(n_folds, max(_group_counts(labels[free], groups[free]).values()))
    held_out = (free[held] for held in _held_out(labels[free], groups[free], folds, seed))
    pairs = [_sides(labels, groups, held) for held in held_out]
    return [pair for pair in pairs if len(pair[1])]


def holdout(
    labels: NDArray[np.int64],
    fraction: float,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Indices, Indices]:
    """(train indices, held-out indices): `fraction` of each class, at least one where it has two.

    Raises:
        DataError: every class has only one image.
    """
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    free = _splittable(labels, groups)
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels[free]):
        members = free[labels[free] == label]
        wanted = max(1, round(fraction * len(members)))
        for group in random.permutation(np.unique(groups[members])):
            if held[members].sum() >= wanted:
                break
            held |= groups == group
    return _sides(labels, groups, np.flatnonzero(held))


def _splittable(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> Indices:
    """Indices outside every group that holds a class's only group."""
    free = np.arange(len(labels))
    while True:
        counts = _group_counts(labels[free], groups[free])
        lonely = [label for label, count in counts.items() if count < 2]
        if not lonely:
            break
        pinned = groups[free][np.isin(labels[free], lonely)]
        free = free[~np.isin(groups[free], pinned)]
    if not len(free):
        raise DataError(
            "No class has two different images, so nothing can be held out to score a model: add "
            "at least one more image to some class."
        )
    return free


def _group_counts(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[int, int]:
    return {int(label): len(np.unique(groups[labels == label])) for label in np.unique(labels)}


def _held_out(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int
) -> list[Indices]:
    # Imported here: scikit-learn takes a second, and `automl-xfer --help` must not wait for it.
    from sklearn.model_selection import StratifiedGroupKFold

    grouped = len(np.unique(groups)) < len(groups)
    if not grouped:
        return _dealt(labels, folds, seed)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [held for _, held in splitter.split(labels, labels, groups)]


def _dealt(labels: NDArray[np.int64], folds: int, seed: int) -> list[Indices]:
    """Shuffle, sort by class and deal out like cards: any class size, folds of equal size."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(order[fold::folds]) for fold in range(folds)]


def _sides(
    labels: NDArray[np.int64], groups: NDArray[np.int64], held: Indices
) -> tuple[Indices, Indices]:
    """Both sides; groups that would take a class's last training image go back to training."""
    is_held = np.isin(np.arange(len(labels)), held)
    while True:
        unknown = is_held & ~np.isin(labels, labels[~is_held])
        if not unknown.any():
            return np.flatnonzero(~is_held), np.flatnonzero(is_held)
        is_held &= ~np.isin(groups, groups[unknown])
