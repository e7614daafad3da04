"""Fitting: training that was done is not done again, and a soup is the mean of its ingredients."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from automl_xfer.components import BackboneRequest
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search import fitting
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.search.teacher import WEIGHT, taught_by
from automl_xfer.space.compose import Space
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.parts import Part, TrainingParts

CATALOG = PluginSource().load()[1]
PROBE = {"freezing": "linear-probe", "alignment": "none", "head": "logistic-regression"}


@pytest.fixture
def space(weights_dir):
    backbones = CATALOG.backbones(BackboneRequest(weights_dir=weights_dir))
    return Space(CATALOG.classes, backbones, frozenset({"target_labels"}))


@pytest.fixture
def parts(tmp_path):
    labels = np.arange(12) % 2
    images = np.random.default_rng(0).integers(0, 90, (12, 24, 24, 3))
    images[labels == 1, :12] += 120
    np.save(tmp_path / "images.npy", images.astype(np.uint8))
    target = Part.whole(ImageSet(tmp_path / "images.npy", "images", labels))
    return TrainingParts(2, target, None, (target.without_labels(),))


@pytest.fixture
def run(parts, tmp_path):
    context = FitContext("cpu", 0, FeatureCache(tmp_path / "cache"))
    return lambda strategy: fit_strategy(strategy, parts, (), context, CATALOG.classes).fitted


@pytest.fixture
def trained(monkeypatch):
    """The names of the freezing policies of what was really fitted."""
    names, fit = [], fitting.fit

    def counted(strategy, *rest):
        names.append(strategy.freezing.name)
        return fit(strategy, *rest)

    monkeypatch.setattr(fitting, "fit", counted)
    return names


def tuned(space, freezing="lp-ft", rate=1e-3, **others):
    names = {**PROBE, "freezing": freezing, "optimization": "adamw", **others}
    own = {"optimization.adamw.epochs": 5, "optimization.adamw.learning_rate": rate}
    return space.strategy(names=names, parameters=own)


def test_the_second_time_nothing_is_trained_and_no_teacher_is_asked(space, run, trained, parts):
    probe = space.strategy(names=PROBE)
    taught = taught_by(tuned(space, regularizer="distillation"), [probe.to_dict()])
    first = run(taught)
    assert trained == ["linear-probe", "lp-ft"]
    again = run(taught)
    assert trained == ["linear-probe", "lp-ft"]
    assert again.spared > 0 and np.array_equal(
        again.predict(parts.target), first.predict(parts.target)
    )


def test_a_soup_averages_what_its_ingredients_trained(space, run, trained):
    fast, slow = tuned(space, rate=1e-3), tuned(space, "wise-ft", rate=1e-4)
    policy = CATALOG.classes["freezing"]["model-soup"]
    text = json.dumps([fast.to_dict(), slow.to_dict()])
    soup = run(replace(fast, freezing=policy(ingredients=text)))
    assert trained == ["lp-ft", "wise-ft"]
    states = [run(each).model.state_dict() for each in (fast, slow)]
    assert len(trained) == 2
    for name, value in soup.model.state_dict().items():
        expected = (
            states[0][name]
            if not value.is_floating_point()
            else (states[0][name] + states[1][name]) / 2
        )
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-7)


def test_teachers_are_heard_by_their_weights(space, run, parts, tmp_path):
    context = FitContext("cpu", 0, FeatureCache(tmp_path / "cache"))
    probe, other = (
        space.strategy(names=PROBE),
        space.strategy(names={**PROBE, "head": "nearest-class-mean"}),
    )
    own = [run(each).predict(parts.target) for each in (probe, other)]
    student = tuned(space, regularizer="distillation")

    def said(*weights):
        data = [
            {**each.to_dict(), WEIGHT: w} for each, w in zip((probe, other), weights, strict=True)
        ]
        taught = taught_by(student, data)
        teacher, _ = fitting.teacher_of(taught, parts, (), context, CATALOG.classes)
        return teacher(parts.target, "target")

    np.testing.assert_allclose(said(3.0, 1.0), 0.75 * own[0] + 0.25 * own[1], atol=1e-6)
    np.testing.assert_allclose(said(0.0, 1.0), own[1], atol=1e-6)


def test_what_teachers_were_spared_counts_for_their_student(space, run, monkeypatch):
    teacher = tuned(space)
    monkeypatch.setattr(fitting, "perf_counter", iter(range(0, 9000, 1000)).__next__)
    run(teacher)
    monkeypatch.undo()
    student = run(taught_by(tuned(space, regularizer="distillation"), [teacher.to_dict()]))
    assert student.spared == run(teacher).spared == 1000
    again = run(taught_by(tuned(space, regularizer="distillation"), [teacher.to_dict()]))
    assert again.spared > 1000
