"""Singular values of what a training puts out, which may have diverged."""

import torch
from torch import Tensor


def singular_values(matrix: Tensor) -> Tensor:
    """(min(N, K),) of an (N, K) matrix, largest first; NaN if an entry is not finite."""
    if not matrix.isfinite().all():  # LAPACK would raise: a diverged training is no such error
        return (matrix.sum() * torch.nan).expand(min(matrix.shape))
    return torch.linalg.svdvals(matrix)
