"""Means, covariances and maps between them, shared by the methods that match moments."""

import torch
from torch import Tensor, nn


def covariance(features: Tensor) -> Tensor:
    """Unbiased covariance (D, D) of (N, D) features; zero for a single sample."""
    centred = features - features.mean(0)
    return centred.T @ centred / max(len(features) - 1, 1)


def regularised_moments(features: Tensor, regularisation: float) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance C + r·v·I (D, D), where v is C's mean variance; in float64.

    The ridge is relative, so that the same value means the same for every backbone.
    """
    features = features.detach().double().cpu()
    matrix = covariance(features)
    ridge = regularisation * matrix.diagonal().mean().clamp_min(1e-12)
    return features.mean(0), matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype)


def affine(matrix: Tensor, before: Tensor, after: Tensor | None = None) -> nn.Linear:
    """The fixed map x -> (x − before) · matrix + after, with matrix (D, D'); in float32."""
    bias = -before @ matrix if after is None else after - before @ matrix
    layer = nn.Linear(*matrix.shape)
    with torch.no_grad():
        layer.weight.copy_(matrix.T)
        layer.bias.copy_(bias)
    return layer.requires_grad_(False)
