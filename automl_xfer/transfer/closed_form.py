"""Frozen strategies: alignment and head as closed forms on cached features."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_xfer.components import AlignedFeatures, AlignmentMethod, StagedModel, Strategy
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.model import pixel_batches
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.weighting import class_weights, domain_weights


@dataclass(frozen=True)
class FrozenFeatures:
    """Reads the features of parts for one backbone."""

    cache: FeatureCache
    backbone: StagedModel
    device: str
    feature_map: nn.Linear | None = None

    def mapped(self, part: Part, *, flip: bool = False) -> Tensor:
        """(N, D') features as the head takes them."""
        return _map(self.feature_map, self.read(part, flip=flip))

    def read(self, part: Part, *, flip: bool = False) -> Tensor:
        """(N, D) float32 features of a part."""
        whole = self.cache.features(self.backbone, part.image_set, self.device, flip=flip)
        return torch.from_numpy(np.asarray(whole[part.indices], np.float32))


def adapts_backbone(alignment: AlignmentMethod) -> bool:
    """Whether the method changes the backbone after training."""
    return type(alignment).finish is not AlignmentMethod.finish


def finish_backbone(
    alignment: AlignmentMethod, backbone: StagedModel, unlabelled: tuple[Part, ...], device: str
) -> None:
    """Let the alignment method change the backbone from target images (AdaBN)."""
    if not adapts_backbone(alignment):
        return
    batches = (
        backbone.normalise(pixels)
        for part in unlabelled
        for pixels in pixel_batches(part, 64, device)
    )
    alignment.finish(backbone.to(device), batches)


def fit_closed_form(
    strategy: Strategy, parts: TrainingParts, source: FrozenFeatures, target: FrozenFeatures
) -> tuple[nn.Module, AlignedFeatures]:
    """The head of a frozen strategy, and the maps in front of it for source and target.

    `source` and `target` read features; they differ when the method adapts the backbone to the
    target. Images and their mirror images are both samples.
    """
    features, labels = [], []
    aligned = AlignedFeatures()
    use_source, use_target = domains_used(strategy.alignment, parts)
    if use_source and parts.source is not None and parts.source.labels is not None:
        source_features = _both_views(source, parts.source)
        source_labels = np.tile(parts.source.labels, 2)
        seen = torch.cat([_both_views(target, part) for part in parts.unlabelled])
        aligned = (
            strategy.alignment.align(source_features, torch.from_numpy(source_labels), seen)
            or aligned
        )
        features.append(_map(aligned.source_map, source_features))
        labels.append(source_labels)
    if use_target and parts.target is not None and parts.target.labels is not None:
        target_features = _both_views(target, parts.target)
        features.append(_map(aligned.target_map, target_features))
        labels.append(np.tile(parts.target.labels, 2))
    head = _fit_head(strategy, features, labels, parts.num_classes)
    return head, aligned


def domains_used(alignment: AlignmentMethod, parts: TrainingParts) -> tuple[bool, bool]:
    """Whether source and target labels train the head; without target labels the source's do."""
    if parts.target is None:
        return True, False
    return "source" in alignment.trains_on and parts.source is not None, (
        "target" in alignment.trains_on
    )


def _map(feature_map: nn.Linear | None, features: Tensor) -> Tensor:
    return features if feature_map is None else feature_map(features)


def _both_views(reader: FrozenFeatures, part: Part) -> Tensor:
    return torch.cat([reader.read(part), reader.read(part, flip=True)])


@torch.no_grad()
def _fit_head(
    strategy: Strategy, features: list[Tensor], labels: list[NDArray[np.int64]], num_classes: int
) -> nn.Module:
    weights = domain_weights([len(part) for part in labels])
    if strategy.optimization.balance_classes:
        weights = weights * np.concatenate(
            [class_weights(part, num_classes)[part] for part in labels]
        )
    stacked = torch.cat(features).detach()
    head = strategy.head.fit(
        stacked, torch.from_numpy(np.concatenate(labels)), num_classes, torch.from_numpy(weights)
    )
    if head is None:
        return fit_by_gradient(
            strategy.head.build(stacked.shape[1], num_classes),
            stacked,
            torch.from_numpy(np.concatenate(labels)),
            torch.from_numpy(weights),
        )
    return head


@torch.enable_grad()
def fit_by_gradient(
    head: nn.Module, features: Tensor, labels: Tensor, weights: Tensor
) -> nn.Module:
    """Weighted cross-entropy with a small ridge by full-batch L-BFGS, for heads without a form."""
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(head(features), labels, reduction="none")
        ridge = sum(parameter.square().sum() for parameter in head.parameters())
        loss: Tensor = (losses * weights).mean() + 1e-3 * ridge
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return head
