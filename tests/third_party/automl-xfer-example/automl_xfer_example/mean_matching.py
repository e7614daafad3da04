"""Mean matching."""

from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float


@dataclass(frozen=True)
class MeanMatching(AlignmentMethod):
    """Pull the mean features of source and target together.

    weight · ‖m_s − m_t‖² / D, with m the mean of the (N, D) features of each batch: the MMD of a
    linear kernel, per feature. Tzeng et al. 2014, arXiv 1412.3474 (which takes no square).
    """

    name = "mean-matching"
    requires = frozenset({"source", "trainable"})

    weight: float = Float(1.0, low=0.1, high=10.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _Loss(self.weight)


class _Loss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        difference = source.features.float().mean(0) - target.features.float().mean(0)
        return self.weight * difference.square().mean()
