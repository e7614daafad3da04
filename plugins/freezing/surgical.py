"""Surgical fine-tuning."""

from dataclasses import dataclass

from automl_xfer.components import Float, FreezingPolicy, ParameterInfo


@dataclass(frozen=True)
class SurgicalFineTuning(FreezingPolicy):
    """Train one contiguous block of stages and freeze the rest.

    Of n stages those from min(⌊first · n⌋, n − 1) on train, max(1, round(width · n)) of them, or
    as many as there are. Early blocks suit shifts of the pixels (noise, blur), middle ones those
    of the features, late ones those of the labels. Lee et al. 2022, arXiv 2210.11466.
    Departure: the head always trains.
    """

    name = "surgical"
    requires = frozenset({"stages"})
    excludes = frozenset({"random", "fused"})

    first: float = Float(0.0, low=0.0, high=1.0)
    width: float = Float(0.25, low=0.0, high=1.0)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        start = min(int(self.first * parameter.n_stages), parameter.n_stages - 1)
        count = max(1, round(self.width * parameter.n_stages))
        return start <= parameter.stage < start + count
