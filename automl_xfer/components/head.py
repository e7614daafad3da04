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

    @property
    def stages_read(self) -> int:
        """How many of the backbone's last stages the head reads; 1: the pooled features alone.

        More than one: features are those stages' channel means, each of unit mean square, side
        by side, the last the pooled features.
        """
        return 1

    def on_stages(self, widths: tuple[int, ...]) -> "Head":
        """The head for features that are blocks of these widths; called if it reads several."""
        return self

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
