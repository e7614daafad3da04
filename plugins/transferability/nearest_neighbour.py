"""Leave-one-out nearest neighbour."""

from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import TransferabilityEstimator

from .directions import centred_directions


@dataclass(frozen=True)
class NearestNeighbour(TransferabilityEstimator):
    """Share of the labelled images whose nearest other one is of their class.

    1/N Σ_i [y_i = y_j(i)], with j(i) the j ≠ i of the largest cosine between centred features;
    0 for a single image. Cover and Hart 1967, Nearest neighbor pattern classification; for
    choosing a backbone Renggli et al. 2022, arXiv 2010.06402.
    """

    name = "nearest-neighbour"
    requires = frozenset({"target_labels"})
    complexity = 0

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        if len(features) < 2:
            return 0.0
        directions, labels = centred_directions(features), labels.cpu()
        similarity = (directions @ directions.T).fill_diagonal_(-torch.inf)
        return float((labels[similarity.argmax(1)] == labels).double().mean())
