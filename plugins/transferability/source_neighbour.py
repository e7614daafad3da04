"""Agreement of the nearest source images."""

import math
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import one_hot

from automl_xfer.components import Int, TransferabilityEstimator

from .directions import centred_directions


@dataclass(frozen=True)
class SourceNeighbour(TransferabilityEstimator):
    """How well the source images nearest to each target image agree on a class.

    (H(mean q) − mean H(q)) / ln K, with q_i the class shares among the `neighbours` source images
    of the largest cosine to target image i, each domain centred on its own mean, and K the number
    of source classes: 1 when the neighbours of each image are of one class and the images spread
    evenly over the classes, 0 when all q are alike. The first term is there because a few source
    images may be nearest to every target image and agree. 0 without a target image or a second
    class. k nearest neighbours, Cover and Hart 1967; their use without labels is ours.
    """

    name = "source-neighbour"
    requires = frozenset({"source", "no_target_labels"})

    neighbours: int = Int(5, low=2, high=20)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        members = one_hot(labels.cpu().unique(return_inverse=True)[1]).double()
        if not len(target) or members.shape[1] < 2:
            return 0.0
        cosines = centred_directions(target) @ centred_directions(features).T
        nearest = cosines.topk(min(self.neighbours, len(features))).indices
        shares = members[nearest].mean(1)
        information = _entropy(shares.mean(0)) - _entropy(shares).mean()
        return float(information) / math.log(members.shape[1])


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum(-1)
