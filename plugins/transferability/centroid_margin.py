"""Margin between source class centroids."""

from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import one_hot

from automl_xfer.components import TransferabilityEstimator

from .directions import centred_directions


@dataclass(frozen=True)
class CentroidMargin(TransferabilityEstimator):
    """How much nearer each target image is to one source class than to the second nearest.

    The mean of (d₂ − d₁)/d₂ over the target images, with d₁ ≤ d₂ the two smallest Euclidean
    distances of z to the class means of the source's z, and z = (x − c)/‖x − c‖ with c the domain's
    own mean.
    Between 0 and 1; 0 without a target image or a second class. The margin is that of the nearest
    class mean classifier (Mensink et al. 2013, Distance-based image classification); its use to
    choose a backbone is ours.
    """

    name = "centroid-margin"
    requires = frozenset({"source", "no_target_labels"})

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        source = centred_directions(features)
        members = one_hot(labels.cpu().unique(return_inverse=True)[1]).to(source)
        if not len(target) or members.shape[1] < 2:
            return 0.0
        centroids = members.T @ source / members.sum(0)[:, None]
        distances = torch.cdist(centred_directions(target).to(source), centroids)
        nearest, second = distances.topk(2, largest=False).values.unbind(1)
        return float(((second - nearest) / second.clamp_min(1e-12)).mean())
