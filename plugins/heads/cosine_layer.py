"""The layer of the heads that compare directions."""

from torch import Tensor, nn
from torch.nn.functional import normalize


class CosineLayer(nn.Module):
    """(N, D) -> cosines to K directions, divided by the temperature, plus an offset per class.

    The directions `means` (K, D) train; `centre` (D,), taken off the features first, and `offset`
    (K,) are zero until set, and do not.
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
        cosines = normalize(features - self.centre) @ normalize(self.means).T
        return cosines / self.temperature + self.offset
