"""LogME."""

import math
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import one_hot

from automl_xfer.components import TransferabilityEstimator

from .spectrum import spectrum

_ROUNDS = 11
_TOLERANCE = 1e-3
_TINY = 1e-12


@dataclass(frozen=True)
class LogME(TransferabilityEstimator):
    """Evidence of a Bayesian linear model from the features to each class, per image.

    For each class y is 1 on its images and 0 elsewhere, and the score the mean over the classes of
    max over α, β of [D/2·ln α + N/2·ln β − ½ Σ ln(α + β σ) − β/2 ‖y − F m‖² − α/2 ‖m‖²
    − N/2·ln 2π] / N, with σ the D squared singular values of F (0 beyond its rank) and m the
    weights' posterior mean. The fixed point γ = Σ σ/(σ + α/β), α = γ/‖m‖²,
    β = (N − γ)/‖y − F m‖² takes 11 rounds at most, which where D > N may leave it a few hundredths
    short of the maximum. You et al. 2021, arXiv 2102.11005.
    Departures: F is scaled to a mean σ of 1 within its rank, which changes no evidence but
    keeps the features' size out of the fixed point, and classes without an image are left out.
    """

    name = "log-me"
    requires = frozenset({"target_labels"})

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        left, squares = spectrum(features.detach().cpu().double())
        squares = squares / squares.mean()
        members = one_hot(labels.cpu().unique(return_inverse=True)[1]).double()
        evidences = [_evidence(left, squares, y) for y in members.unbind(1)]
        return sum(evidences) / len(evidences)


def _evidence(left: Tensor, squares: Tensor, y: Tensor) -> float:
    """The largest log-evidence of y (N,) divided by N."""
    projected = (left.T @ y) ** 2
    outside = float((y @ y - projected.sum()).clamp_min(0))
    alpha = beta = 1.0
    for _ in range(_ROUNDS):
        ratio = alpha / beta
        size, error = _posterior(squares, projected, outside, ratio)
        gamma = float((squares / (squares + ratio)).sum())
        alpha, beta = _share(gamma, size), _share(len(y) - gamma, error)
        if abs(alpha / beta - ratio) <= _TOLERANCE * ratio:
            break
    size, error = _posterior(squares, projected, outside, alpha / beta)
    volume = float(torch.log1p(squares * (beta / alpha)).sum())  # a σ of 0 adds ln α − ln α
    fit = len(y) * math.log(beta / (2 * math.pi)) - beta * error - alpha * size
    return (fit - volume) / 2 / len(y)


def _posterior(
    squares: Tensor, projected: Tensor, outside: float, ratio: float
) -> tuple[float, float]:
    """‖m‖² and ‖y − F m‖² of the weights' posterior mean at α/β = `ratio`."""
    shrunk = projected / (squares + ratio) ** 2
    return float((squares * shrunk).sum()), float((ratio**2 * shrunk).sum()) + outside


def _share(part: float, whole: float) -> float:
    return (part + _TINY) / (whole + _TINY)
