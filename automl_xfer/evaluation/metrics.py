"""Metrics by name, all from confusion counts; higher is better for all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Counts = NDArray[np.float64]
"""Confusion counts (..., K, K): rows are true classes, columns predicted ones."""


def confusion_counts(labels: Labels, predicted: Labels, k: int) -> Counts:
    """Labels (..., N) and predictions (..., N) of K classes -> counts (..., K, K)."""
    cells = labels * k + predicted
    flat = cells.reshape(-1, cells.shape[-1])
    shifted = flat + np.arange(len(flat))[:, None] * k * k
    counts = np.bincount(shifted.ravel(), minlength=len(flat) * k * k)
    return counts.reshape(*cells.shape[:-1], k, k).astype(np.float64)


def _share(part: Counts, whole: Counts) -> Counts:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _hits(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1).copy()


def _accuracy(counts: Counts) -> Counts:
    return _share(_hits(counts).sum(-1), counts.sum((-2, -1)))


def _balanced_accuracy(counts: Counts) -> Counts:
    """Mean recall over the classes that have an image."""
    images = counts.sum(-1)
    return _share(_share(_hits(counts), images).sum(-1), (images > 0).sum(-1).astype(float))


def _f1(counts: Counts) -> Counts:
    return _share(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def _macro_f1(counts: Counts) -> Counts:
    """Mean F1 over the classes that are true or predicted somewhere."""
    present = (counts.sum(-1) + counts.sum(-2)) > 0
    return _share(_f1(counts).sum(-1), present.sum(-1).astype(float))


def _weighted_f1(counts: Counts) -> Counts:
    images = counts.sum(-1)
    return _share((_f1(counts) * images).sum(-1), images.sum(-1))


def _kappa(counts: Counts) -> Counts:
    total = counts.sum((-2, -1))
    chance = _share((counts.sum(-1) * counts.sum(-2)).sum(-1), total**2)
    return _share(_accuracy(counts) - chance, 1.0 - chance)


METRICS: dict[str, Callable[[Counts], Counts]] = {
    "accuracy": _accuracy,
    "balanced-accuracy": _balanced_accuracy,
    "macro-f1": _macro_f1,
    "weighted-f1": _weighted_f1,
    "cohen-kappa": _kappa,
}


_CLASSES_ALIKE = frozenset({"balanced-accuracy", "macro-f1"})


def image_counts(metric: str, labels: Labels) -> NDArray[np.float64]:
    """(N,) what each image counts, mean 1: where all classes count alike, less in a large one."""
    if metric not in _CLASSES_ALIKE:
        return np.ones(len(labels))
    _, member, images = np.unique(labels, return_inverse=True, return_counts=True)
    counts: NDArray[np.float64] = len(labels) / (len(images) * images[member])
    return counts


def score(metric: str, labels: Labels, probabilities: Probabilities) -> float:
    """The metric of the most probable classes: labels (N,), probabilities (N, K)."""
    counts = confusion_counts(labels, probabilities.argmax(1), probabilities.shape[1])
    return float(METRICS[metric](counts))


def all_scores(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Every metric by name."""
    return {name: score(name, labels, probabilities) for name in METRICS}


LEAST_PROBABILITY = 1e-6
"""What a model gives a class at least, as far as log scores are concerned."""


def mean_log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean negative log-probability of the true class, clipped at 1e-6."""
    return float(-log_scores(probabilities[np.arange(len(labels)), labels]).mean())


def log_scores(of_label: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Logarithm of what each image's own class was given, clipped at 1e-6."""
    scores: NDArray[np.float64] = np.log(np.clip(of_label, LEAST_PROBABILITY, 1.0, dtype=float))
    return scores


def per_class_recall(
    labels: Labels, probabilities: Probabilities, classes: tuple[str, ...]
) -> dict[str, float]:
    """Share of each class's images that are found; classes without an image are left out."""
    predicted = probabilities.argmax(1)
    return {
        name: float(np.mean(predicted[labels == index] == index))
        for index, name in enumerate(classes)
        if np.any(labels == index)
    }
