"""Metrics by name: higher is better for all of them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def _accuracy(labels: Labels, predicted: Labels) -> float:
    return float(np.mean(labels == predicted))


def _balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    return float(balanced_accuracy_score(labels, predicted))


def _macro_f1(labels: Labels, predicted: Labels) -> float:
    return float(f1_score(labels, predicted, average="macro", zero_division=0.0))


def _weighted_f1(labels: Labels, predicted: Labels) -> float:
    return float(f1_score(labels, predicted, average="weighted", zero_division=0.0))


def _kappa(labels: Labels, predicted: Labels) -> float:
    if len(np.unique(np.concatenate([labels, predicted]))) < 2:
        return 0.0
    return float(cohen_kappa_score(labels, predicted))


METRICS: dict[str, Callable[[Labels, Labels], float]] = {
    "accuracy": _accuracy,
    "balanced-accuracy": _balanced_accuracy,
    "macro-f1": _macro_f1,
    "weighted-f1": _weighted_f1,
    "cohen-kappa": _kappa,
}


def score(metric: str, labels: Labels, probabilities: Probabilities) -> float:
    """The metric of the most probable classes: labels (N,), probabilities (N, K)."""
    return METRICS[metric](labels, probabilities.argmax(1))


def all_scores(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Every metric by name."""
    return {name: score(name, labels, probabilities) for name in METRICS}


def mean_log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean negative log-probability of the true class, clipped at 1e-6."""
    picked = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(picked, 1e-6, 1.0)).mean())


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
