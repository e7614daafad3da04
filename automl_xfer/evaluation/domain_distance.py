"""How far apart two domains are, by frozen features, before anything trains.

Features are (N, D) and (M, D), of any floating type; every distance is symmetric.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, svdvals
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

_SAMPLE = 500
_CONSISTENCY_SAMPLE = 1000
_FOLDS = 5
_AXES = 64
"""So many principal axes: with more the noise of a sample outweighs what the domains differ by."""
_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class DomainDistance:
    """Three views of the distance between two domains; each is about 0 for equal ones."""

    proxy_a: float | None
    """0: no linear classifier tells the domains apart; 2: one does without an error. None where
    a domain has a single image."""
    frechet: float
    """Between Gaussians on unit features, 0..4; above 0 also between two samples of one domain,
    the more the fewer images."""
    mmd: float
    """Squared maximum mean discrepancy, up to 2; unbiased, so that it may be a little below 0."""


@threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
def domain_distance(source: Features, target: Features, seed: int = 0) -> DomainDistance:
    """All three on 500 random images of each domain.

    The Fréchet distance on the first 64 principal axes of the unit features of both.
    """
    first, second = (_sample(x, _SAMPLE, seed) for x in (source, target))
    return DomainDistance(
        proxy_a=proxy_a_distance(first, second),
        frechet=frechet_distance(*_principal(_unit(first), _unit(second), _AXES)),
        mmd=squared_mmd(first, second),
    )


def proxy_a_distance(first: Features, second: Features) -> float | None:
    """2 (1 − 2 error) in 0..2 of a linear classifier between the domains, cross-validated.

    Equally many images of each, the first; logistic regression on at most 64 whitened principal
    axes of the standardised features, one axis for every four images at most. None where a domain
    has a single image.
    Ben-David et al. 2010, A theory of learning from different domains.
    """
    n = min(len(first), len(second))
    if n < 2:
        return None
    both = StandardScaler().fit_transform(np.concatenate([first[:n], second[:n]], dtype=np.float64))
    x = np.concatenate(_principal(both[:n], both[n:], min(_AXES, n // 2)))
    x /= x.std(0) + 1e-12
    domain = np.repeat([0, 1], n)
    folds = PredefinedSplit(np.tile(np.arange(n) % _FOLDS, 2))
    guessed = cross_val_predict(LogisticRegression(max_iter=1000), x, domain, cv=folds)
    return float(np.clip(2 * (1 - 2 * np.mean(guessed != domain)), 0, 2))


def frechet_distance(first: Features, second: Features) -> float:
    """‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁C₂)^½); the covariance of a single image is 0.

    tr (C₁C₂)^½ is the sum of the singular values of A Bᵀ where C₁ = AᵀA and C₂ = BᵀB.
    Heusel et al. 2017, arXiv 1706.08500.
    """
    (mean, factor), (other_mean, other) = (_moments(x) for x in (first, second))
    spread = (factor**2).sum() + (other**2).sum() - 2 * svdvals(factor @ other.T).sum()
    return float(((mean - other_mean) ** 2).sum() + max(spread, 0))


def squared_mmd(first: Features, second: Features) -> float:
    """mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y), pairs x ≠ x′; k(x, x) = 1 for a single image.

    k is the mean of exp(−‖x − y‖²/(2 c σ²)) over c = ¼, ½, 1, 2, 4, and σ² the median of ‖x − y‖²
    between all images. Gretton et al. 2012, A kernel two-sample test.
    """
    n = len(first)
    both = np.concatenate([first, second], dtype=np.float64)
    distances = euclidean_distances(both, squared=True)
    median = max(np.median(distances[np.triu_indices(len(both), 1)]), 1e-12)
    kernel = np.mean([np.exp(-distances / (2 * c * median)) for c in _BANDWIDTHS], axis=0)
    within = _mean_off_diagonal(kernel[:n, :n]) + _mean_off_diagonal(kernel[n:, n:])
    return float(within - 2 * kernel[:n, n:].mean())


def prior_difference(first_labels: Labels, second_labels: Labels, num_classes: int) -> float:
    """Total variation ½ Σ |p − q| between the class shares: 0 equal, 1 no class in common."""
    p, q = (
        np.bincount(labels, minlength=num_classes) / len(labels)
        for labels in (first_labels, second_labels)
    )
    return float(np.abs(p - q).sum() / 2)


@threadpool_limits.wrap(limits=1)
def source_consistency(features: Features, labels: Labels, seed: int = 0) -> float:
    """Share of 1,000 images (N, D) whose nearest other one, by centred cosine, is of their class.

    0 for a single image.
    """
    labels = _sample(labels, _CONSISTENCY_SAMPLE, seed)
    unit = _unit(_centred(_sample(features, _CONSISTENCY_SAMPLE, seed)))
    if len(unit) < 2:
        return 0.0
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return float(np.mean(labels[similarity.argmax(1)] == labels))


@threadpool_limits.wrap(limits=1)
def neighbour_agreement(
    source: Features, source_labels: Labels, other: Features, other_labels: Labels
) -> float:
    """Share of the images of `other` whose nearest one in `source` is of their class.

    By cosine, each domain centred on its own mean. Shapes (N, D), (N,), (M, D), (M,).
    """
    nearest = pairwise_distances_argmin(_unit(_centred(other)), _unit(_centred(source)))
    return float(np.mean(source_labels[nearest] == other_labels))


def _sample(rows: NDArray[Any], size: int, seed: int) -> NDArray[Any]:
    """At most `size` rows in random order, the same for equal lengths."""
    return rows[np.random.default_rng(seed).permutation(len(rows))[:size]]


def _centred(features: Features) -> NDArray[np.float32]:
    exact = np.asarray(features, np.float32)
    centred: NDArray[np.float32] = exact - exact.mean(0)
    return centred


def _unit(features: Features) -> NDArray[np.float32]:
    exact = np.asarray(features, np.float32)
    unit: NDArray[np.float32] = exact / (np.linalg.norm(exact, axis=1, keepdims=True) + 1e-8)
    return unit


def _principal(
    first: Features, second: Features, axes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both domains on the first principal axes of their union; signs are arbitrary."""
    both = np.concatenate([first, second], dtype=np.float64)
    both -= both.mean(0)
    wide = both.shape[1] > len(both)  # the smaller of both matrices has the same eigenvalues
    matrix = both @ both.T if wide else both.T @ both
    kept = (max(len(matrix) - axes, 0), len(matrix) - 1)
    values, vectors = eigh(matrix, subset_by_index=kept)
    scores = vectors * np.sqrt(values.clip(0)) if wide else both @ vectors
    return scores[: len(first)], scores[len(first) :]


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and a factor (r, D) whose Gram matrix is the covariance."""
    exact = np.asarray(features, np.float64)
    mean = exact.mean(0)
    scaled = (exact - mean) / np.sqrt(max(len(exact) - 1, 1))
    factor: NDArray[np.float64] = np.linalg.qr(scaled, mode="r")  # type: ignore[assignment]
    return mean, factor


def _mean_off_diagonal(kernel: NDArray[np.float64]) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1))) if n > 1 else 1.0
