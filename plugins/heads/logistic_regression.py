"""Logistic regression."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from automl_xfer.components import Choice, Head

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
DEFAULT_STRENGTH = 1e-2
FOLDS = 3
MAX_TUNING_GROUPS = 1000
ABSENT_SCORE = -1e4
ONE_THREAD_SIZE = 10_000_000
"""Up to this many numbers one thread fits: two processes' threads slow each other tenfold."""


@dataclass(frozen=True)
class LogisticRegressionHead(Head):
    """Multinomial logistic regression on centred, scaled features, fitted by L-BFGS.

    Minimises ½‖W‖² + C Σ_i w_i CE(W z_i + b, y_i) with z = (x − mean)/s, s² the mean variance of
    the features, and folds both into one linear layer. One scale for all features keeps the
    quiet ones quiet; with few labels that is worth up to a point of accuracy. `strength` is C;
    "cross-validated" takes the one of `STRENGTHS` with the smallest log loss in stratified 3-fold
    cross-validation (on at most 1,000 groups), or 0.01 where a class has a single group.
    """

    name = "logistic-regression"
    requires = frozenset({"fitted_head"})

    strength: str | float = Choice("cross-validated", ("cross-validated", *STRENGTHS))

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
        mean, scale = x.mean(0), max(np.sqrt(x.var(0).mean()), 1e-12)
        with threadpool_limits(1 if x.size <= ONE_THREAD_SIZE else None):
            rows, bias = self._solve((x - mean) / scale, y, weight, group)
        coefficients = np.zeros((num_classes, x.shape[1]))
        intercepts = np.full(num_classes, ABSENT_SCORE)
        coefficients[present] = rows / scale
        intercepts[present] = bias - coefficients[present] @ mean
        return _linear(coefficients, intercepts).to(features.device)

    def _solve(self, z: Array, y: Labels, weight: Array, group: Labels) -> tuple[Array, Array]:
        """Coefficients (K, D) and intercepts (K,) of the K classes that are there."""
        if y.max() == 0:
            return np.zeros((1, z.shape[1])), np.zeros(1)
        z, basis = _row_space(z)
        strength = self.strength
        if strength == "cross-validated":
            strength = _best_strength(z, y, weight, group) or DEFAULT_STRENGTH
        model = _regression().set_params(C=strength).fit(z, y, weight)
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # scikit-learn gives two classes one row: the difference of the two
            rows, bias = np.vstack([-rows, rows]) / 2, np.append(-bias, bias) / 2
        return (rows if basis is None else rows @ basis), bias


def _row_space(z: Array) -> tuple[Array, Array | None]:
    """Few samples in coordinates of the space they span: the penalty keeps the optimum there."""
    if len(z) >= z.shape[1]:
        return z, None
    left, scale, basis = np.linalg.svd(z, full_matrices=False)
    return left * scale, basis


def _best_strength(z: Array, y: Labels, weight: Array, group: Labels) -> float | None:
    """The C with the smallest held-out log loss; None where a class has a single group."""
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    fewest = int(np.bincount(y[first]).min())
    if fewest < 2:
        return None
    used = _tuning_groups(y[first])
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=0)
    parts = [
        (np.isin(member, used[train]), np.isin(member, used[test]))
        for train, test in folds.split(used, y[first][used])
    ]
    models = [_regression(tol=1e-3) for _ in parts]
    best, best_loss = STRENGTHS[0], np.inf
    for strength in STRENGTHS:  # upwards: each fit starts from the one before
        loss = 0.0
        for model, (fitted, held_out) in zip(models, parts, strict=True):
            model.set_params(C=strength).fit(z[fitted], y[fitted], weight[fitted])
            predicted = model.predict_proba(z[held_out])
            loss += log_loss(y[held_out], predicted, sample_weight=weight[held_out])
        if loss > best_loss:  # one valley: what follows is worse, and slow
            break
        best, best_loss = strength, loss
    return best


def _tuning_groups(labels: Labels) -> Labels:
    """Random groups, as many of each class as fit in `MAX_TUNING_GROUPS`, one per fold at least."""
    order = np.random.default_rng(0).permutation(len(labels))
    share = max(MAX_TUNING_GROUPS // (labels.max() + 1), FOLDS)
    return np.sort(
        np.concatenate([order[labels[order] == k][:share] for k in range(labels.max() + 1)])
    )


def _regression(tol: float = 1e-4) -> LogisticRegression:
    return LogisticRegression(max_iter=300, tol=tol, warm_start=True)


def _linear(coefficients: Array, intercepts: Array) -> nn.Linear:
    head = nn.Linear(coefficients.shape[1], coefficients.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(coefficients))
        head.bias.copy_(torch.from_numpy(intercepts))
    return head
