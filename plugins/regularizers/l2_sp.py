"""L2-SP."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch, Float, Regularizer


@dataclass(frozen=True)
class L2SP(Regularizer):
    """Hold the backbone near its starting weights, and the head near zero.

    β_backbone/2 · ‖w − w₀‖² + β_head/2 · ‖w_head‖², over the parameters that train at the step;
    w₀ are the weights that the training begins with, also of those that thaw later. Li,
    Grandvalet and Davoine 2018, arXiv 1802.01483. The paper's is meant for a weight decay of 0.
    """

    name = "l2-sp"
    excludes = frozenset({"low_rank"})  # there the weights w stay, and others train
    complexity = 2

    beta_backbone: float = Float(0.01, low=1e-4, high=1.0, log=True)
    beta_head: float = Float(0.01, low=1e-4, high=1.0, log=True)

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor]:
        anchors = [(p, p.detach().clone()) for p in backbone.parameters()]
        weights = [p for p in head.parameters() if p.requires_grad]

        def term(batch: Batch) -> Tensor:
            thawed = [(p, start) for p, start in anchors if p.requires_grad]
            moved = _total([(p - start).square().sum() for p, start in thawed], batch)
            size = _total([p.square().sum() for p in weights], batch)
            return self.beta_backbone / 2 * moved + self.beta_head / 2 * size

        return term


def _total(terms: list[Tensor], batch: Batch) -> Tensor:
    return torch.stack(terms).sum() if terms else batch.logits.new_zeros(())
