"""Logistic regression."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from automl_xfer.components import Choice, Float, Head

Array = NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MAX_TUNING_SAMPLES = 1500
ABSENT_SCORE = -1e4


@dataclass(frozen=True)
class LogisticRegressionHead(Head):
    """Multinomial logistic regression on standardised features, fitted by L-BFGS.

    Minimises ½‖W‖² + C Σ_i w_i CE(W z_i + b, y_i) with z = (x − mean)/std, and folds the
    standardisation into one linear layer. With `cross_validate`, C is the one of `STRENGTHS` with
    the smallest log loss in stratified 3-fold cross-validation, where every class that is there
    has two samples; else C is `strength`.
    """

    name = "logistic-regression"
    provides = frozenset({"closed-form"})

    strength: float = Float(1e-2, low=1e-4, high=1e2, log=True)
    cross_validate: bool = Choice(True, (True, False))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return nn.Linear(feature_dim, num_classes)

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
    ) -> nn.Module:
        x, y = features.detach().double().cpu().numpy(), labels.cpu().numpy()
        weight = np.ones(len(y)) if sample_weight is None else sample_weight.double().cpu().numpy()
        mean, std = x.mean(0), x.std(0)
        std[std < 1e-6 * max(std.max(), 1e-12)] = np.inf  # a constant feature says nothing
        present, y = np.unique(y, return_inverse=True)
        rows, bias = self._solve((x - mean) / std, y, weight)
        rows = rows / std
        coefficients = np.zeros((num_classes, x.shape[1]))
        intercepts = np.full(num_classes, ABSENT_SCORE)
        coefficients[present], intercepts[present] = rows, bias - rows @ mean
        return _linear(coefficients, intercepts).to(features.device)

    def _solve(self, z: Array, y: NDArray[np.int64], weight: Array) -> tuple[Array, Array]:
        """Coefficients (K, D) and intercepts (K,) of the K classes that are there."""
        if y.max() == 0:
            return np.zeros((1, z.shape[1])), np.zeros(1)
        rotated, basis = _row_space(z)
        strength = self.strength
        if self.cross_validate and np.bincount(y).min() >= 2:
            strength = _best_strength(rotated, y, weight)
        model = _regression(strength).fit(rotated, y, weight)
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # scikit-learn gives two classes one row: the difference of the two
            rows, bias = np.vstack([-rows, rows]) / 2, np.append(-bias, bias) / 2
        return rows @ basis, bias


def _row_space(z: Array) -> tuple[Array, Array]:
    """Coordinates of few samples in the space they span: the penalty keeps the optimum there."""
    if len(z) >= z.shape[1]:
        return z, np.eye(z.shape[1])
    left, scale, basis = np.linalg.svd(z, full_matrices=False)
    return left * scale, basis


def _best_strength(z: Array, y: NDArray[np.int64], weight: Array) -> float:
    losses = np.zeros(len(STRENGTHS))
    folds = StratifiedKFold(min(3, int(np.bincount(y).min())), shuffle=True, random_state=0)
    for train, test in folds.split(z, y):
        losses += [_held_out_loss(strength, z, y, weight, train, test) for strength in STRENGTHS]
    return STRENGTHS[int(losses.argmin())]


def _held_out_loss(strength, z, y, weight, train, test) -> float:
    model = _regression(strength).fit(z[train], y[train], weight[train])
    return log_loss(y[test], model.predict_proba(z[test]), sample_weight=weight[test])


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=500, tol=1e-4)


def _linear(coefficients: Array, intercepts: Array) -> nn.Linear:
    head = nn.Linear(coefficients.shape[1], coefficients.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(coefficients))
        head.bias.copy_(torch.from_numpy(intercepts))
    return head
