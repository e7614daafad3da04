"""Linear head."""

from dataclasses import dataclass

from torch import nn

from automl_xfer.components import Head


@dataclass(frozen=True)
class LinearHead(Head):
    """One linear layer, randomly initialised and trained by gradient steps: Wx + b."""

    name = "linear"
    excludes = frozenset({"frozen"})
    complexity = 0

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return nn.Linear(feature_dim, num_classes)
