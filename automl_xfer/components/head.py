"""The head axis: what turns features into class scores."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class Head(Component):
    """Makes the classifier on pooled features. One with `fit` may require `fitted_head`."""

    axis: ClassVar[str] = "head"

    @abstractmethod
    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        """A fresh trainable module, (N, D) -> logits (N, K)."""

    def fit(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> nn.Module | None:
        """The module `build` would make, fitted without gradient steps on the backbone.

        Shapes: features (N, D) float, labels (N,) int64, weights (N,), groups (N,) int64. A class
        without a sample gets the lowest score. Samples of one group (an image and its mirror
        image) must not be parted by an inner split. None: this head has no closed form.
        """
        return None
