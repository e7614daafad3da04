"""How much a trial learns from each source: measured on frozen features, weighed by its component.

Only the labels that the fit may see are read, so that every fold measures anew.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import SourceDomain, SourceSelection, StagedModel, Strategy
from automl_xfer.evaluation.domain_distance import (
    neighbour_agreement,
    source_consistency,
    squared_mmd,
)
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.head_fit import domains_used
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone

_Known = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Features and labels of some images."""

_SAMPLE = 500
"""So many images of a domain are enough to measure it."""


@dataclass(frozen=True)
class SourceUse:
    """One source as measured, and the weight that its images got, mean 1 over all images."""

    domain: SourceDomain
    weight: float


def use_sources(
    strategy: Strategy, parts: TrainingParts, names: tuple[str, ...], context: FitContext
) -> tuple[TrainingParts, tuple[SourceUse, ...]]:
    """The parts with weighted source images, those of weight 0 left out, and the weights.

    Unchanged where there are not two sources to choose from or all count alike.
    """
    source = parts.source
    if source is None or len(names) < 2 or not domains_used(strategy.alignment, parts)[0]:
        return parts, ()
    backbone = starting_backbone(strategy.backbone, parts, context)
    domains = measure_sources(parts, names, backbone, context)
    weights = _weights(strategy.sources, domains, parts.num_classes)
    assert source.domains is not None
    of_rows = weights[source.domains[source.indices]]
    of_rows = of_rows / of_rows.mean()
    scale = float(of_rows.max() / weights.max())
    uses = tuple(
        SourceUse(domain, float(weight) * scale)
        for domain, weight in zip(domains, weights, strict=True)
    )
    if np.ptp(of_rows) == 0:
        return parts, uses
    kept = np.flatnonzero(of_rows > 0)
    narrowed = replace(source, weights=of_rows.astype(np.float32)).take(kept)
    return replace(parts, source=narrowed), uses


def _weights(
    selection: SourceSelection, domains: tuple[SourceDomain, ...], num_classes: int
) -> NDArray[np.float64]:
    weights = np.asarray(selection.weights(domains, num_classes), np.float64)
    return weights if weights.sum() > 0 else np.ones(len(domains))


def measure_sources(
    parts: TrainingParts, names: tuple[str, ...], backbone: StagedModel, context: FitContext
) -> tuple[SourceDomain, ...]:
    """Every source beside the target and the others, on features of the backbone as it starts."""
    source = parts.source
    assert source is not None and source.domains is not None

    def features(part: Part) -> NDArray[np.float32]:
        whole = context.cache.features(backbone, part.image_set, context.device)
        return np.asarray(whole[part.indices], np.float32)

    of_rows = source.domains[source.indices]
    samples = [_sample(source.take(np.flatnonzero(of_rows == k))) for k in range(len(names))]
    known = [(features(part), _labels(part)) for part in samples]
    target = np.concatenate([features(_sample(part)) for part in parts.unlabelled])
    labelled = None
    if parts.target is not None:
        labelled = (features(parts.target), _labels(parts.target))
    return tuple(
        SourceDomain(
            name=name,
            images=int(np.sum(of_rows == place)),
            distance=squared_mmd(known[place][0], target),
            consistency=source_consistency(*known[place]),
            agreement=_agreement(known, place, labelled),
        )
        for place, name in enumerate(names)
    )


def _agreement(known: list[_Known], place: int, labelled: _Known | None) -> float | None:
    """On the labelled target images, else the best agreement with another source."""
    if labelled is not None:
        return neighbour_agreement(*known[place], *labelled)
    others = [each for other, each in enumerate(known) if other != place]
    return max((neighbour_agreement(*known[place], *each) for each in others), default=None)


def _labels(part: Part) -> NDArray[np.int64]:
    assert part.labels is not None
    return part.labels


def _sample(part: Part) -> Part:
    rows = np.random.default_rng(0).permutation(len(part))[:_SAMPLE]
    return part.take(np.sort(rows))
