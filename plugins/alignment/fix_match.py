"""FixMatch."""

from dataclasses import dataclass

from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch, Float

from .confidence import confident_cross_entropy


@dataclass(frozen=True)
class FixMatch(AlignmentMethod):
    """Learn from a strongly varied target image what the model is sure of in the weak view.

    weight · mean of 1[max p_weak > threshold] · CE(z_strong, argmax p_weak), the weak view held
    constant. Sohn et al. 2020, arXiv 2001.07685. Departure: a threshold below the paper's 0.95 is
    allowed, as across domains the model is less sure. The views are those of `weak-strong`, the one
    first-party augmentation that goes with it.
    """

    name = "fix-match"
    requires = frozenset({"unlabelled", "trainable"})
    provides = frozenset({"two_views"})
    two_views = True
    complexity = 2

    threshold: float = Float(0.9, low=0.7, high=0.95)
    weight: float = Float(1.0, low=0.1, high=10.0, log=True)

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return _FixMatchLoss(self.threshold, self.weight)


class _FixMatchLoss(nn.Module):
    def __init__(self, threshold: float, weight: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.weight = weight

    def forward(self, source: Batch, target: Batch, progress: float) -> Tensor:
        assert target.strong is not None
        strong, weak = target.strong.logits, target.logits
        return self.weight * confident_cross_entropy(strong, weak, self.threshold)
