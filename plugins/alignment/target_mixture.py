"""Clusters of the target that start from the source's classes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Choice, Float

from .batch_norm import re_estimate, statistics_key

_ROUNDS = 20
_CLEARLY = 0.06  # nats for an image
_PSEUDO_IMAGES = 0.05  # of the target's images: the prior's count, spread evenly over the classes
_LABELLED = 3.0  # images without a label that one with a label counts as, at most
_LABELLED_SHARE = 0.25  # and all of them together as this many times those without


class MixtureHead(nn.Module):
    """Posterior of a Gaussian mixture with one covariance, on unit-length standardised features.

    u = normalise((x - mean) / std) - centre; logits = u W + b.
    """

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))
        self.register_buffer("centre", torch.zeros(feature_dim))
        self.register_buffer("weight", torch.zeros(feature_dim, num_classes))
        self.register_buffer("bias", torch.zeros(num_classes))

    def unit(self, features: Tensor) -> Tensor:
        """Standardised, length 1: (N, D) -> (N, D)."""
        return nn.functional.normalize((features - self.mean) / self.std, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) -> logits (N, K)."""
        return (self.unit(features) - self.centre) @ self.weight + self.bias


@dataclass(frozen=True)
class TargetMixture(AlignmentMethod):
    """Let the classes settle in the target's own clusters, starting from the source's head.

    A Gaussian mixture with one covariance on the target's features (standardised, unit length,
    `dims` principal components), whose responsibilities start from the head fitted on labels. EM:
    Dempster, Laird and Rubin 1977; the idea of moving class centres on unlabelled target features:
    SHOT, Liang et al. 2020, arXiv 2002.08546.
    Labelled target images keep their class. Each counts as three others or fewer, all of them as a
    quarter of the others, but no less than one each (Nigam et al. 2000, Text classification from
    labeled and unlabeled documents using EM, Machine Learning 39: λ; the three was set by hand
    after a look at a few labels of two PACS domains). They have no say in the class shares: who
    chose them chose their shares.
    Each M step shrinks the covariance: C <- (1 - shrinkage) C + shrinkage tr(C)/d I.
    With `prior` "equal" the classes have equal shares, but for one that has lost its images: it
    stays empty; "estimated" sets them in each M step to
    (n_k + a) / (N + K a), with n_k the class's responsibilities for N images and a pseudo-count
    a = 0.05 N / K that keeps every class alive, and adds log share to the bias; "likelier" is
    "estimated" where the features are likelier under it by 0.06 nats an image (a threshold of our
    own, chosen on features of PACS and Office-Caltech10), else "equal".
    """

    name = "target-mixture"
    requires = frozenset({"frozen", "unlabelled"})
    complexity = 2

    dims: int = Choice(64, (32, 64, 128))
    shrinkage: float = Float(0.3, low=0.1, high=0.9)
    prior: str = Choice("likelier", ("equal", "estimated", "likelier"))

    def target_head(self, feature_dim: int, num_classes: int, head: nn.Module) -> nn.Module:
        return MixtureHead(feature_dim, num_classes)

    def refine(
        self,
        head: nn.Module,
        features: Tensor,
        probabilities: Tensor,
        prior: Tensor,
        known: Tensor,
    ) -> None:
        assert isinstance(head, MixtureHead)
        head.mean.copy_(features.mean(0))
        head.std.copy_(features.std(0).clamp_min(1e-6))
        unit = head.unit(features)
        head.centre.copy_(unit.mean(0))
        centred = (unit - head.centre).double()
        basis = _principal(centred, self.dims)
        z, start = centred @ basis, probabilities.double()
        priors = ("equal", "estimated") if self.prior == "likelier" else (self.prior,)
        fits = [
            _mixture(z, start, known, self.shrinkage, estimated=p == "estimated") for p in priors
        ]
        first, last = fits[0], fits[-1]
        chosen = last if last.likelihood > first.likelihood + _CLEARLY else first
        head.weight.copy_(basis @ chosen.weight)
        head.bias.copy_(chosen.bias)


@dataclass(frozen=True)
class AdaptedTargetMixture(TargetMixture):
    """`target-mixture` on features whose batch-norm statistics are each domain's own.

    The statistics move the share `mix` towards the domain's, as in AdaBN.
    """

    name = "adabn-target-mixture"
    requires = frozenset({"frozen", "unlabelled", "batch_norm"})
    adapts_each_domain = True
    complexity = 3

    mix: float = Choice(1.0, (0.3, 0.5, 0.7, 1.0))

    def finish(self, model: nn.Module, target_batches: Iterable[Tensor]) -> None:
        re_estimate(model, target_batches, self.mix)

    def finish_key(self) -> str:
        return statistics_key(self.mix)


def _principal(centred: Tensor, dims: int) -> Tensor:
    """(D, d) first principal directions."""
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return directions[:dims].T


class _Fit(NamedTuple):
    """Weight (d, K) and bias (K,) of the posterior's logits; mean log-likelihood of an image."""

    weight: Tensor
    bias: Tensor
    likelihood: float


def _mixture(z: Tensor, start: Tensor, known: Tensor, shrinkage: float, *, estimated: bool) -> _Fit:
    """EM from the responsibilities `start` (N, K) on `z` (N, d); those of `known` (N,) stay."""
    others = ~known if not known.all() else known
    bound = _LABELLED_SHARE * float(others.sum()) / max(1, int(known.sum()))
    counted = 1 + (max(1.0, min(_LABELLED, bound)) - 1) * known.double()[:, None]
    share = counted * start
    weighted, total = counted * z, counted.sum()
    eye = torch.eye(z.shape[1], dtype=z.dtype)
    weight, bias, spread = z.new_zeros(z.shape[1], share.shape[1]), z.new_zeros(share.shape[1]), eye
    for _ in range(_ROUNDS):
        count = share.sum(0)
        means = share.T @ z / count.clamp_min(1e-300)[:, None]
        spread = (weighted.T @ z - means.T @ (count[:, None] * means)) / total
        ridge = spread.diagonal().mean().clamp_min(1e-12)
        spread = (1 - shrinkage) * spread + shrinkage * ridge * eye
        weight = torch.linalg.solve(spread, means.T)
        bias = -0.5 * (means.T * weight).sum(0)
        if estimated:
            bias = bias + class_shares(share[others].sum(0)).log()
        else:
            alive = count >= 1e-3  # an empty class stays empty
            bias = (bias - alive.sum().log()).masked_fill(~alive, -math.inf)
        share = counted * torch.where(known[:, None], start, (z @ weight + bias).softmax(1))
    likelihood = _log_likelihood(z[others], z[others] @ weight + bias, spread)
    return _Fit(weight, bias.clamp_min(-1e4), likelihood)


def _log_likelihood(z: Tensor, logits: Tensor, covariance: Tensor) -> float:
    """Mean log density of `z` (N, d), up to a constant, from the mixture's logits (N, K)."""
    distance = (z * torch.linalg.solve(covariance, z.T).T).sum(1)
    density = logits.logsumexp(1) - 0.5 * distance - 0.5 * torch.logdet(covariance)
    return float(density.mean())


def class_shares(count: Tensor) -> Tensor:
    """(n_k + a) / (N + K a) of counts (K,), with a = 0.05 N / K: never 0."""
    return (count / count.sum() + _PSEUDO_IMAGES / len(count)) / (1 + _PSEUDO_IMAGES)
