"""torch.compile for fits that are long enough to pay for it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LONG_FIT = 2000
"""Training steps; compiling takes as long as some hundreds of them."""

Compiler = str | Callable[..., Any]
"""A backend of torch.compile."""

_MOST_GRAPHS = 64
"""Of one fit: each freeze boundary, image size and batch shape may need its own."""


def compiled(forward: Callable[..., Tensor], compiler: Compiler) -> Callable[..., Tensor]:
    """`forward` compiled; what was compiled before in this process is forgotten.

    What cannot be compiled runs as it is: torch logs it.
    """
    torch._dynamo.reset()
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.cache_size_limit = _MOST_GRAPHS
    made: Callable[..., Tensor] = torch.compile(forward, backend=compiler)
    return made
