"""Test-time entropy minimisation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Int

from .batch_statistics import batch_norms, normalising_by_batch
from .entropy import entropy


@dataclass(frozen=True)
class Tent(AlignmentMethod):
    """Make the fitted model surer of the target by its batch norms' scales and shifts alone.

    Minimises the mean over a batch of H(softmax(z)) by γ and β of every batch norm, which
    normalise by the batch's own mean and variance; Adam, 1e-3. Wang et al. 2021, arXiv 2006.10726.
    Departure: the paper predicts batch by batch and keeps no statistics. Here the running ones
    are estimated on the target at the end, with the adapted γ and β, so that an image gets the
    same prediction alone as among others.
    """

    name = "tent"
    requires = frozenset({"batch_norm", "unlabelled"})
    excludes = frozenset({"random"})
    complexity = 2

    epochs: int = Int(1, low=1, high=3)

    @torch.enable_grad()
    def adapt(self, model: nn.Module, target_batches: Callable[[], Iterable[Tensor]]) -> None:
        """Without a batch of two images or more the model stays as it is."""
        norms = [norm for norm in batch_norms(model) if norm.affine]
        parameters = [parameter for norm in norms for parameter in norm.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        with normalising_by_batch(model, target_batches) as passes:
            for _ in range(self.epochs):
                for images in passes():
                    optimizer.zero_grad()
                    entropy(model(images)).mean().backward()
                    optimizer.step()
        for parameter in parameters:
            parameter.requires_grad_(False)
