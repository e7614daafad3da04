"""Source hypothesis transfer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Choice, Float, Int

from .batch_statistics import normalising_by_batch
from .centroids import class_centroids, nearest_centroid
from .entropy import entropy, entropy_of_mean


@dataclass(frozen=True)
class Shot(AlignmentMethod):
    """Move the fitted model's features to its head, which stays: SHOT.

    Trains the backbone on target batches by mean H(p) − H(p̄) + beta · CE(z, ŷ), p̄ the batch's mean
    prediction and ŷ the nearest class centroid in cosine distance; centroids anew every epoch, in
    two rounds. `diversity` off drops −H(p̄), which pulls towards equal classes and hurts where some
    are missing. SGD with Nesterov momentum 0.9, weight decay 1e-3, in epoch e of E the rate
    learning_rate · (1 + 10 e / E)^−0.75. Liang et al. 2020, arXiv 2002.08546.

    Departures: no bottleneck layer, and one rate for the whole backbone (the paper's pretrained
    layers have a tenth of the bottleneck's); 1 to 5 epochs instead of 15, and a rate that decays by
    epoch instead of by step; the source model is the one that the strategy fitted, without the
    paper's label smoothing of 0.1 unless the strategy has it; ŷ is read from the batch's features
    at its step, against the centroids of the epoch's start, both normalised by the batch; at the
    end the batch norms' running statistics are estimated on the target.
    """

    name = "shot"
    requires = frozenset({"unlabelled"})
    excludes = frozenset({"random", "fused"})
    complexity = 3

    learning_rate: float = Float(1e-3, low=1e-4, high=1e-2, log=True)
    epochs: int = Int(3, low=1, high=5)
    beta: float = Float(0.3, low=0.0, high=1.0)
    diversity: bool = Choice(True, (True, False))

    @torch.enable_grad()
    def adapt(self, model: nn.Module, target_batches: Callable[[], Iterable[Tensor]]) -> None:
        """Without a batch of two images or more the model stays as it is."""
        fitted = cast(_Fitted, model)
        fitted.backbone.requires_grad_(True)
        optimizer = _optimizer(fitted.backbone, self.learning_rate)
        with normalising_by_batch(model, target_batches) as passes:
            for epoch in range(self.epochs):
                for group in optimizer.param_groups:
                    group["lr"] = self.learning_rate * (1 + 10 * epoch / self.epochs) ** -0.75
                self._run_epoch(fitted, passes, optimizer)
        fitted.backbone.requires_grad_(False)

    def _run_epoch(
        self,
        model: "_Fitted",
        passes: Callable[[], Iterable[Tensor]],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        centroids = _centroids(model, passes())
        for images in passes():
            features = model.features(images)
            labels = nearest_centroid(features.detach(), centroids)
            loss = shot_loss(model.head(features), labels, self.beta, diversity=self.diversity)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class _Fitted(Protocol):
    """What `adapt` is given."""

    backbone: nn.Module
    head: nn.Module

    def features(self, images: Tensor) -> Tensor: ...


def shot_loss(logits: Tensor, labels: Tensor, beta: float, *, diversity: bool) -> Tensor:
    """Mean H(p) − H(p̄) + beta · CE; without `diversity` H(p̄) is left out."""
    loss = entropy(logits).mean() + beta * nn.functional.cross_entropy(logits, labels)
    return loss - entropy_of_mean(logits) if diversity else loss


@torch.no_grad()
def _centroids(model: _Fitted, batches: Iterable[Tensor]) -> Tensor:
    """(K, D) class centroids of one pass; (0, 0) where it is empty."""
    features = [model.features(images) for images in batches]
    if not features:
        return torch.zeros(0, 0)
    joined = torch.cat(features)
    return class_centroids(joined, model.head(joined).softmax(1))


def _optimizer(backbone: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        backbone.parameters(), rate, momentum=0.9, weight_decay=1e-3, nesterov=True
    )
