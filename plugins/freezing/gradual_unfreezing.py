"""Gradual unfreezing."""

from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, Int, ParameterInfo


@dataclass(frozen=True)
class GradualUnfreezing(FreezingPolicy):
    """Train the top stage first, and one more stage below it every `epochs_per_stage` epochs.

    In epoch e (0-based) the top 1 + ⌊e / epochs_per_stage⌋ stages train. Howard and Ruder 2018
    (ULMFiT), arXiv 1801.06146, with one epoch per stage. Departure: the head trains together with
    the top stage from the first epoch; there it is the first layer group of its own.
    """

    name = "gradual-unfreezing"
    requires = frozenset({"stages"})
    excludes = frozenset({"random", "fused"})
    complexity = 2

    epochs_per_stage: int = Int(2, low=1, high=5)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        from_top = parameter.n_stages - 1 - parameter.stage
        return from_top <= epoch // self.epochs_per_stage
