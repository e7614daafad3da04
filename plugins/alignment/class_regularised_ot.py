"""Class-regularised optimal transport."""

from dataclasses import dataclass

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignedFeatures, AlignmentMethod, Float

from .moments import affine

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

SAMPLES = 1000
ROUNDS = 10
EPSILON = 0.1


@dataclass(frozen=True)
class ClassRegularisedOT(AlignmentMethod):
    """Move the source by optimal transport whose targets each get one class only, made affine.

    The plan G minimises <G, M> + entropy Σ_ij G_ij log G_ij + separation/N_t Σ_jc (q_jc + ε)^½,
    with M the squared distances of the centred domains over their median and q_jc = N_t Σ_{i of
    class c} G_ij the share of class c in target j; the last term, ε = 0.1, by ten majorisations.
    Source i goes to T_i = Σ_j G_ij x_j / Σ_j G_ij. Courty et al. 2017, arXiv 1507.00504.

    Departures: T becomes x' = (x − μ_s)(I + B) + μ_T with B the ridge regression of T − x on x,
    B = (S + ridge tr(S)/D I)^−1 Xᵀ(T − X), S = XᵀX, all centred: the mapping estimation of Perrot
    et al. 2016 (NeurIPS), one step, ridge relative. At most 1,000 images of each domain take part,
    the source's balanced over classes. Shares in place of masses, so that `separation` means the
    same for any N_t.
    """

    name = "class-regularised-ot"
    requires = frozenset({"source", "frozen"})
    complexity = 2

    entropy: float = Float(0.05, low=0.02, high=0.5, log=True)
    separation: float = Float(0.3, low=0.03, high=3.0, log=True)
    ridge: float = Float(1.0, low=0.01, high=10.0, log=True)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def align(self, source: Tensor, source_labels: Tensor, target: Tensor) -> AlignedFeatures:
        labels = source_labels.cpu().numpy()
        chosen = balanced_sample(labels, SAMPLES)
        x = source.detach().double().cpu().numpy()[chosen]
        goal = target.detach().double().cpu().numpy()
        goal = goal[balanced_sample(np.zeros(len(goal), dtype=np.int64), SAMPLES)]
        plan = transport_plan(scaled_cost(x, goal), labels[chosen], self.entropy, self.separation)
        moved = plan @ goal / plan.sum(1, keepdims=True)
        matrix = np.eye(x.shape[1]) + ridge_regression(x, moved - x, self.ridge)
        centres = (torch.from_numpy(each.mean(0)) for each in (x, moved))
        return AlignedFeatures(source_map=affine(torch.from_numpy(matrix), *centres))


def balanced_sample(labels: Labels, most: int) -> Labels:
    """Indices of at most `most` samples, as evenly from the classes as they allow; always the same.

    The first of each class in random order, then the second of each, and so on.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    _, shuffled = np.unique(labels[order], return_inverse=True)
    by_class = np.argsort(shuffled, kind="stable")
    starts = np.searchsorted(shuffled[by_class], shuffled)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels))
    return order[np.argsort(rank - starts, kind="stable")[:most]]


def scaled_cost(source: Array, target: Array) -> Array:
    """Squared distances of the centred domains, (N_s, N_t), over their median.

    Their means change no plan, but would hide the distances within a domain from the median.
    """
    cost = ot.dist(source - source.mean(0), target - target.mean(0))
    return cost / max(np.median(cost), 1e-12)


def transport_plan(
    cost: Array, labels: Labels, entropy: float, separation: float, epsilon: float = EPSILON
) -> Array:
    """The plan (N_s, N_t) of the class docstring.

    POT's `sinkhorn_lpl1_mm` with separation = η √N_t, epsilon = 0.001 N_t; POT's holds an array of
    (N_t, N_s, K).
    """
    _, classes = np.unique(labels, return_inverse=True)
    members = np.eye(classes.max() + 1)[classes]  # (N_s, K)
    penalty = np.zeros_like(cost)
    for _ in range(ROUNDS):
        total = cost + separation * penalty
        total = total - total.min(1, keepdims=True)  # the same plan, and no exponential underflows
        total = total - total.min(0)
        plan = ot.sinkhorn([], [], total, entropy, numItermax=200, stopThr=1e-7, warn=False)
        shares = cost.shape[1] * members.T @ plan
        penalty = members @ (0.5 / np.sqrt(shares + epsilon))
    return plan


def ridge_regression(x: Array, y: Array, ridge: float) -> Array:
    """Coefficients (D, D') of centred y (N, D') on centred x (N, D); penalty ridge · tr(S)/D."""
    x, y = x - x.mean(0), y - y.mean(0)
    gram = x @ x.T
    gram[np.diag_indices_from(gram)] += max(ridge * np.trace(gram) / x.shape[1], 1e-12)
    return x.T @ np.linalg.solve(gram, y)
