"""The regularizer axis: what else the training minimises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from automl_xfer.components.base import Component
from automl_xfer.components.batch import Batch


@dataclass(frozen=True)
class Regularizer(Component):
    """Adds a term to the training loss. Needs gradient training."""

    axis: ClassVar[str] = "regularizer"
    requires: ClassVar[frozenset[str]] = frozenset({"trainable"})

    def build(self, backbone: nn.Module, head: nn.Module) -> Callable[[Batch], Tensor] | None:
        """A loss of a labelled batch, scalar and already weighted; called once a step.

        Called before the first step: the place to snapshot starting weights. None: no term.
        """
        return None
