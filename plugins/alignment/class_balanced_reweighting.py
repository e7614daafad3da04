"""Class-balanced instance reweighting."""

from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignmentMethod, Choice, Float

from .density_ratio import Array, bounded_weights, log_density_ratio


@dataclass(frozen=True)
class ClassBalancedReweighting(AlignmentMethod):
    """Prefer source images that look like the target's, and give every class the same weight.

    For i of class c: w_i = N/(K N_c) · min(a_c r_i, most), a_c such that the class's weights sum
    to N/K; K classes occur, r = p_t/p_s is the density ratio of `instance-reweighting`. A ratio
    over all classes follows the target's class frequencies as seen through the classifier's
    errors, and may starve a class. Weighting by the density ratio: Shimodaira 2000, Journal of
    Statistical Planning and Inference 90; the balance is ours.
    """

    name = "class-balanced-reweighting"
    excludes = frozenset({"random"})  # the ratio is read from the starting features

    most: float = Float(5.0, low=2.0, high=50.0, log=True)
    dims: int = Choice(32, (8, 32, 128))

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def sample_weights(self, source: Tensor, source_labels: Tensor, target: Tensor) -> Tensor:
        log_ratio = log_density_ratio(source, target, self.dims)
        weights = balanced_weights(log_ratio, source_labels.cpu().numpy(), self.most)
        return torch.from_numpy(weights).float()


def balanced_weights(log_ratio: Array, labels: np.ndarray, most: float) -> Array:
    """`bounded_weights` (N,) within each class, then scaled so that the classes weigh the same."""
    weights = np.empty(len(labels))
    classes = np.unique(labels)
    for one in classes:
        inside = labels == one
        share = len(labels) / (len(classes) * inside.sum())
        weights[inside] = share * bounded_weights(log_ratio[inside], most)
    return weights
