"""Sample weights: balance between domains and between classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_weights(
    labels: NDArray[np.int64], num_classes: int, weights: NDArray[np.floating[Any]] | None = None
) -> NDArray[np.float32]:
    """(K,) inverse class frequency, mean 1 over the samples; 0 for a class without a sample.

    `weights` (N,) say what each sample counts already, mean 1.
    """
    counts = np.bincount(labels, weights, minlength=num_classes)
    present = counts > 0
    balanced = np.zeros(num_classes, np.float32)
    balanced[present] = counts.sum() / (present.sum() * counts[present])
    return balanced


def domain_weights(sizes: list[int]) -> NDArray[np.float32]:
    """(sum of sizes,) weights that give every domain the same total; mean 1."""
    total, used = sum(sizes), sum(size > 0 for size in sizes)
    return np.concatenate(
        [np.full(size, total / (used * size), np.float32) for size in sizes if size]
    )
