"""Few samples in coordinates of the space they span."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SMALLEST = 1e-6
"""Directions whose singular value is a smaller share of the largest are rounding errors."""


def row_space(samples: Array) -> tuple[Array, Array | None]:
    """Coordinates (N, R) of samples (N, D), N < D, and the orthonormal basis (R, D) they are in.

    Of as many samples as dimensions or more: the samples themselves, and None. A linear model with
    a ridge penalty has its optimum there. By the eigenvectors of the N × N Gram matrix, several
    times faster than a singular value decomposition.
    """
    if len(samples) >= samples.shape[1]:
        return samples, None
    squares, left = np.linalg.eigh(samples @ samples.T)
    kept = squares > SMALLEST**2 * max(squares[-1], np.finfo(float).tiny)
    kept[-1] = True  # one direction at least
    size = np.sqrt(np.maximum(squares[kept], np.finfo(float).tiny))
    coordinates = left[:, kept] * size
    return coordinates, (left[:, kept] / size).T @ samples
