"""No regularizer."""

from dataclasses import dataclass

from automl_xfer.components import Regularizer


@dataclass(frozen=True)
class NoRegularizer(Regularizer):
    """Minimise the task's loss alone."""

    name = "none"
    requires = frozenset()
    complexity = 0
