"""Each source as the finished winner leaves it: weight, and distance before and after alignment."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import SourceDomain, Strategy
from automl_xfer.evaluation.domain_distance import domain_distance, prior_difference
from automl_xfer.search.plan import training_parts
from automl_xfer.search.source_use import NEAR_ZERO, measure_sources, measuring_backbone
from automl_xfer.study.records import SourceResult
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import extract
from automl_xfer.transfer.fit import FittedStrategy
from automl_xfer.transfer.parts import Part, StudyData, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone

_SAMPLE = 300


def source_results(
    data: StudyData,
    fitted: FittedStrategy,
    strategy: Strategy,
    context: FitContext,
    used: TrainingParts,
) -> list[SourceResult]:
    """One entry for each source, in the order of their names; the weights are still to be set.

    `used` is what was fitted on, which a backbone that is trained on the source began with too.
    """
    parts = training_parts(data)
    assert parts.source is not None and data.source_domains is not None
    backbone = starting_backbone(strategy.backbone, used, context)
    measuring = measuring_backbone(strategy, parts, context)
    domains = measure_sources(parts, data.source_names, measuring, context)

    def plain(part: Part) -> NDArray[np.float32]:
        if not strategy.frozen:
            return extract(backbone, part, context.device).astype(np.float32)
        found = context.cache.features(backbone, part.image_set, context.device, rows=part.indices)
        return np.asarray(found, np.float32)

    target = _spread(parts.unlabelled)
    before = np.concatenate([plain(part) for part in target])
    after = np.concatenate([fitted.features(part).numpy() for part in target])
    results = []
    for place, domain in enumerate(domains):
        rows = np.flatnonzero(data.source_domains == place)
        mine = parts.source.take(np.random.default_rng(0).permutation(rows)[:_SAMPLE])
        aligned = fitted.features(mine, from_source=True).numpy()
        results.append(
            _result(
                domain,
                asdict(domain_distance(plain(mine), before)),
                asdict(domain_distance(aligned, after)),
                _prior_difference(parts, rows),
            )
        )
    return results


def _result(
    domain: SourceDomain,
    before: dict[str, float | None],
    after: dict[str, float | None],
    difference: float | None,
) -> SourceResult:
    return SourceResult(
        name=domain.name,
        images=domain.images,
        weight=None,
        consistency=domain.consistency,
        agreement=domain.agreement,
        before=before,
        after=after,
        prior_difference=difference,
    )


def _spread(parts: tuple[Part, ...]) -> list[Part]:
    """A sample over several parts, each by its share."""
    total = sum(len(part) for part in parts)
    shares = [min(len(part), -(-_SAMPLE * len(part) // total)) for part in parts]
    random = np.random.default_rng(0)
    return [
        part.take(np.sort(random.permutation(len(part))[:share]))
        for part, share in zip(parts, shares, strict=True)
        if share
    ]


def _prior_difference(parts: TrainingParts, rows: NDArray[np.int64]) -> float | None:
    if parts.target is None or parts.source is None:
        return None
    assert parts.target.labels is not None and parts.source.labels is not None
    return prior_difference(parts.source.labels[rows], parts.target.labels, parts.num_classes)


def source_notes(sources: tuple[SourceResult, ...]) -> list[str]:
    """A sentence for each source that the winner, or a part of it, leaves out or hardly heeds."""
    notes = []
    for source in sources:
        weight, deaf = source["weight"], source.get("left_out_by", 0.0)
        if weight is None or (weight >= NEAR_ZERO and not deaf):
            continue
        why = f"neighbours in it share a label {source['consistency']:.0%} of the time"
        if source["agreement"] is not None:
            why += f", its labels hold elsewhere {source['agreement']:.0%} of the time"
        far = source["before"]["mmd"]
        if far is not None:
            why += f", and its distance to the target (squared MMD) is {far:.2f}"
        named = f"the source {source['name']} (weight {weight:.2f})"
        if weight >= NEAR_ZERO:
            notes.append(f"{deaf:.0%} of the winner does not learn from {named}: {why}.")
            continue
        heard = "does not learn from" if not weight else "hardly learns from"
        notes.append(f"The winner {heard} {named}: {why}.")
    return notes
