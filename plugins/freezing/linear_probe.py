"""Linear probe."""

from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class LinearProbe(FreezingPolicy):
    """Train no backbone parameter: the head is a closed form on cached features."""

    name = "linear-probe"
    excludes = frozenset({"random"})
    provides = frozenset({"frozen", "fitted_head"})
    complexity = 0

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return False
