"""How much a sample counts by the certainty of its prediction."""

import torch
from torch import Tensor


def certainty(probabilities: Tensor) -> Tensor:
    """1 + e^(−H) with H the entropy in nats: (N, K) -> (N,), from 1 + 1/K to 2 where certain."""
    return 1 + torch.exp(-torch.special.entr(probabilities).sum(1))
