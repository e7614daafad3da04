"""Adversarial training in one backward pass: an identity that turns gradients round."""

import math
from typing import Any

import torch
from torch import Tensor


def reverse_gradient(features: Tensor, strength: float) -> Tensor:
    """The features themselves; what flows back to them is multiplied by −strength."""
    reversed_features: Tensor = _ReverseGradient.apply(features, strength)
    return reversed_features


def reversal_strength(progress: float) -> float:
    """λ = 2/(1 + e^(−10 p)) − 1: from 0 at the start to nearly 1 at the end."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


class _ReverseGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by −strength."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
