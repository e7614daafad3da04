"""Gradual unfreezing."""

from dataclasses import dataclass

from automl_xfer.components import FreezingPolicy, Int, ParameterInfo


@dataclass(frozen=True)
class GradualUnfreezing(FreezingPolicy):
    """Train the top stage first, and one more stage below it every `epochs_per_stage` epochs.

    In epoch e (0-based) the top 1 + ⌊e / epochs_per_stage⌋ stages train. Howard and Ruder 2018
    (ULMFiT), arXiv 1801.06146, with one epoch per stage. The policy does not know how many epochs
    there are: stages that the training never reaches stay frozen. Departures: the head trains
    together with the top stage from the first epoch, where there it is the first layer group of
    its own; the optimizer starts anew at each thaw, without the moments that it had.
    """

    name = "gradual-unfreezing"
    requires = frozenset({"stages"})
    excludes = frozenset({"random", "fused"})
    complexity = 2

    epochs_per_stage: int = Int(2, low=1, high=5)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        from_top = parameter.n_stages - 1 - parameter.stage
        return from_top <= epoch // self.epochs_per_stage
