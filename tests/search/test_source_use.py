"""Several sources: what a fit learns from, what it leaves out, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.components import BackboneRequest
from automl_xfer.data.image_set import ImageSet
from automl_xfer.evaluation.unlabelled import Candidate, with_telling_sources
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.plan import training_parts
from automl_xfer.search.source_results import source_notes, source_results
from automl_xfer.search.source_use import use_sources
from automl_xfer.search.unlabelled_outputs import mixed_predictions, pseudo_target
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.parts import StudyData

pytestmark = pytest.mark.usefixtures("full_precision")

CATALOG = PluginSource().load()[1]
NAMES = ("clean", "noise")
N = 60


def squares(labels, seed, shift=0):
    """Class 0 has a bright left half, class 1 a bright top."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 15, (len(labels), 24, 24, 3))
    for image, label in zip(images, labels, strict=True):
        image[(slice(None), slice(0, 12)) if label == 0 else (slice(0, 12),)] += 160
    images[..., 0] += shift
    return images.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clean source, one whose labels are shuffled, and unlabelled target images."""
    folder = tmp_path_factory.mktemp("images")

    def stored(name, images, labels=None):
        np.save(folder / f"{name}.npy", images)
        return ImageSet(folder / f"{name}.npy", name, labels)

    truth = np.arange(2 * N) % 2
    shuffled = truth.copy()
    shuffled[N:] = np.random.default_rng(1).permutation(shuffled[N:])
    clean, noise = squares(truth[:N], 2), squares(truth[N:], 3, 8)
    target = np.arange(40) % 2
    return StudyData(
        classes=("left", "top"),
        image_size=24,
        unlabelled=stored("target", squares(target, 1)),
        source=stored("source", np.concatenate([clean, noise]), shuffled),
        source_names=NAMES,
        source_domains=np.repeat([0, 1], N),
    )


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return FitContext("cpu", 0, FeatureCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def space(weights_dir):
    backbones = CATALOG.backbones(BackboneRequest(weights_dir=weights_dir))
    facts = frozenset({"source", "two_sources", "unlabelled", "no_target_labels", "few_classes"})
    return Space(CATALOG.classes, backbones, facts)


def strategy_with(space, sources, **names):
    return space.strategy(names={"freezing": "linear-probe", "sources": sources, **names})


def test_all_sources_leave_the_parts_as_they_are(space, data, context):
    parts = training_parts(data)
    used, uses = use_sources(strategy_with(space, "all-sources"), parts, NAMES, context)
    assert used is parts
    assert [use.weight for use in uses] == [1.0, 1.0]


def test_shuffled_labels_are_left_out_and_said(space, data, context):
    strategy = strategy_with(space, "trusted")
    parts = training_parts(data)
    used, uses = use_sources(strategy, parts, NAMES, context)
    assert [use.weight for use in uses] == [2.0, 0.0]  # mean 1 over all source images
    assert used.source.indices.tolist() == list(range(N))
    assert len(parts.source) == 2 * N  # the study's own parts are untouched
    fitted = fit(strategy, used, context)
    truth = np.arange(40) % 2
    assert np.mean(fitted.predict(used.unlabelled[0]).argmax(1) == truth) > 0.9
    results = source_results(data, fitted, strategy, context, used)
    assert [each["name"] for each in results] == ["clean", "noise"]
    assert results[1]["consistency"] < 0.7 < results[0]["consistency"]
    weighed = [{**each, "weight": use.weight} for each, use in zip(results, uses, strict=True)]
    (note,) = source_notes(tuple(weighed))
    assert note.startswith("The winner does not learn from the source noise")
    mostly = {**weighed[1], "weight": 0.4, "left_out_by": 0.8}
    (note,) = source_notes((weighed[0], mostly))
    assert note.startswith("80% of the winner does not learn from the source noise (weight 0.40)")


def test_weights_travel_with_the_rows(space, data, context):
    strategy = strategy_with(space, "searched")
    strategy = replace(strategy, sources=replace(strategy.sources, first=0.9, second=0.3))
    used, uses = use_sources(strategy, training_parts(data), NAMES, context)
    assert [use.weight for use in uses] == pytest.approx([1.5, 0.5])
    assert used.source.weights.tolist() == pytest.approx([1.5] * N + [0.5] * N)


def test_a_winner_that_reads_no_source_blames_none():
    source = {"name": "a", "weight": None, "consistency": 0.1, "agreement": None, "before": {}}
    assert source_notes((source,)) == []


def test_a_source_alone_is_not_weighed(space, data, context):
    alone = replace(data, source_names=("both",), source_domains=np.zeros(2 * N, np.int64))
    parts = training_parts(alone)
    used, uses = use_sources(strategy_with(space, "trusted"), parts, ("both",), context)
    assert used is parts
    assert uses == ()


def test_a_source_of_noise_judges_nobody(space, data, context):
    """Trained on shuffled labels everyone is at chance on the other source: that tells nothing."""
    strategy = strategy_with(space, "all-sources")
    found = pseudo_target(strategy, training_parts(data), NAMES, context, CATALOG.classes)
    assert found is not None  # it is stored, and the pool decides what it tells
    some = np.full((4, 2), 0.5, np.float32)
    (kept,) = with_telling_sources(
        [Candidate(some, some, np.zeros(4), pseudo_target=found)], [True]
    )
    assert kept.pseudo_target is None


@pytest.mark.parametrize("alignment", ["none", "adabn"])
def test_the_largest_source_stands_in_for_the_target(space, data, context, alignment):
    truth = np.arange(2 * N) % 2
    both_clean = replace(data, source=replace(data.source, labels=truth))
    strategy = strategy_with(space, "all-sources", alignment=alignment)
    parts = training_parts(both_clean)
    held_out = pseudo_target(strategy, parts, NAMES, context, CATALOG.classes)
    assert held_out.labels.tolist() == truth[:N].tolist()
    assert np.mean(held_out.probabilities.argmax(1) == held_out.labels) > 0.8


def test_one_source_has_no_stand_in(space, data, context):
    strategy = strategy_with(space, "all-sources")
    assert (
        pseudo_target(strategy, training_parts(data), ("both",), context, CATALOG.classes) is None
    )


def test_mixtures_are_predicted_from_their_features(space, data, context):
    parts = training_parts(data)
    fitted = fit(strategy_with(space, "trusted"), parts, context)
    (target,) = parts.unlabelled
    mixed = mixed_predictions(fitted, target)
    assert mixed.probabilities.shape == (40, 2)
    features = fitted.features(target)
    mixture = mixed.share * features[mixed.first] + (1 - mixed.share) * features[mixed.second]
    np.testing.assert_allclose(mixed.probabilities, fitted.classify(mixture), atol=1e-6)
