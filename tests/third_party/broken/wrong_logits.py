"""Broken on purpose: logits for one class more than there is, and no docstring on the class."""

from dataclasses import dataclass

from torch import nn

from automl_xfer import hookimpl
from automl_xfer.components import Head


@dataclass(frozen=True)
class WithBackground(Head):
    name = "with-background"

    def build(self, feature_dim: int, num_classes: int) -> nn.Module:
        return nn.Linear(feature_dim, num_classes + 1)


@hookimpl
def register_heads() -> list[type[Head]]:
    return [WithBackground]
