"""Adaptive batch normalisation."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from automl_xfer.components import AlignmentMethod


@dataclass(frozen=True)
class AdaBN(AlignmentMethod):
    """Re-estimate the batch-norm statistics on target images after training.

    Running mean and variance become the mean over the target batches of each batch's own;
    nothing else changes. Li et al. 2016, arXiv 1603.04779.
    """

    name = "adabn"
    requires = frozenset({"source", "batch_norm"})

    @torch.no_grad()
    def finish(self, model: nn.Module, target_batches: Iterable[Tensor]) -> None:
        """Without any batch the statistics stay as they are."""
        norms = [
            module
            for module in model.modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        ]
        momenta, was_training = [norm.momentum for norm in norms], model.training
        model.eval()
        for norm in norms:
            norm.num_batches_tracked.zero_()  # the first batch then replaces the old statistics
            norm.momentum = None  # cumulative average
            norm.train()
        for images in target_batches:
            model(images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(was_training)
