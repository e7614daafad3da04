"""No gradient steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from automl_xfer.components import Choice, Optimization, ParameterGroup
from automl_xfer.errors import ComponentError


@dataclass(frozen=True)
class ClosedForm(Optimization):
    """Fit the head on frozen features in closed form; there is nothing to step."""

    name = "closed-form"
    requires = frozenset({"frozen"})
    complexity = 0

    balance_classes: bool = Choice(False, (False, True))

    def build(self, groups: Sequence[ParameterGroup]) -> Optimizer:
        """Raises ComponentError: a strategy that trains by gradient needs another component."""
        raise ComponentError(
            "optimization 'closed-form' makes no gradient steps: "
            "choose a frozen backbone for it, or 'adamw' or 'sgd'."
        )
