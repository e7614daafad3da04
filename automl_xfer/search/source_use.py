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

NEAR_ZERO = 0.1
"""A source whose images weigh less than this, where the mean is 1, is as good as left out."""

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
    domains = _measured(strategy, parts, names, context)
    assert source.domains is not None
    rows_of = source.domains[source.indices]
    weights = _weights(strategy.sources, domains, parts.num_classes)
    of_rows = weights[rows_of]
    uses = tuple(
        SourceUse(domain, float(weight / of_rows.mean()))
        for domain, weight in zip(domains, weights, strict=True)
    )
    if np.ptp(of_rows) == 0:
        return parts, uses
    kept = np.flatnonzero(of_rows > 0)
    relative = (of_rows / of_rows[kept].mean()).astype(np.float32)
    return replace(parts, source=replace(source, weights=relative).take(kept)), uses


def _measured(
    strategy: Strategy, parts: TrainingParts, names: tuple[str, ...], context: FitContext
) -> tuple[SourceDomain, ...]:
    """The sources as the selection sees them; unmeasured where it looks at nothing."""
    if strategy.sources.measures:
        return measure_sources(parts, names, measuring_backbone(strategy, parts, context), context)
    assert parts.source is not None and parts.source.domains is not None
    counts = np.bincount(parts.source.domains[parts.source.indices], minlength=len(names))
    return tuple(
        SourceDomain(name, int(n), np.nan, np.nan, None)
        for name, n in zip(names, counts, strict=True)
    )


def _weights(
    selection: SourceSelection, domains: tuple[SourceDomain, ...], num_classes: int
) -> NDArray[np.float64]:
    """A weight for each source, 0 for one without an image here; all alike where all would be 0."""
    there = np.array([domain.images > 0 for domain in domains])
    present = [domain for domain in domains if domain.images]
    weights = np.zeros(len(domains))
    weights[there] = np.asarray(selection.weights(present, num_classes), np.float64)
    return weights if weights.sum() > 0 else there.astype(np.float64)


def measuring_backbone(
    strategy: Strategy, parts: TrainingParts, context: FitContext
) -> StagedModel:
    """The backbone before any training on the sources, whose labels it would otherwise praise."""
    return starting_backbone(strategy.backbone, replace(parts, source=None), context)


def measure_sources(
    parts: TrainingParts, names: tuple[str, ...], backbone: StagedModel, context: FitContext
) -> tuple[SourceDomain, ...]:
    """Every source beside the target and the others, on features of the backbone as it starts."""
    source = parts.source
    assert source is not None and source.domains is not None

    def features(part: Part) -> NDArray[np.float32]:
        found = context.cache.features(backbone, part.image_set, context.device, rows=part.indices)
        return np.asarray(found, np.float32)

    of_rows = source.domains[source.indices]
    there = [k for k in range(len(names)) if np.any(of_rows == k)]
    samples = {k: _sample(source.take(np.flatnonzero(of_rows == k))) for k in there}
    known = {k: (features(part), _labels(part)) for k, part in samples.items()}
    target = np.concatenate([features(_sample(part)) for part in parts.unlabelled])
    labelled = None
    if parts.target is not None:
        labelled = (features(parts.target), _labels(parts.target))
    measured = []
    for place, name in enumerate(names):
        if place not in known:
            measured.append(SourceDomain(name, 0, np.nan, np.nan, None))
            continue
        others = [each for other, each in known.items() if other != place]
        measured.append(
            SourceDomain(
                name=name,
                images=int(np.sum(of_rows == place)),
                distance=squared_mmd(known[place][0], target),
                consistency=source_consistency(*known[place]),
                agreement=_agreement(known[place], others, labelled),
            )
        )
    return tuple(measured)


def _agreement(own: _Known, others: list[_Known], labelled: _Known | None) -> float | None:
    """On the labelled target images, else the best agreement with another source."""
    if labelled is not None:
        agreement: float = neighbour_agreement(*own, *labelled)
        return agreement
    return max((neighbour_agreement(*own, *each) for each in others), default=None)


def _labels(part: Part) -> NDArray[np.int64]:
    assert part.labels is not None
    return part.labels


def _sample(part: Part) -> Part:
    rows = np.random.default_rng(0).permutation(len(part))[:_SAMPLE]
    return part.take(np.sort(rows))
