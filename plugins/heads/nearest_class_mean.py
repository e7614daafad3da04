"""Nearest class mean."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from automl_xfer.components import Choice, Head

from .cosine_layer import CosineLayer
from .linear_layer import ABSENT_SCORE


@dataclass(frozen=True)
class NearestClassMean(Head):
    """Score each class by the cosine to the mean of its centred, normalised features.

    z = (x − c)/‖x − c‖ with c the mean feature; logit_k = cos(z, mean of class k's z) /
    temperature. Wang et al. 2019, SimpleShot, arXiv 1911.04623 (which measures Euclidean
    distance, and c on other data). The means train by gradient where the backbone does.
    """

    name = "nearest-class-mean"
    excludes = frozenset({"feature_length"})  # the length is not read

    temperature: float = Choice(0.1, (0.03, 0.1, 0.3))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return CosineLayer(torch.randn(num_classes, feature_dim), self.temperature)

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module:
        features = features.detach().float()
        weight = features.new_ones(len(features)) if sample_weight is None else sample_weight
        weight = weight.to(features)
        centre = (weight @ features) / weight.sum()
        directions = normalize(features - centre)
        sums = features.new_zeros(num_classes, features.shape[1])
        sums.index_add_(0, labels, directions * weight[:, None])
        head = CosineLayer(normalize(sums), self.temperature)
        head.centre.copy_(centre)
        head.offset[torch.bincount(labels, minlength=num_classes) == 0] = ABSENT_SCORE
        return head
