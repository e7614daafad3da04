"""Transfer component analysis."""

from dataclasses import dataclass

import torch
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignedFeatures, AlignmentMethod, Float, Int

from .moments import affine, covariance


@dataclass(frozen=True)
class TransferComponentAnalysis(AlignmentMethod):
    """Keep the directions in which the domains vary much and their means differ little.

    Both domains: (x − μ) W with W (D, d) minimising tr Wᵀ(δδᵀ + mu·v·I)W subject to Wᵀ C W = I,
    where δ = μ_s − μ_t, so that δδᵀ is X L Xᵀ, and μ, C and v are mean, covariance and mean
    variance of both domains together. `dims` is d, fewer where there are fewer samples. Pan et
    al. 2011, Domain adaptation via transfer component analysis, IEEE Transactions on Neural
    Networks 22(2). Departures: the kernel is linear and the problem solved in the D dimensions;
    the penalty is on W itself, the linear form of Long et al. 2013, Transfer feature learning with
    joint distribution adaptation (ICCV), where Pan et al. penalise the kernel's coefficients A of
    W = X A, which weighs the directions otherwise; C in place of X H Xᵀ = (N − 1) C, which scales
    W; `mu` is relative to v.
    """

    name = "tca"
    requires = frozenset({"source", "frozen"})

    dims: int = Int(32, low=8, high=128, log=True)
    mu: float = Float(1.0, low=0.01, high=100.0, log=True)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def align(self, source: Tensor, source_labels: Tensor, target: Tensor) -> AlignedFeatures:
        source, target = source.detach().double().cpu(), target.detach().double().cpu()
        both = torch.cat([source, target])
        gap, dims = source.mean(0) - target.mean(0), min(self.dims, len(both) - 1)
        components = transfer_components(covariance(both), gap, self.mu, dims)
        # One layer each: layers that share tensors cannot be saved side by side.
        maps = [affine(components, both.mean(0)) for _ in range(2)]
        return AlignedFeatures(source_map=maps[0], target_map=maps[1])


def transfer_components(scatter: Tensor, gap: Tensor, mu: float, dims: int) -> Tensor:
    """W (D, d) of the class docstring: the leading solutions of C w = φ (δδᵀ + mu·v·I) w."""
    size = len(scatter)
    variance = scatter.diagonal().mean().clamp_min(1e-12)
    cost = torch.outer(gap, gap) + mu * variance * torch.eye(size, dtype=scatter.dtype)
    wanted = [max(size - dims, 0), size - 1]  # eigenvalues ascend
    values, vectors = eigh(scatter.numpy(), cost.numpy(), subset_by_index=wanted)
    components = torch.from_numpy(vectors) / torch.from_numpy(values).clamp_min(1e-12).sqrt()
    return components.flip(1)
