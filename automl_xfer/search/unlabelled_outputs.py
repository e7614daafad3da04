"""What a trial leaves for the validators, beside its predictions on the unlabelled target."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import MixedPredictions, PseudoTarget, Strategy
from automl_xfer.search.source_use import measure_sources, use_sources
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.fit import FittedStrategy, fit
from automl_xfer.transfer.parts import Part, TrainingParts
from automl_xfer.transfer.pretrain import starting_backbone

_MIXTURES = 300
_SHARE = 0.55
"""Share of the first image in a mixture: it dominates, just."""


def mixed_predictions(fitted: FittedStrategy, target: Part) -> MixedPredictions:
    """Predictions on mixtures of the features of up to 300 pairs of target images.

    MixVal (Hu et al. 2023, arXiv 2310.04099) mixes pixels; features cost no forward pass.
    """
    random = np.random.default_rng(0)
    rows = np.sort(random.permutation(len(target))[:_MIXTURES])
    partner = random.permutation(len(rows))
    features = fitted.features(target.take(rows))
    mixed = _SHARE * features + (1 - _SHARE) * features[partner]
    return MixedPredictions(fitted.classify(mixed), rows, rows[partner], _SHARE)


def pseudo_target(
    strategy: Strategy,
    parts: TrainingParts,
    names: tuple[str, ...],
    context: FitContext,
    teacher: Strategy | None,
) -> PseudoTarget | None:
    """The strategy trained without one source and tried on it; None where there is no other.

    The one held out is the nearest to the target: of all sources it is the most like it.
    """
    source = parts.source
    if source is None or source.domains is None or len(names) < 2 or parts.target is not None:
        return None
    backbone = starting_backbone(strategy.backbone, parts, context)
    distances = [each.distance for each in measure_sources(parts, names, backbone, context)]
    of_rows: NDArray[np.int64] = source.domains[source.indices]
    nearest = int(np.argmin(distances))
    held_out, rest = (np.flatnonzero(rows) for rows in (of_rows == nearest, of_rows != nearest))
    trial = source.take(held_out)
    assert trial.labels is not None
    renumbered = source.domains - (source.domains > nearest)
    others = tuple(name for place, name in enumerate(names) if place != nearest)
    left = replace(source.take(rest), domains=renumbered)
    inner = replace(parts, source=left, unlabelled=(trial.without_labels(),))
    inner, _ = use_sources(strategy, inner, others, context)
    fitted = fit(strategy, inner, context, teacher=teacher)
    return PseudoTarget(fitted.predict(trial), trial.labels)
