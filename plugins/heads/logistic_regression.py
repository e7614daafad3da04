"""Logistic regression."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_xfer.components import Choice, Head

from .held_out import stratified_folds
from .linear_layer import linear_layer
from .row_space import row_space
from .softmax_regression import mean_log_loss, softmax_regression

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
DEFAULT_STRENGTH = 1e-2


@dataclass(frozen=True)
class LogisticRegressionHead(Head):
    """Multinomial logistic regression on centred, scaled features, fitted by L-BFGS.

    Minimises ½‖W‖² + C Σ_i w_i CE(W z_i + b, y_i) with z = (x − mean)/s, s² the mean variance of
    the features, and folds both into one linear layer. One scale for all features keeps the
    quiet ones quiet; with few labels that is worth up to a point of accuracy. `strength` is C;
    "cross-validated" takes the one of `STRENGTHS` with the smallest log loss in stratified 3-fold
    cross-validation (on at most 1,000 groups), or 0.01 where not two classes have two.
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
        problem = _problem(features, labels, sample_weight, groups)
        rows, bias = self._solve(problem)
        rows = rows / problem.scale
        bias = bias - rows @ problem.mean
        return linear_layer(rows, bias, problem.present, num_classes).to(features.device)

    def tuned(
        self,
        features: Tensor,
        labels: Tensor,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> "LogisticRegressionHead":
        """This head with the strength that it would cross-validate on these samples."""
        problem = _problem(features, labels, sample_weight, groups)
        return replace(self, strength=self._strength(problem))

    def _strength(self, problem: "_Problem") -> float:
        if self.strength != "cross-validated":
            return float(self.strength)
        if problem.y.max() == 0:
            return DEFAULT_STRENGTH
        return _best_strength(problem) or DEFAULT_STRENGTH

    def _solve(self, problem: "_Problem") -> tuple[Array, Array]:
        """Coefficients (K, D) and intercepts (K,) of the K classes that are there."""
        if problem.y.max() == 0:
            return np.zeros((1, len(problem.mean))), np.zeros(1)
        z, y, weight = problem.z, problem.y, problem.weight
        found = softmax_regression(z, y, weight, self._strength(problem), problem.start)
        rows, bias = found[:, :-1], found[:, -1]
        return (rows if problem.basis is None else rows @ problem.basis), bias


@dataclass(frozen=True)
class _Problem:
    """Samples as the solver takes them: z (N, D) or, of few samples, (N, R) in `basis` (R, D)."""

    z: Array
    basis: Array | None
    y: Labels  # (N,) 0..P-1
    present: Labels  # (P,) the classes behind them
    weight: Array
    group: Labels
    mean: Array
    scale: float

    @property
    def start(self) -> Array:
        """Where the solver begins."""
        return np.zeros((len(self.present), self.z.shape[1] + 1))


def _problem(
    features: Tensor, labels: Tensor, sample_weight: Tensor | None, groups: Tensor | None
) -> _Problem:
    x = features.detach().double().cpu().numpy()
    present, y = np.unique(labels.cpu().numpy(), return_inverse=True)
    weight = np.ones(len(y)) if sample_weight is None else sample_weight.double().cpu().numpy()
    group = np.arange(len(y)) if groups is None else groups.cpu().numpy()
    mean, scale = x.mean(0), max(float(np.sqrt(x.var(0).mean())), 1e-12)
    z, basis = row_space((x - mean) / scale)
    return _Problem(z, basis, y, present, weight, group, mean, scale)


def _best_strength(problem: _Problem) -> float | None:
    """The C with the smallest held-out log loss; None where not two classes have two groups."""
    z, y, weight = problem.z, problem.y, problem.weight
    parts = stratified_folds(y, problem.group)
    if not parts:
        return None
    found = [problem.start] * len(parts)
    best, best_loss = STRENGTHS[0], np.inf
    for strength in STRENGTHS:  # upwards: each fit starts from the one before
        loss = 0.0
        for place, (fitted, held_out) in enumerate(parts):
            samples = z[fitted], y[fitted], weight[fitted]
            found[place] = softmax_regression(*samples, strength, found[place], tolerance=1e-3)
            loss += mean_log_loss(z[held_out], y[held_out], weight[held_out], found[place])
        if loss > best_loss:  # one valley: what follows is worse, and slow
            break
        best, best_loss = strength, loss
    return best
