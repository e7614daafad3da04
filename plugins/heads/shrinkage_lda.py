"""Linear discriminant analysis with a shrunk covariance."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor, nn

from automl_xfer.components import Head

from .held_out import stratified_folds
from .linear_layer import linear_layer

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

LEAST_SHRINKAGE = 1e-6
HIGHEST_TEMPERATURE = 1e4
DIMENSIONS_PER_DEGREE = 10


@dataclass(frozen=True)
class ShrinkageLDA(Head):
    """Linear discriminants of Gaussian classes with one covariance, shrunk by Ledoit and Wolf.

    logit_k = (log π_k + m_k^T Σ⁻¹ x − ½ m_k^T Σ⁻¹ m_k) / T with π_k and m_k the class's share and
    mean, Σ = n/(n−K) · ((1−δ) S + δ (tr S / D) I), S the covariance about the class means,
    δ = min(1, (E‖r‖⁴ − ‖S‖²) / (n ‖S − (tr S / D) I‖²)), r the difference to the class mean.
    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    T, of least held-out log loss in 3 folds (D/10 where not two classes have two groups), is ours:
    few samples in many dimensions are never as far apart as they look. Shares, means and S are
    weighted by `sample_weight`, which scikit-learn's discriminant analysis cannot do; n is the
    effective number (Σ w)² / Σ w² (Kish 1965) of the groups' weights w, so that neither a mirror
    image nor a sample of next to no weight is one more sample.
    """

    name = "shrinkage-lda"
    requires = frozenset({"fitted_head"})

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return nn.Linear(feature_dim, num_classes)

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module:
        x = features.detach().double().cpu().numpy()
        present, y = np.unique(labels.cpu().numpy(), return_inverse=True)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight.double().cpu().numpy()
        group = np.arange(len(y)) if groups is None else groups.cpu().numpy()
        temperature = _temperature(x, y, weight, group)
        rows, intercepts = discriminants(x, y, weight, group)
        layer = linear_layer(rows / temperature, intercepts / temperature, present, num_classes)
        return layer.to(features.device)


def discriminants(x: Array, y: Labels, weight: Array, group: Labels) -> tuple[Array, Array]:
    """Coefficients (K, D) and intercepts (K,) of samples (N, D) of classes 0..K-1, at T = 1."""
    share = weight / weight.sum()
    centre = share @ x
    x = x - centre
    member = np.equal.outer(np.arange(y.max() + 1), y) * share
    prior = np.maximum(member.sum(1), np.finfo(float).tiny)
    means = member @ x / prior[:, None]
    effective = _effective(share, group)
    rows = _times_inverse_covariance(means, x, x - means[y], share, effective)
    return rows, np.log(prior) - (rows * means).sum(1) / 2 - rows @ centre


def _effective(share: Array, group: Labels) -> float:
    """(Σ w)² / Σ w² of the weights of the groups; `share` (N,) adds up to 1."""
    _, member = np.unique(group, return_inverse=True)
    return float(1 / np.square(np.bincount(member, share)).sum())


def _times_inverse_covariance(
    means: Array, x: Array, residuals: Array, share: Array, n: float
) -> Array:
    """Means (K, D) times the inverse of the shrunk covariance of the residuals.

    Where all residuals are 0 the covariance is the variance times I. Of fewer samples than
    dimensions the inverse is taken by the Woodbury identity, in as many dimensions as samples.
    """
    dim, few = x.shape[1], len(x) < x.shape[1]
    scaled = residuals * np.sqrt(share)[:, None]
    products = scaled @ scaled.T if few else scaled.T @ scaled
    level, total = np.trace(products) / dim, (share @ np.square(x)).mean()
    if level <= 1e-12 * total or total == 0:
        return means / (total or 1.0)
    fourth = share @ np.square(np.square(residuals).sum(1))
    shrinkage = _shrinkage(fourth, np.square(products).sum(), level, dim, n)
    scale = n / max(n - len(means), 1)
    if shrinkage == 1:
        return means / (scale * level)
    products[np.diag_indices(len(products))] += shrinkage / (1 - shrinkage) * level
    factor = cho_factor(products, lower=True, overwrite_a=True)
    if not few:
        return cho_solve(factor, means.T).T / (scale * (1 - shrinkage))
    within = cho_solve(factor, scaled @ means.T).T @ scaled
    return (means - within) / (scale * shrinkage * level)


def _shrinkage(fourth: float, squares: float, level: float, dim: int, n: float) -> float:
    """δ from E‖r‖⁴, ‖S‖² and tr S / D."""
    noise, spread = (fourth - squares) / n, squares - dim * level**2
    return float(np.clip(noise / spread, LEAST_SHRINKAGE, 1)) if spread > 0 else 1.0


def _temperature(x: Array, y: Labels, weight: Array, group: Labels) -> float:
    """T from 1 to 10,000 with the smallest log loss of samples that were not fitted."""
    parts = stratified_folds(y, group) if y.max() > 0 else []
    if not parts:
        return max(x.shape[1] / DIMENSIONS_PER_DEGREE, 1.0)
    scores = []
    for fitted, held in parts:
        rows, intercepts = discriminants(x[fitted], y[fitted], weight[fitted], group[fitted])
        scores.append(x[held] @ rows.T + intercepts)
    truth, counts = (np.concatenate([of[held] for _, held in parts]) for of in (y, weight))
    logits, samples = np.concatenate(scores), np.arange(len(truth))

    def loss(degree: float) -> float:
        return -float(counts @ log_softmax(logits / math.exp(degree), axis=1)[samples, truth])

    found = minimize_scalar(loss, bounds=(0, math.log(HIGHEST_TEMPERATURE)), method="bounded")
    return math.exp(found.x)
