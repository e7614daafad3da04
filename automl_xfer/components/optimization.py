"""The optimization axis: optimizer, learning rates, length of training and class weights."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.optim import Optimizer

from automl_xfer.components.base import Component


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share one learning rate: the component's own times `scale`."""

    parameters: Sequence[nn.Parameter]
    scale: float


@dataclass(frozen=True)
class Optimization(Component):
    """How the gradient steps are made. Subclasses declare the ranges of the fields below.

    The head learns at `learning_rate`, the backbone at `learning_rate * backbone_scale`, and each
    stage further down at `layer_decay` times the one above it.
    """

    axis: ClassVar[str] = "optimization"
    requires: ClassVar[frozenset[str]] = frozenset({"trainable"})

    epochs: int = 0
    batch_size: int = 32
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    backbone_scale: float = 1.0
    layer_decay: float = 1.0
    balance_classes: bool = False
    """Weight each sample by the inverse frequency of its class."""

    @abstractmethod
    def build(self, groups: Sequence[ParameterGroup]) -> Optimizer:
        """The optimizer over `groups`, with each group's own learning rate."""

    def schedule(self, progress: float) -> float:
        """Learning-rate factor at `progress` 0..1: linear warm-up over 10 %, then a cosine."""
        warm_up = 0.1
        if progress < warm_up:
            return max(progress / warm_up, 0.05)
        return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
