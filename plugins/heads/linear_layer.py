"""A linear layer from numbers that were computed elsewhere."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]

ABSENT_SCORE = -1e4
"""The score of a class without a sample."""


def linear_layer(
    rows: Array, intercepts: Array, present: NDArray[np.int64], num_classes: int
) -> nn.Linear:
    """Coefficients (P, D) and intercepts (P,) of the `present` classes (P,) as (N, D) -> (N, K)."""
    layer = nn.Linear(rows.shape[1], num_classes)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(ABSENT_SCORE)
        layer.weight[present] = torch.from_numpy(rows).to(layer.weight)
        layer.bias[present] = torch.from_numpy(intercepts).to(layer.bias)
    return layer
