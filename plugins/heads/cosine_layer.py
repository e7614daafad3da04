"""The layer of the heads that compare directions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..regularizers.precision import widened


class CosineLayer(nn.Module):
    """(N, D) -> cosines to K directions, divided by the temperature, plus an offset per class.

    The directions `means` (K, D) train; `centre` (D,), taken off the features first, and `offset`
    (K,) are zero until set, and do not. In 32 bits or more, also under autocast: a low temperature
    magnifies what 16 bits leave of a cosine.
    """

    def __init__(self, means: Tensor, temperature: float) -> None:
        super().__init__()
        self.means = nn.Parameter(means)
        self.temperature = temperature
        self.centre: Tensor
        self.offset: Tensor
        self.register_buffer("centre", means.new_zeros(means.shape[1]))
        self.register_buffer("offset", means.new_zeros(means.shape[0]))

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            directions = normalize(widened(features) - self.centre)
            return directions @ normalize(self.means).T / self.temperature + self.offset
