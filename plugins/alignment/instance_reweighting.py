"""Instance reweighting."""

from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from automl_xfer.components import AlignmentMethod, Choice, Float

from .density_ratio import bounded_weights, log_density_ratio


@dataclass(frozen=True)
class InstanceReweighting(AlignmentMethod):
    """Let source images count the more the likelier they are to be target images.

    w_i = min(c r_i, most), c such that the mean is 1; r = p_t/p_s = N_s/N_t · e^z with z the
    cross-fitted log-odds of a logistic domain classifier on `dims` principal components. Weighting
    by the density ratio: Shimodaira 2000, Journal of Statistical Planning and Inference 90; the
    ratio from a classifier: Bickel, Brückner and Scheffer 2007, ICML. Departure: the bound `most`,
    which keeps at least N/most effective samples.
    """

    name = "instance-reweighting"
    excludes = frozenset({"random"})  # the ratio is read from the starting features

    most: float = Float(5.0, low=2.0, high=50.0, log=True)
    dims: int = Choice(32, (8, 32, 128))

    @threadpool_limits.wrap(limits=1)  # threads of two processes slow each other tenfold
    def sample_weights(self, source: Tensor, source_labels: Tensor, target: Tensor) -> Tensor:
        weights = bounded_weights(log_density_ratio(source, target, self.dims), self.most)
        return torch.from_numpy(weights).float()
