"""The singular values that the estimators on labelled features share."""

import torch
from torch import Tensor


def spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (N, r) and squared singular values (r,) of float64 (N, D) features.

    Only the r that differ from 0. Wide features go by the eigenvectors of F Fᵀ, which is faster.
    """
    n, d = features.shape
    if d > n:
        squares, left = torch.linalg.eigh(features @ features.T)
    else:
        left, values, _ = torch.linalg.svd(features, full_matrices=False)
        squares = values**2
    kept = squares > squares.max() * max(n, d) * torch.finfo(features.dtype).eps
    return left[:, kept], squares[kept]
