"""Fine-tuning whose result is averaged with its start."""

from dataclasses import dataclass

from automl_xfer.components import Float, FreezingPolicy, ParameterInfo

from .depth import above


@dataclass(frozen=True)
class WiseFineTune(FreezingPolicy):
    """Linear probe, then fine-tuning, then a mean of the weights before and after (WiSE-FT).

    `start_share` is the weight of the start: the pretrained backbone with its fitted head. `depth`
    is the fraction of the stages, from the first, that stays frozen; the last one always trains.
    Wortsman et al. 2022, arXiv 2109.01903 (whose start is a zero-shot head).
    """

    name = "wise-ft"
    excludes = frozenset({"random", "fused"})
    provides = frozenset({"trainable", "fitted_head"})
    head_first = True
    complexity = 3

    depth: float = Float(0.0, low=0.0, high=0.9)
    start_share: float = Float(0.5, low=0.1, high=0.9)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return above(self.depth, parameter)

    def share_of_start(self) -> float:
        return self.start_share
