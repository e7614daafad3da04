"""Cosine classifier."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from automl_xfer.components import Choice, Head

from .cosine_layer import CosineLayer


@dataclass(frozen=True)
class CosineHead(Head):
    """Score each class by the cosine to a direction that is learnt by gradient steps.

    logit_k = cos(x, w_k)/temperature, w_k random at first. Gidaris and Komodakis 2018,
    arXiv 1804.09458, who learn the temperature too, from 0.1.
    """

    name = "cosine"
    excludes = frozenset({"feature_length"})  # the length is not read

    temperature: float = Choice(0.1, (0.03, 0.1, 0.3))

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return CosineLayer(normalize(torch.randn(num_classes, feature_dim)), self.temperature)
