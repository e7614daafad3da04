"""Frozen strategies: alignment and head as closed forms on cached features."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from automl_xfer.components import (
    AlignedFeatures,
    AlignmentMethod,
    StagedModel,
    Strategy,
)
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.finishing import adapts_backbone, finished_backbone
from automl_xfer.transfer.frozen_features import FrozenFeatures, head_for
from automl_xfer.transfer.head_fit import (
    all_views,
    domains_used,
    fit_samples,
    labelled_samples,
    sample_weights,
)
from automl_xfer.transfer.parts import Part, TrainingParts


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
    weights = sample_weights(strategy.alignment, parts, source, target)
    if domains_used(strategy.alignment, parts)[0]:
        aligned = _align(strategy.alignment, parts, source, target, weights)
        source = replace(source, feature_map=aligned.source_map)
        target = replace(target, feature_map=aligned.target_map)
    made = head_for(strategy, backbone)
    balance = strategy.optimization.balance_classes
    samples = labelled_samples(strategy.alignment, parts, source, target, weights)
    head, prior = fit_samples(made, samples, parts.num_classes, balance=balance)
    refined = _refine(strategy.alignment, parts, target, head, prior)
    return ClosedForm(target, refined, source, head)


def _readers(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    backbone: StagedModel,
    context: FitContext,
) -> tuple[FrozenFeatures, FrozenFeatures]:
    """Feature readers of source and target; two backbones where each domain is adapted."""
    source = target = FrozenFeatures(context.cache, backbone, context.device)
    if adapts_backbone(alignment):
        adapted = finished_backbone(alignment, backbone, parts.adapting, context)
        target = replace(target, backbone=adapted, keys=())
        if alignment.adapts_each_domain and parts.source is not None:
            # Images only: the whole set, so that every fold shares one backbone and its features.
            images = _whole_sources(parts.source)
            backbone = finished_backbone(alignment, backbone, (images,), context)
            source = replace(source, backbone=backbone, keys=())
    return source, target


def _whole_sources(source: Part) -> Part:
    """All images, without labels, of the sources that are used."""
    if source.domains is None:
        return Part.whole(source.image_set).without_labels()
    used = np.unique(source.domains[source.indices])
    return Part(source.image_set, np.flatnonzero(np.isin(source.domains, used)))


def reads_unlabelled(alignment: AlignmentMethod) -> bool:
    """Whether a closed form uses unlabelled target images, by statistics or by features."""
    method = type(alignment)
    base = AlignmentMethod
    return adapts_backbone(alignment) or any(
        mine is not theirs
        for mine, theirs in (
            (method.align, base.align),
            (method.target_head, base.target_head),
            (method.sample_weights, base.sample_weights),
            (method.adapt, base.adapt),
        )
    )


def _align(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    source: FrozenFeatures,
    target: FrozenFeatures,
    weights: Tensor | None,
) -> AlignedFeatures:
    """The maps of a closed-form alignment; no map where the method offers none.

    Source images that do not count alike are drawn by their weights first.
    """
    if type(alignment).align is AlignmentMethod.align:
        return AlignedFeatures()
    assert parts.source is not None
    known = all_views(source, parts.source, weights)
    features, labels = known.features, known.labels
    if known.weights.min() < known.weights.max():
        draw = torch.Generator().manual_seed(0)
        rows = torch.multinomial(known.weights, len(labels), replacement=True, generator=draw)
        features, labels = features[rows], labels[rows]
    seen = torch.cat([view for part in parts.unlabelled for view in target.views(part)])
    return alignment.align(features, labels, seen) or AlignedFeatures()


def _refine(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    target: FrozenFeatures,
    head: nn.Module,
    prior: Tensor,
) -> nn.Module:
    """The head after the method has refined it on target features, told whose label is known."""
    if type(alignment).target_head is AlignmentMethod.target_head:
        return head
    seen = torch.cat([target.read(part) for part in parts.unlabelled])
    refined = alignment.target_head(seen.shape[1], parts.num_classes, head)
    if refined is None:
        return head
    labels = known_labels(alignment, parts).to(seen.device)
    probabilities, known = head(seen).softmax(1), labels >= 0
    of_known = nn.functional.one_hot(labels[known], parts.num_classes)
    probabilities[known] = of_known.to(probabilities.dtype)
    alignment.refine(refined, seen, probabilities, prior, known)
    return refined


def known_labels(alignment: AlignmentMethod, parts: TrainingParts) -> Tensor:
    """(M,) labels of those images of `parts.unlabelled` that train with them; -1 of the others."""
    _, use_target = domains_used(alignment, parts)
    target = parts.target if use_target else None
    found = []
    for part in parts.unlabelled:
        labels = np.full(len(part), -1)
        if target is not None and part.image_set.key == target.image_set.key:
            assert target.labels is not None
            _, here, there = np.intersect1d(part.indices, target.indices, return_indices=True)
            labels[here] = target.labels[there]
        found.append(torch.from_numpy(labels))
    return torch.cat(found)
