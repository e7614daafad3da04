"""Full fine-tuning."""

from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class FullFineTuning(FreezingPolicy):
    """Train every parameter from the first step."""

    name = "full"
    excludes = frozenset({"fused"})

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return True
