"""Linear probe, then fine-tuning."""

from dataclasses import dataclass

from automl_xfer.components import Float, FreezingPolicy, ParameterInfo

from .depth import above


@dataclass(frozen=True)
class LinearProbeThenFineTune(FreezingPolicy):
    """Fit the head on frozen features, then fine-tune from that head (LP-FT).

    A fitted head keeps the first gradients from distorting the features. `depth` is the fraction
    of the stages, from the first, that stays frozen; the last one always trains. Kumar et al.
    2022, arXiv 2202.10054 (which freezes none).
    """

    name = "lp-ft"
    excludes = frozenset({"random", "fused"})
    provides = frozenset({"trainable", "fitted_head"})
    head_first = True
    complexity = 2

    depth: float = Float(0.0, low=0.0, high=0.9)

    def is_trainable(self, parameter: ParameterInfo, epoch: int) -> bool:
        return above(self.depth, parameter)
