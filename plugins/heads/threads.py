"""How many threads a fit on features may use."""

from threadpoolctl import threadpool_limits

ONE_THREAD_SIZE = 10_000_000
"""Up to this many numbers one thread fits: two processes' threads slow each other tenfold."""


def fitting_threads(numbers: int) -> threadpool_limits:
    """A context in which features of so many numbers in all are fitted."""
    return threadpool_limits(1 if numbers <= ONE_THREAD_SIZE else None)
