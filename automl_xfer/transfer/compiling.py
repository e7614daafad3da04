"""torch.compile for fits that are long enough to pay for it."""

from collections.abc import Iterable

from torch import nn

LONG_FIT = 2000
"""Training steps; compiling takes as long as some hundreds of them."""


def compile_stages(stages: Iterable[nn.Module], backend: str | None) -> None:
    """Have these stages run compiled by a backend of torch.compile; None: as they are.

    Parameters, their names and what is saved stay the same (`nn.Module.compile`).
    """
    for stage in stages:
        if backend is None:
            stage._compiled_call_impl = None
        else:
            stage.compile(backend=backend)
