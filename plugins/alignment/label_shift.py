"""Label-shift correction."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Float

_ROUNDS, _ENOUGH = 1000, 1e-7


class ReweightedHead(nn.Module):
    """A fitted head whose logits get the log ratio of the target's class shares to its own."""

    def __init__(self, head: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.head = head
        self.log_ratio: Tensor
        self.register_buffer("log_ratio", torch.zeros(num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) -> logits (N, K)."""
        return self.head(features) + self.log_ratio


@dataclass(frozen=True)
class LabelShift(AlignmentMethod):
    """Correct the head for class shares that differ between its labels and the target.

    The logits become z + log(q / π): π the class shares that the head was fitted on, q the
    target's, by EM from q = π: r_ik ∝ p_ik q_k / π_k, q_k = (Σ_i r_ik + m π_k) / (N + m), with m =
    `prior_strength` · N. m = 0 is maximum likelihood: Saerens et al. 2002, Adjusting the outputs
    of a classifier to new a priori probabilities (Neural Computation 14); m > 0 a Dirichlet prior
    that keeps few or doubtful images from moving q far.

    Assumes that a class looks the same in both domains and that the head's probabilities are
    calibrated. The head is fitted on the target's labels, where there are any.
    """

    name = "label-shift"
    requires = frozenset({"frozen", "unlabelled"})
    trains_on = frozenset({"target"})

    prior_strength: float = Float(0.05, low=0.0, high=1.0)

    def target_head(self, feature_dim: int, num_classes: int, head: nn.Module) -> nn.Module:
        return ReweightedHead(head, num_classes)

    def refine(
        self,
        head: nn.Module,
        features: Tensor,
        probabilities: Tensor,
        prior: Tensor,
        known: Tensor,
    ) -> None:
        assert isinstance(head, ReweightedHead)
        # Who chose images to label chose their shares.
        head.log_ratio.copy_(log_share_ratio(probabilities[~known], prior, self.prior_strength))


def log_share_ratio(probabilities: Tensor, prior: Tensor, strength: float) -> Tensor:
    """log(q / π) (K,) by EM, from probabilities (N, K) under π (K,); 0 for a class without share.

    A class that EM gives up ends at no less than log 1e-6.
    """
    given = (prior.double() / prior.double().sum()).to(probabilities.device)
    known = given > 0
    posterior = probabilities.double() * known
    ratio = torch.ones_like(given)
    for _ in range(_ROUNDS if len(posterior) else 0):
        joint = posterior * ratio
        share = (joint / joint.sum(1, keepdim=True).clamp_min(1e-300)).mean(0)
        share = (share + strength * given) / (1 + strength)
        before, ratio = ratio, torch.where(known, share / given.clamp_min(1e-300), 1.0)
        if (ratio - before).abs().max() < _ENOUGH:
            break
    return ratio.clamp_min(1e-6).log().to(probabilities.dtype)
