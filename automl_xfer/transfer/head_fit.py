"""A head fitted on labelled features: which samples it sees, and what each counts."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Head
from automl_xfer.transfer.frozen_features import FrozenFeatures
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.threads import fitting_threads
from automl_xfer.transfer.weighting import class_weights, domain_weights


def domains_used(alignment: AlignmentMethod, parts: TrainingParts) -> tuple[bool, bool]:
    """Whether source and target labels train the head; without target labels the source's do."""
    if parts.target is None:
        return True, False
    return "source" in alignment.trains_on and parts.source is not None, (
        "target" in alignment.trains_on
    )


def weighs_samples(alignment: AlignmentMethod, parts: TrainingParts) -> bool:
    """Whether the source images do not all count alike."""
    own = type(alignment).sample_weights is not AlignmentMethod.sample_weights
    return own or (parts.source is not None and parts.source.weights is not None)


def sample_weights(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    source: FrozenFeatures,
    target: FrozenFeatures,
) -> Tensor | None:
    """Weights (N_s,) of the source images: of their sources, times the method's own; mean 1."""
    if parts.source is None or not domains_used(alignment, parts)[0]:
        return None
    given = parts.source.weights
    weights = torch.ones(len(parts.source)) if given is None else torch.from_numpy(given)
    if type(alignment).sample_weights is not AlignmentMethod.sample_weights:
        labels = torch.from_numpy(parts.source.labels)
        seen = torch.cat([target.read(part) for part in parts.unlabelled])
        own = alignment.sample_weights(source.read(parts.source), labels, seen)
        weights = weights if own is None else weights * own.float()
    return weights / weights.mean().clamp_min(1e-12)


@dataclass(frozen=True)
class Samples:
    """One domain's labelled features: an image and its mirror image are one group."""

    features: Tensor  # (N, D)
    labels: Tensor  # (N,)
    groups: Tensor  # (N,)
    weights: Tensor  # (N,) mean 1


def labelled_samples(
    alignment: AlignmentMethod,
    parts: TrainingParts,
    source: FrozenFeatures,
    target: FrozenFeatures,
    weights: Tensor | None = None,
) -> list[Samples]:
    """The labelled features of the domains that the method trains on; `weights` (N_s,) or None."""
    use_source, use_target = domains_used(alignment, parts)
    samples = []
    if use_source and parts.source is not None:
        samples.append(all_views(source, parts.source, weights))
    if use_target and parts.target is not None:
        samples.append(all_views(target, parts.target))
    return samples


def all_views(reader: FrozenFeatures, part: Part, weights: Tensor | None = None) -> Samples:
    """The images of a part and, for a small set, their mirror images."""
    views = reader.views(part)
    assert part.labels is not None
    labels = torch.from_numpy(np.tile(part.labels, len(views)))
    groups = torch.arange(len(part)).repeat(len(views))
    each = torch.ones(len(part)) if weights is None else weights
    return Samples(torch.cat(views), labels, groups, each.repeat(len(views)))


def _balancing(samples: Samples, num_classes: int) -> Tensor:
    """(N,) weights that give every class of a domain the same total."""
    labels = samples.labels.numpy()
    return torch.from_numpy(class_weights(labels, num_classes, samples.weights.numpy())[labels])


def fit_samples(
    made: Head, samples: list[Samples], num_classes: int, *, balance: bool
) -> tuple[nn.Module, Tensor]:
    """The head on all domains' samples, and the class shares (K,) that it was fitted on.

    Every domain has the same total weight.
    """
    weights = domain_weights([len(each.labels) for each in samples])
    weight = torch.from_numpy(weights) * torch.cat([each.weights for each in samples])
    if balance:
        weight = weight * torch.cat([_balancing(each, num_classes) for each in samples])
    features = torch.cat([each.features for each in samples])
    labels = torch.cat([each.labels for each in samples])
    starts = np.cumsum([0, *(len(each.labels) for each in samples)])
    groups = torch.cat([s.groups + int(start) for s, start in zip(samples, starts, strict=False)])
    kept = weight > 0
    features, labels, groups, weight = features[kept], labels[kept], groups[kept], weight[kept]
    with fitting_threads(features.numel()):
        head = made.fit(features, labels, num_classes, weight, groups)
        if head is None:
            head = made.build(features.shape[1], num_classes)
            _fit_by_gradient(head, features, labels, weight)
    shares = torch.zeros(num_classes).index_add_(0, labels, weight.float())
    return head, shares / shares.sum()


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
