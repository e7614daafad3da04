"""Several linear classifiers, each on its own block of the features, that vote."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class BlockClassifiers(nn.Module):
    """(N, D) -> (N, K): Σ_b a_b log softmax(W_b x_b + c_b), x_b the b-th block of the features.

    a = softmax(`balance`): uniform at first. `balance` is a parameter if `learned`, else fixed.
    """

    def __init__(self, widths: Sequence[int], num_classes: int, *, learned: bool) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.layers = nn.ModuleList([nn.Linear(width, num_classes) for width in widths])
        balance = torch.zeros(len(self.widths))
        self.balance: Tensor
        if learned:
            self.balance = nn.Parameter(balance)
        else:
            self.register_buffer("balance", balance)

    def forward(self, features: Tensor) -> Tensor:
        blocks = features.split(self.widths, dim=1)
        pairs = zip(self.layers, blocks, strict=True)
        votes = torch.stack([layer(block).log_softmax(1) for layer, block in pairs])
        return blend(votes, self.balance)


def blend(votes: Tensor, balance: Tensor) -> Tensor:
    """Log-probabilities (B, N, K) of B classifiers and `balance` (B,) -> scores (N, K)."""
    return (votes * balance.softmax(0).to(votes)[:, None, None]).sum(0)
