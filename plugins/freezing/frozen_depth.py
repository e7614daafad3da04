"""Frozen depth."""

from dataclasses import dataclass

from automl_xfer.components import Float, FreezingPolicy, ParameterInfo

from .depth import above


@dataclass(frozen=True)
class FrozenDepth(FreezingPolicy):
    """Freeze the first fraction of the backbone's stages; the last one always trains.

    Yosinski et al. 2014, How transferable are features in deep neural networks, arXiv 1411.1792.
    """

    name = "frozen-depth"
    requires = frozenset({"stages"})
    excludes = frozenset({"random", "fused"})

    depth: float = Float(0.5, low=0.0, high=1.0)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return above(self.depth, parameter)
