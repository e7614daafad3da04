"""Checks of what judges: validators, transferability estimators and the choice of sources."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from automl_xfer.components import (
    MixedPredictions,
    PseudoTarget,
    SourceDomain,
    SourceSelection,
    TransferabilityEstimator,
    UnlabelledPredictions,
    Validator,
)
from automl_xfer.testing.check import Check, expect
from automl_xfer.testing.toy_domains import NUM_CLASSES, ToyDomains, toy_features


def check_score_is_finite_or_nan(validator: Validator) -> None:
    for words, predictions in _situations().items():
        score = validator.score(predictions)
        number = isinstance(score, float | int) and not isinstance(score, bool)
        expect(number, f"{words} it is {type(score).__name__}; return a float")
        expect(
            not math.isinf(score), f"{words} it is {score}; return NaN where nothing can be said"
        )


def check_score_does_not_change_its_input(validator: Validator) -> None:
    given, untouched = (_situations()["with all there can be"] for _ in range(2))
    validator.score(given)
    same = all(map(np.array_equal, _arrays(given), _arrays(untouched)))
    expect(same, "score changed its predictions in place; work on a copy")


def check_score_is_the_same_each_time(validator: Validator) -> None:
    for predictions in _situations().values():
        first, second = (validator.score(predictions) for _ in range(2))
        same = first == second or (math.isnan(first) and math.isnan(second))
        expect(same, f"it is {first} and then {second}")


def check_estimate_is_finite(estimator: TransferabilityEstimator) -> None:
    domains = toy_features()
    scores = {"with unlabelled target images": _estimate(estimator, domains)}
    if "target_labels" in estimator.requires:
        alone = estimator.estimate(domains.source, domains.source_labels, domains.target[:0])
        scores["without unlabelled target images"] = alone
    for words, score in scores.items():
        number = isinstance(score, float | int) and not isinstance(score, bool)
        expect(number, f"{words} it is {type(score).__name__}; return a float")
        expect(math.isfinite(score), f"{words} it is {score}; it must be finite")


def check_separated_classes_score_higher_than_shuffled_labels(
    estimator: TransferabilityEstimator,
) -> None:
    domains = toy_features()
    order = torch.randperm(len(domains.source), generator=torch.Generator().manual_seed(0))
    shuffled = ToyDomains(
        domains.source, domains.source_labels[order], domains.target, domains.target_labels
    )
    apart, mixed = _estimate(estimator, domains), _estimate(estimator, shuffled)
    # A distance between domains, for targets without labels, may not look at the source's.
    expect(
        apart > mixed or ("no_target_labels" in estimator.requires and apart == mixed),
        f"separated classes score {apart:.4g}, shuffled labels {mixed:.4g}; higher must be better",
    )


def check_weights_are_one_for_each_source(selection: SourceSelection) -> None:
    for sources in _sources():
        weights = list(selection.weights(sources, NUM_CLASSES))
        words = f"for {len(sources)} sources they are {weights}"
        expect(len(weights) == len(sources), f"{words}; return one for each source")
        sound = all(math.isfinite(weight) and weight >= 0 for weight in weights)
        expect(sound, f"{words}; return finite numbers of at least 0")


def check_weights_are_the_same_each_time(selection: SourceSelection) -> None:
    for sources in _sources():
        first, second = (list(selection.weights(sources, NUM_CLASSES)) for _ in range(2))
        expect(first == second, f"they are {first} and then {second}")


def _estimate(estimator: TransferabilityEstimator, domains: ToyDomains) -> float:
    return estimator.estimate(domains.source, domains.source_labels, domains.target)


def _situations() -> dict[str, UnlabelledPredictions]:
    """What a validator may meet: everything, the least there is, and one class for every image."""
    random = np.random.default_rng(0)
    target, source, pool = (_probabilities(random, n) for n in (30, 24, 30))
    labels = source.argmax(1).astype(np.int64)
    pairs = random.integers(0, 30, (2, 12))
    mixture = 0.7 * target[pairs[0]] + 0.3 * target[pairs[1]]
    mixed = MixedPredictions(mixture.astype(np.float32), pairs[0], pairs[1], 0.7)
    held_out = PseudoTarget(source.copy(), labels.copy())
    one_class = np.eye(NUM_CLASSES, dtype=np.float32)[np.zeros(30, np.int64)]
    return {
        "with all there can be": UnlabelledPredictions(
            target, source, labels, pool, mixed, held_out
        ),
        "with target and source alone": UnlabelledPredictions(target, source, labels, pool),
        "with one class for every image": UnlabelledPredictions(one_class, source, labels, pool),
    }


def _probabilities(random: np.random.Generator, n: int) -> NDArray[np.float32]:
    logits = 3 * np.eye(NUM_CLASSES)[np.arange(n) % NUM_CLASSES]
    weights = np.exp(logits + random.normal(size=(n, NUM_CLASSES)))
    shares: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares


def _arrays(predictions: UnlabelledPredictions) -> list[NDArray[Any]]:
    mixed, held_out = predictions.mixed, predictions.pseudo_target
    assert mixed is not None and held_out is not None
    own: list[NDArray[Any]] = [predictions.target, predictions.source, predictions.source_labels]
    parts: list[NDArray[Any]] = [mixed.probabilities, mixed.first, mixed.second]
    return [*own, predictions.pool, *parts, held_out.probabilities, held_out.labels]


def _sources() -> list[list[SourceDomain]]:
    """Two to five sources, near and far, clean and noisy; without agreement too."""
    near, far = SourceDomain("near", 400, 0.01, 0.9, 0.8), SourceDomain("far", 900, 0.4, 0.85, 0.3)
    noisy = SourceDomain("noisy", 50, 0.05, 1 / NUM_CLASSES, 0.35)
    same = SourceDomain("same", 10, 0.0, 1.0, 1.0)
    blind = [SourceDomain(name, 100, 0.1, 0.7, None) for name in ("left", "right")]
    return [[near, far], [near, far, noisy], [near, far, noisy, same, same], blind]


VALIDATOR = (
    Check(check_score_is_finite_or_nan),
    Check(check_score_does_not_change_its_input),
    Check(check_score_is_the_same_each_time),
)
TRANSFERABILITY = (
    Check(check_estimate_is_finite),
    Check(check_separated_classes_score_higher_than_shuffled_labels),
)
SOURCES = (
    Check(check_weights_are_one_for_each_source),
    Check(check_weights_are_the_same_each_time),
)
