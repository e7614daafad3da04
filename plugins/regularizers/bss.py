"""Batch spectral shrinkage."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import Batch, Float, Int, Regularizer

from ..singular_values import singular_values
from .precision import widened


@dataclass(frozen=True)
class BatchSpectralShrinkage(Regularizer):
    """Suppress the weakest directions of a batch's features, which transfer worst.

    weight · Σ of the `smallest` smallest squared singular values of the features (N, D), of the
    min(N, D) that there are. Chen et al. 2019, "Catastrophic forgetting meets negative transfer:
    batch spectral shrinkage for safe transfer learning" (NeurIPS; there 0.001 and 1).
    """

    name = "bss"
    complexity = 2

    weight: float = Float(1e-3, low=1e-4, high=0.1, log=True)
    smallest: int = Int(1, low=1, high=4)

    def build(
        self,
        backbone: nn.Module,
        head: nn.Module,
        labelled: Callable[[], tuple[Tensor, Tensor]],
    ) -> Callable[[Batch], Tensor]:
        return self._term

    def _term(self, batch: Batch) -> Tensor:
        with torch.autocast(batch.features.device.type, enabled=False):
            values = singular_values(widened(batch.features))
        return self.weight * values[-self.smallest :].square().sum()
