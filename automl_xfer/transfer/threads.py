"""How many threads a fit on features may use."""

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

_ONE_THREAD_SIZE = 10_000_000
"""Up to this many numbers one thread fits: where another process works too, threads that wait for
each other after every small step slow a fit down many times."""


def fitting_threads(numbers: int) -> AbstractContextManager[object]:
    """A context in which features of so many numbers in all are fitted, by BLAS or by PyTorch."""
    limit: AbstractContextManager[object] = _controller().limit(
        limits=1 if numbers <= _ONE_THREAD_SIZE else None
    )
    return limit


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries takes longer than many a fit
