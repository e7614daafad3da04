"""H-score."""

from dataclasses import dataclass

from sklearn.covariance import ledoit_wolf_shrinkage
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import one_hot

from automl_xfer.components import TransferabilityEstimator

from .spectrum import spectrum


@dataclass(frozen=True)
class HScore(TransferabilityEstimator):
    """How much of the features' variance, in its own units, lies between the classes.

    tr(C_a⁻¹ (1 − a) C_b), with C_b the covariance of the images' class means, C that of the
    features, C_a = (1 − a) C + a · mean variance · I, and a Ledoit and Wolf's shrinkage. From 0 to
    the number of classes less 1. Ibrahim, Ponomareva and Mazumder 2021, arXiv 2110.06893, after
    Bao et al. 2019. Computed in the features' principal axes, which is the same and faster.
    """

    name = "h-score"
    requires = frozenset({"target_labels"})

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def estimate(self, features: Tensor, labels: Tensor, target: Tensor) -> float:
        if len(features) < 2:
            return 0.0
        centred = features.detach().cpu().double()
        centred = centred - centred.mean(0)
        shrinkage = ledoit_wolf_shrinkage(centred.float().numpy(), assume_centered=True)
        left, squares = spectrum(centred)
        kept = (1 - shrinkage) * squares / len(centred)
        ridge = shrinkage * squares.sum() / centred.numel()
        return float((kept / (kept + ridge) * _between(left, labels.cpu())).sum())


def _between(axes: Tensor, labels: Tensor) -> Tensor:
    """Share (r,) of each unit column of `axes` (N, r) that lies between the classes."""
    members = one_hot(labels.unique(return_inverse=True)[1]).to(axes.dtype)
    sums = members.T @ axes
    return (sums**2 / members.sum(0)[:, None]).sum(0)
