"""Frozen strategies: alignment and head as closed forms on cached features."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from automl_xfer.components import AlignedFeatures, AlignmentMethod, StagedModel, Strategy
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.finishing import adapts_backbone, finish_backbone
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.weighting import class_weights, domain_weights

MIRROR_LIMIT = 600
"""Mirror images are a second view of parts up to this size; beyond it they add little but time."""


@dataclass(frozen=True)
class FrozenFeatures:
    """Reads the features of parts for one backbone, as the head takes them."""

    cache: FeatureCache
    backbone: StagedModel
    device: str
    feature_map: nn.Linear | None = None

    def read(self, part: Part, *, flip: bool = False) -> Tensor:
        """(N, D') float32 features of a part."""
        whole = self.cache.features(self.backbone, part.image_set, self.device, flip=flip)
        features = torch.from_numpy(np.asarray(whole[part.indices], np.float32))
        return features if self.feature_map is None else self.feature_map(features)

    def views(self, part: Part) -> list[Tensor]:
        """The features of the images and, for a small set, of their mirror images."""
        flips = (False, True) if len(part.image_set) <= MIRROR_LIMIT else (False,)
        return [self.read(part, flip=flip) for flip in flips]


@dataclass(frozen=True)
class ClosedForm:
    """A fitted frozen strategy: how each domain's features are read, and the head behind them."""

    target: FrozenFeatures
    target_head: nn.Module
    source: FrozenFeatures
    source_head: nn.Module


@torch.no_grad()
def fit_closed_form(
    strategy: Strategy,
    parts: TrainingParts,
    backbone: StagedModel,
    context: FitContext,
) -> ClosedForm:
    """Adapt the backbone, align the features, fit the head and refine it on the target."""
    source, target = _readers(strategy.alignment, parts, backbone, context)
    if domains_used(strategy.alignment, parts)[0]:
        aligned = _align(strategy.alignment, parts, source, target)
        source = replace(source, feature_map=aligned.source_map)
        target = replace(target, feature_map=aligned.target_map)
    head = fit_head(strategy, parts, source, target)
    refined = _refine(strategy.alignment, parts, target, head)
    return ClosedForm(target, refined, source, head)


@torch.no_grad()
def fit_head(
    strategy: Strategy, parts: TrainingParts, source: FrozenFeatures, target: FrozenFeatures
) -> nn.Module:
    """The head on the labelled features of the domains that the strategy trains on."""
    use_source, use_target = domains_used(strategy.alignment, parts)
    samples = []
    if use_source and parts.source is not None:
        samples.append(_samples(source, parts.source))
    if use_target and parts.target is not None:
        samples.append(_samples(target, parts.target))
    return _fit_samples(strategy, samples, parts.num_classes)


def _readers(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    backbone: StagedModel,
    context: FitContext,
) -> tuple[FrozenFeatures, FrozenFeatures]:
    """Feature readers of source and target; two backbones where each domain is adapted."""
    source = target = FrozenFeatures(context.cache, backbone, context.device)
    if adapts_backbone(alignment):
        adapted = copy.deepcopy(backbone)
        finish_backbone(alignment, adapted, parts.unlabelled, context)
        target = replace(target, backbone=adapted)
        if alignment.adapts_each_domain and parts.source is not None:
            # Images only: the whole set, so that every fold shares one backbone and its features.
            images = Part.whole(parts.source.image_set).without_labels()
            backbone = copy.deepcopy(backbone)
            finish_backbone(alignment, backbone, (images,), context)
            source = replace(source, backbone=backbone)
    return source, target


def reads_unlabelled(alignment: AlignmentMethod) -> bool:
    """Whether a closed form uses unlabelled target images, by statistics or by features."""
    method = type(alignment)
    return (
        adapts_backbone(alignment)
        or method.align is not AlignmentMethod.align
        or method.target_head is not AlignmentMethod.target_head
    )


def domains_used(alignment: AlignmentMethod, parts: TrainingParts) -> tuple[bool, bool]:
    """Whether source and target labels train the head; without target labels the source's do."""
    if parts.target is None:
        return True, False
    return "source" in alignment.trains_on and parts.source is not None, (
        "target" in alignment.trains_on
    )


def _align(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    source: FrozenFeatures,
    target: FrozenFeatures,
) -> AlignedFeatures:
    """The maps of a closed-form alignment; no map where the method offers none."""
    if type(alignment).align is AlignmentMethod.align:
        return AlignedFeatures()
    assert parts.source is not None
    features, labels, _ = _samples(source, parts.source)
    seen = torch.cat([view for part in parts.unlabelled for view in target.views(part)])
    return alignment.align(features, labels, seen) or AlignedFeatures()


def _refine(
    alignment: AlignmentMethod, parts: TrainingParts, target: FrozenFeatures, head: nn.Module
) -> nn.Module:
    """The head after the method has refined it on unlabelled target features."""
    if type(alignment).target_head is AlignmentMethod.target_head:
        return head
    seen = torch.cat([target.read(part) for part in parts.unlabelled])
    refined = alignment.target_head(seen.shape[1], parts.num_classes)
    if refined is None:
        return head
    alignment.refine(refined, seen, head(seen).softmax(1))
    return refined


Samples = tuple[Tensor, Tensor, Tensor]
"""Features (N, D), labels (N,), groups (N,): an image and its mirror image are one group."""


def _samples(reader: FrozenFeatures, part: Part) -> Samples:
    views = reader.views(part)
    assert part.labels is not None
    labels = torch.from_numpy(np.tile(part.labels, len(views)))
    return torch.cat(views), labels, torch.arange(len(part)).repeat(len(views))


def _fit_samples(strategy: Strategy, samples: list[Samples], num_classes: int) -> nn.Module:
    """The head on all domains' samples; every domain has the same total weight."""
    weights = domain_weights([len(labels) for _, labels, _ in samples])
    if strategy.optimization.balance_classes:
        weights = weights * np.concatenate(
            [class_weights(labels.numpy(), num_classes)[labels] for _, labels, _ in samples]
        )
    features = torch.cat([part for part, _, _ in samples])
    labels = torch.cat([part for _, part, _ in samples])
    offsets = np.cumsum([0, *(len(part) for _, part, _ in samples)])
    groups = torch.cat(
        [part + int(offset) for (_, _, part), offset in zip(samples, offsets, strict=False)]
    )
    weight = torch.from_numpy(weights)
    head = strategy.head.fit(features, labels, num_classes, weight, groups)
    if head is None:
        head = strategy.head.build(features.shape[1], num_classes)
        _fit_by_gradient(head, features, labels, weight)
    return head


@torch.enable_grad()
def _fit_by_gradient(head: nn.Module, features: Tensor, labels: Tensor, weights: Tensor) -> None:
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
