"""Statistics of a batch lose their meaning in 16 bits."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]


def full_precision(distance: Distance) -> Distance:
    """Compute a distance of two (N, D) batches in 32 bits or more, also under autocast."""

    @wraps(distance)
    def wrapped(source: Tensor, target: Tensor) -> Tensor:
        kind = torch.promote_types(source.dtype, torch.float32)
        with torch.autocast(source.device.type, enabled=False):
            return distance(source.to(kind), target.to(kind))

    return wrapped
