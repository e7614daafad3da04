"""The transferability axis: how well a backbone's features will serve, before anything trains."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class TransferabilityEstimator(Component):
    """Scores a backbone by its frozen features; orders the start of a search, decides nothing.

    `requires` names `target_labels` where it reads labelled target features, or
    `no_target_labels` where it reads the source's and unlabelled target ones.
    """

    axis: ClassVar[str] = "transferability"

    @abstractmethod
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        """A score, higher is better, comparable between backbones on the same images.

        `features` (N, D) and `labels` (N,) are the labelled target's, or the source's where the
        target has no labels; `target` (M, D) are the unlabelled target's, (0, D) if there are none.
        """
