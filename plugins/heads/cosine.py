"""Cosine classifier."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.functional import normalize

from automl_xfer.components import Choice, Head

from .cosine_layer import CosineLayer
from .linear_layer import ABSENT_SCORE
from .row_space import row_space
from .softmax_regression import softmax_errors

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

MOST_STEPS = 100
TOLERANCE = 1e-4


@dataclass(frozen=True)
class CosineHead(Head):
    """Score each class by the cosine to a direction that is learnt.

    logit_k = cos(x, w_k)/temperature. Gidaris and Komodakis 2018, arXiv 1804.09458, who learn the
    temperature too, from 0.1. On features that do not change the directions, in the space that the
    samples span, minimise the cross-entropy, by at most 100 steps of L-BFGS from the class means:
    as cosines are bounded they need no penalty. Where the backbone trains they train with it, from
    random ones or, after a linear probe, from these.
    """

    name = "cosine"
    excludes = frozenset({"feature_length"})  # the length is not read

    temperature: float = Choice(0.1, (0.03, 0.1, 0.3))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return CosineLayer(normalize(torch.randn(num_classes, feature_dim)), self.temperature)

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module:
        z = normalize(features.detach().double()).cpu().numpy()
        present, y = np.unique(labels.cpu().numpy(), return_inverse=True)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight.double().cpu().numpy()
        turned, basis = row_space(z)
        found = _directions(turned, y, weight / weight.sum(), self.temperature)
        found = found if basis is None else found @ basis
        means = np.zeros((num_classes, z.shape[1]))
        means[present] = found
        head = CosineLayer(torch.from_numpy(means).to(features.device).float(), self.temperature)
        head.offset += ABSENT_SCORE
        head.offset[torch.from_numpy(present)] = 0.0
        return head


def _directions(z: Array, y: Labels, share: Array, temperature: float) -> Array:
    """(P, D) of length 1, for samples (N, D) of length 1, classes 0..P-1 and shares of the loss."""
    rows = np.arange(len(y))
    start = np.zeros((y.max() + 1, z.shape[1]))
    np.add.at(start, y, z)
    start[_lengths(start)[:, 0] < 1e-6] = 1.0  # from no direction there is no way
    start /= _lengths(start)

    def loss(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(start.shape)
        length = _lengths(w)
        unit = w / length
        errors, losses = softmax_errors(z @ unit.T / temperature, y, rows)
        slope = (errors * share[:, None]).T @ z / temperature
        slope -= unit * (slope * unit).sum(1, keepdims=True)  # a direction's length is free
        return share @ losses, (slope / length).ravel()

    options = {"maxiter": MOST_STEPS, "gtol": TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    w = found.x.reshape(start.shape)
    return w / _lengths(w)


def _lengths(rows: Array) -> Array:
    lengths: Array = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.maximum(lengths, 1e-12)
