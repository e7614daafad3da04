"""Linear optimal transport."""

from dataclasses import dataclass

import torch
from ot.gaussian import bures_wasserstein_mapping
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignedFeatures, AlignmentMethod, Float

from .moments import affine, regularised_moments


@dataclass(frozen=True)
class LinearOptimalTransport(AlignmentMethod):
    """Move the source by the optimal transport map between two Gaussians (Monge map).

    x' = (x − μ_s) A + μ_t with A = C_s^(−1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(−1/2) and
    C = cov + regularisation · mean variance · I. Flamary, Lounici and Ferrari 2019,
    arXiv 1905.10155 (whose ridge is absolute). Map by POT.
    """

    name = "linear-ot"
    requires = frozenset({"source", "frozen"})

    regularisation: float = Float(1.0, low=1e-3, high=10.0, log=True)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def align(self, source: Tensor, source_labels: Tensor, target: Tensor) -> AlignedFeatures:
        moments = [regularised_moments(domain, self.regularisation) for domain in (source, target)]
        means, covariances = zip(*moments, strict=True)
        matrix, _ = bures_wasserstein_mapping(*(each.numpy() for each in (*means, *covariances)))
        return AlignedFeatures(source_map=affine(torch.from_numpy(matrix), *means))
