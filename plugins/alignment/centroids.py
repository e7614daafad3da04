"""Pseudo-labels by the nearest of the target's own class centroids, in cosine distance."""

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot


def class_centroids(features: Tensor, probabilities: Tensor) -> Tensor:
    """Centroids (K, D) of target features (M, D) and class probabilities (M, K), in two rounds.

    With u = f / ‖f‖: first c_k = Σ p_k u, over the images each labels ŷ = argmax cos(u, c_k), then
    c_k = Σ 1[ŷ = k] u. A class that is no image's likeliest, or ends without an image, is a row
    of zeros. Lengths do not matter, so the sums are not divided.
    """
    unit = normalize(features, dim=1)
    count = probabilities.shape[1]
    likeliest = one_hot(probabilities.argmax(1), count).any(0)
    first = (probabilities.T @ unit) * likeliest[:, None]
    labels = one_hot(nearest_centroid(unit, first), count).to(unit.dtype)
    return labels.T @ unit


def nearest_centroid(features: Tensor, centroids: Tensor) -> Tensor:
    """Labels (N,) of features (N, D): the centroid (K, D) of largest cosine, never an empty one."""
    cosine = normalize(features, dim=1) @ normalize(centroids, dim=1).T
    return cosine.masked_fill(~centroids.any(1), -torch.inf).argmax(1)
