"""Batch-norm statistics of a domain, shared by the methods that adapt them."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def re_estimate(model: nn.Module, batches: Iterable[Tensor], mix: float) -> None:
    """Move every batch norm's running statistics the share `mix` towards those of `batches`."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    momenta, was_training = [norm.momentum for norm in norms], model.training
    model.eval()
    for norm in norms:
        norm.num_batches_tracked.zero_()  # the first batch then replaces the old statistics
        norm.momentum = None  # cumulative average
        norm.train()
    for images in batches:
        model(images)
    for norm, (mean, variance), momentum in zip(norms, before, momenta, strict=True):
        norm.running_mean.lerp_(mean, 1 - mix)
        norm.running_var.lerp_(variance, 1 - mix)
        norm.momentum = momentum
    model.train(was_training)


def statistics_key(mix: float) -> str:
    """The `finish_key` of a method whose `finish` is `re_estimate` and nothing more."""
    return f"batch-norm statistics, mix {mix}"
