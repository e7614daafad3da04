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

    distils: ClassVar[bool] = False
    """Batches carry a teacher's probabilities: those of the best frozen strategies so far.

    The class then has a plain field `teacher: str = ""`; the search writes the teachers' strategies
    into it, as JSON.
    """

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor] | None:
        """A loss of a labelled batch, scalar and already weighted; called once a step.

        Called before the first step: the place to snapshot starting weights. `labelled()` gives
        the starting features (N, D) and labels (N,) of the images to train on. A module among
        the loss's attributes trains when the loss is an `nn.Module`. None: no term.
        """
        return None
