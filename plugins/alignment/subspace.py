"""Subspace alignment."""

from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignedFeatures, AlignmentMethod, Int

from .moments import affine, covariance


@dataclass(frozen=True)
class SubspaceAlignment(AlignmentMethod):
    """Turn the source's principal axes onto the target's.

    Source: (x − μ_s) P_s P_sᵀ P_t; target: (x − μ_t) P_t, with P the first `dimensions` principal
    axes of each domain (D, d), fewer where a domain has fewer samples. Fernando et al. 2013,
    Unsupervised visual domain adaptation using subspace alignment, ICCV. Departure: features are
    centred by domain and not scaled to unit variance.
    """

    name = "subspace-alignment"
    requires = frozenset({"source", "frozen"})

    dimensions: int = Int(32, low=8, high=128, log=True)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def align(self, source: Tensor, source_labels: Tensor, target: Tensor) -> AlignedFeatures:
        source, target = source.detach().double().cpu(), target.detach().double().cpu()
        dimensions = min(self.dimensions, len(source) - 1, len(target) - 1, source.shape[1])
        source_axes, target_axes = (_axes(x, max(dimensions, 1)) for x in (source, target))
        turned = source_axes @ (source_axes.T @ target_axes)
        return AlignedFeatures(
            source_map=affine(turned, source.mean(0)),
            target_map=affine(target_axes, target.mean(0)),
        )


def _axes(features: Tensor, dimensions: int) -> Tensor:
    """The first principal axes, (D, d)."""
    _, axes = torch.linalg.eigh(covariance(features))  # eigenvalues ascend
    return axes.flip(1)[:, :dimensions]
