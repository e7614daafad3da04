"""Losses of whole batches, features and logits, in 32 bits."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

from automl_xfer.components import Batch

Loss = TypeVar("Loss")
Forward = Callable[[Loss, Batch, Batch, float], Tensor]


def in_full_precision(forward: Forward[Loss]) -> Forward[Loss]:
    """Compute a loss module's `forward` in 32 bits or more, also under autocast."""

    @wraps(forward)
    def wrapped(self: Loss, source: Batch, target: Batch, progress: float) -> Tensor:
        with torch.autocast(source.features.device.type, enabled=False):
            return forward(self, _widened(source), _widened(target), progress)

    return wrapped


def _widened(batch: Batch) -> Batch:
    features, logits = (
        values.to(torch.promote_types(values.dtype, torch.float32))
        for values in (batch.features, batch.logits)
    )
    return replace(batch, features=features, logits=logits)
