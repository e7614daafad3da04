"""The entropy of predictions, for the methods that make a model surer of the target."""

import math

import torch
from torch import Tensor


def entropy(logits: Tensor) -> Tensor:
    """H(p) = −Σ_k p_k log p_k in nats with p = softmax(z): (N, K) -> (N,), in 32 bits or more."""
    log_p = _log_softmax(logits)
    return -(log_p.exp() * log_p).sum(1)


def entropy_of_mean(logits: Tensor) -> Tensor:
    """H(p̄) of the mean p̄ of the batch's softmax: (N, K) -> scalar, in 32 bits or more.

    By logarithms: the gradient stays finite for a class that nobody predicts.
    """
    log_mean = _log_softmax(logits).logsumexp(0) - math.log(len(logits))
    return -(log_mean.exp() * log_mean).sum()


def _log_softmax(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
