"""Statistics of a batch lose their meaning in 16 bits."""

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """The same numbers in 32 bits or more."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
