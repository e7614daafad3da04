"""torch.compile for fits that are long enough to pay for it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LONG_FIT = 2000
"""Training steps; compiling takes as long as some hundreds of them."""

Compiler = str | Callable[..., Any]
"""A backend of torch.compile."""


def compiled(forward: Callable[..., Tensor], compiler: Compiler) -> Callable[..., Tensor]:
    """`forward` compiled; what was compiled before in this process is forgotten.

    Else torch would count the shapes and modes of all fits together and, beyond a few, go on
    without compiling.
    """
    torch._dynamo.reset()
    made: Callable[..., Tensor] = torch.compile(forward, backend=compiler)
    return made
