"""What a trial leaves for the validators, beside its predictions on the unlabelled target."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import MixedPredictions, PseudoTarget, Strategy
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.fit import FittedStrategy
from automl_xfer.transfer.gradient import NonFiniteLossError
from automl_xfer.transfer.parts import Part, TrainingParts

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
    classes: Mapping[str, Mapping[str, type]],
) -> PseudoTarget | None:
    """The strategy trained without the largest source and tried on it.

    None where there is no other source. A fit that fails predicts every class alike.
    """
    source = parts.source
    if source is None or source.domains is None or len(names) < 2 or parts.target is not None:
        return None
    of_rows: NDArray[np.int64] = source.domains[source.indices]
    largest = int(np.argmax(np.bincount(of_rows, minlength=len(names))))
    held_out, rest = (np.flatnonzero(rows) for rows in (of_rows == largest, of_rows != largest))
    if not len(rest):
        return None
    trial, others = source.take(held_out), tuple(np.delete(names, largest).tolist())
    left = replace(source.take(rest), domains=_renumbered(source.domains, largest))
    seen = (trial.without_labels(),)
    inner = replace(parts, source=left, unlabelled=seen, every_target=None)
    try:
        done = fit_strategy(strategy, inner, others, context, classes)
        probabilities = done.fitted.predict(trial)
    except NonFiniteLossError:
        probabilities = np.full((len(trial), parts.num_classes), np.nan, np.float32)
    assert trial.labels is not None
    alike = np.float32(1 / parts.num_classes)
    return PseudoTarget(np.where(np.isfinite(probabilities), probabilities, alike), trial.labels)


def _renumbered(domains: NDArray[np.int64], left_out: int) -> NDArray[np.int64]:
    """The numbers of the sources that are left; -1 for the images of the other."""
    return np.where(domains == left_out, -1, domains - (domains > left_out))
