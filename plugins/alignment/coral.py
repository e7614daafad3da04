"""CORAL in closed form."""

from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignedFeatures, AlignmentMethod, Float

from .moments import affine, regularised_moments


@dataclass(frozen=True)
class ClosedFormCoral(AlignmentMethod):
    """Whiten the source features, then colour them with the target's covariance.

    x' = (x − μ_s) C_s^(−1/2) C_t^(1/2) + μ_t, with C = cov + regularisation · mean variance · I.
    Sun, Feng and Saenko 2016, arXiv 1511.05547. Departures: the means are matched too (the paper
    standardises each domain before), and the ridge is relative (the paper adds I).
    """

    name = "coral"
    requires = frozenset({"source", "frozen"})

    regularisation: float = Float(1.0, low=1e-3, high=10.0, log=True)

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def align(self, source: Tensor, source_labels: Tensor, target: Tensor) -> AlignedFeatures:
        (mean, before), (goal, after) = (
            regularised_moments(domain, self.regularisation) for domain in (source, target)
        )
        matrix = _power(before, -0.5) @ _power(after, 0.5)
        return AlignedFeatures(source_map=affine(matrix, mean, goal))


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(1e-12) ** exponent @ vectors.T
