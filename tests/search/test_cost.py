"""Predicted seconds: what must cost less is predicted to cost less."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from automl_xfer.components import BackboneRequest
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.cost import fit_seconds, fold_seconds, predicted_seconds
from automl_xfer.search.plan import make_plan
from automl_xfer.search.session import Session
from automl_xfer.space.compose import Space
from automl_xfer.study.records import FailureKind, TrialState
from automl_xfer.transfer.parts import StudyData

STAGES = (0.4, 0.3, 0.1, 0.1, 0.1)
N = 60
_ids = count()


@pytest.fixture
def session(tmp_path):
    """60 labelled images of 3 classes, and a backbone whose first stages are the slow ones."""
    np.save(tmp_path / "images.npy", np.zeros((N, 8, 8, 3), np.uint8))
    target = ImageSet(tmp_path / "images.npy", "images", np.arange(N) % 3)
    data = StudyData(("a", "b", "c"), 8, target)
    return SimpleNamespace(
        options=SimpleNamespace(time_limit=100.0),
        trials_before=[],
        trials=list,
        stage_seconds={"scratch:small-convnet": STAGES, "toy": STAGES},
        prepared=SimpleNamespace(data=data),
        plan=make_plan(data, "accuracy", 0),
        catalog=SimpleNamespace(classes={}),
        history=SimpleNamespace(strategy=lambda record, _: record.ran),
        readings={},
    )


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    import json

    import timm
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights") / "toy"
    folder.mkdir()
    config = {"architecture": "resnet10t", "num_classes": 0, "pretrained_cfg": {}}
    (folder / "config.json").write_text(json.dumps(config))
    state = timm.create_model("resnet10t", num_classes=0).state_dict()
    save_file(state, folder / "model.safetensors")
    catalog = PluginSource().load()[1]
    backbones = catalog.backbones(BackboneRequest(weights_dir=folder.parent))
    return Space(catalog.classes, backbones, frozenset({"target_labels"}))


def seconds(session, space, freezing="frozen-depth", augmentation="flip-crop", **values):
    names = {
        "freezing": freezing,
        "augmentation": augmentation,
        "head": "linear",
        "optimization": "adamw",
    }
    return predicted_seconds(session, space.strategy("toy", names, values))


def at(depth, **values):
    return {"freezing.frozen-depth.depth": depth, "optimization.adamw.epochs": 40, **values}


def test_the_deeper_the_boundary_the_less_a_trial_costs(session, space):
    costs = [seconds(session, space, **at(depth)) for depth in (0.0, 0.4, 0.8)]
    assert costs == sorted(costs, reverse=True)
    folds = session.plan.folds
    drawn = 40 * sum(len(train) for train, _ in folds)
    predicted = sum(len(rows) for _, rows in folds) * sum(STAGES)
    assert costs[0] == pytest.approx(1.15 * (4 * sum(STAGES) * drawn + predicted))
    # Eight views of each image run through the frozen stages, once for all folds and epochs.
    assert costs[1] == pytest.approx(1.15 * (4 * 0.3 * drawn + 0.7 * 8 * N + predicted))


def test_small_images_cost_less(session, space):
    session.prepared.data = replace(session.prepared.data, image_size=224)
    predicted = sum(len(rows) for _, rows in session.plan.folds) * sum(STAGES) * 1.15
    whole = seconds(session, space, freezing="full") - predicted
    growing = seconds(session, space, freezing="full", augmentation="progressive-resizing")
    assert 0.6 < (growing - predicted) / whole < 0.75


def trained(foreseen, taken, state=TrialState.COMPLETE, kind=None, repeats=None, ran=None):
    began = datetime(2026, 1, 1, tzinfo=UTC)
    ended = state is TrialState.COMPLETE
    return SimpleNamespace(
        id=next(_ids),
        ran=ran or SimpleNamespace(frozen=False),
        strategy=ran.to_dict() if ran else None,
        timings={"foreseen": foreseen, **({"fit": taken, "predict": 0.0} if ended else {})},
        state=state,
        failure_kind=kind,
        repeats=repeats,
        started=began,
        finished=began + timedelta(seconds=taken),
    )


def test_what_trained_longer_than_foreseen_is_expected_to_again(session, space):
    before = seconds(session, space, **at(0.4))
    timed_out = trained(20.0, 40.0, TrialState.FAILED, FailureKind.TIMEOUT)
    others = [
        trained(10.0, 90.0, TrialState.FAILED, FailureKind.INTERRUPTED),
        trained(10.0, 90.0, repeats=1),
    ]
    session.trials = lambda: [trained(10.0, 25.0), timed_out, *others]
    # The time limit is 100 s, of which 5 count as foreseen.
    assert seconds(session, space, **at(0.4)) == pytest.approx(before * (5 + 25 + 40) / 35)


@pytest.mark.parametrize(("taken", "times"), [(1.0, 1.0), (1000.0, 3.0)])
def test_it_is_expected_to_take_one_to_three_times_as_long(session, space, taken, times):
    before = seconds(session, space, **at(0.4))
    session.trials = lambda: [trained(50.0, taken)]
    assert seconds(session, space, **at(0.4)) == pytest.approx(times * before)


def test_only_images_that_no_trial_has_read_are_paid_for(session, space, tmp_path):
    np.save(tmp_path / "more.npy", np.zeros((100, 8, 8, 3), np.uint8))
    unlabelled = ImageSet(tmp_path / "more.npy", "more")
    session.prepared.data = replace(session.prepared.data, unlabelled=unlabelled)
    wider = replace(space, facts=space.facts | {"unlabelled"})
    probe, mixture, adapted = (
        wider.strategy("toy", {"freezing": "linear-probe", "alignment": alignment}, {})
        for alignment in ("none", "target-mixture", "adabn")
    )
    staged = wider.strategy("toy", {"freezing": "linear-probe", "head": "stage-fusion"}, {})
    done = []
    session.trials = lambda: done
    per_image = 2 * 0.75 * sum(STAGES)  # and its mirror image
    assert predicted_seconds(session, mixture) == pytest.approx(per_image * (N + 100))
    done.append(trained(0.0, 0.0, TrialState.FAILED, ran=mixture))
    assert predicted_seconds(session, probe) == pytest.approx(per_image * N)
    ended = trained(0.0, 0.0, ran=probe)
    done.append(SimpleNamespace(**{**vars(ended), "state": TrialState.RUNNING}))
    assert predicted_seconds(session, probe) == pytest.approx(per_image * N)
    done[-1] = ended
    assert predicted_seconds(session, probe) == predicted_seconds(session, staged) == 0
    assert predicted_seconds(session, mixture) == pytest.approx(per_image * 100)
    assert predicted_seconds(session, adapted) > per_image * (N + 100)


def test_what_cannot_be_cached_costs_more(session, space):
    cached, mixed = (
        seconds(session, space, augmentation=a, **at(0.8)) for a in ("none", "mixup-cutmix")
    )
    assert mixed > 1.5 * cached


@pytest.mark.parametrize("freezing", ["full", "norm-and-bias", "lora"])
def test_policies_that_reach_the_first_stage_cost_as_much_as_all(session, space, freezing):
    expected = seconds(session, space, "full", **{"optimization.adamw.epochs": 5})
    assert seconds(session, space, freezing, **{"optimization.adamw.epochs": 5}) == expected


def frozen_seconds(session, space, alignment="none"):
    names = {"freezing": "linear-probe", "head": "logistic-regression", "alignment": alignment}
    return predicted_seconds(session, space.strategy("toy", names, {}))


def test_frozen_features_are_read_once_and_those_of_a_changed_backbone_once_more(
    session, space, tmp_path
):
    pass_over_all = 0.75 * sum(STAGES) * N
    assert frozen_seconds(session, space) == pytest.approx(2 * pass_over_all)  # mirror images too
    unlabelled = replace(space, facts=space.facts | {"unlabelled"})
    changed = frozen_seconds(session, unlabelled, "adabn")
    assert changed == pytest.approx(4 * pass_over_all)  # one backbone for all folds
    many = ImageSet(tmp_path / "unlabelled.npy", "unlabelled")
    np.save(many.path, np.zeros((700, 8, 8, 3), np.uint8))
    data = replace(session.prepared.data, unlabelled=many)
    session.prepared = SimpleNamespace(data=data)
    # Too many for mirror images; 200 change the backbone.
    passes = (2 * N + 700 + 2 * 200) / N
    changed = frozen_seconds(session, unlabelled, "adabn")
    assert changed == pytest.approx(passes * pass_over_all)


def test_a_final_fit_takes_half_of_a_fold_where_features_are_kept(session, space):
    made = {
        "kept": space.strategy("toy", {"freezing": "linear-probe"}, {}),
        "trained": space.strategy("toy", {"freezing": "full"}, {}),
    }
    session.history = SimpleNamespace(strategy=lambda trial, _: made[trial.name])
    kept, trained_one = (SimpleNamespace(name=name, timings={"fit": 5.0}) for name in made)
    of_fold = 5.0 / len(session.plan.folds)
    assert fold_seconds(session, kept) == pytest.approx(of_fold)
    assert fit_seconds(session, kept) == pytest.approx(0.5 * of_fold + 0.5)
    assert fit_seconds(session, trained_one) == pytest.approx(1.5 * of_fold + 0.5)


def test_a_frozen_trial_takes_as_long_as_the_quickest_with_its_head_or_alignment(session, space):
    slow, other = (
        space.strategy("toy", {"freezing": "linear-probe", "head": head}, {})
        for head in ("cosine", "nearest-class-mean")
    )
    cut_off = trained(2.0, 9.0, TrialState.FAILED, FailureKind.TIMEOUT, ran=slow)
    reading = predicted_seconds(session, slow)
    session.trials = lambda: [cut_off]  # by its head or by its alignment: nobody knows
    assert predicted_seconds(session, slow) == pytest.approx(reading)
    session.trials = lambda: [cut_off, trained(0.0, 0.1, ran=other)]  # it was not the alignment
    assert predicted_seconds(session, slow) == pytest.approx(7.0)
    assert predicted_seconds(session, other) == pytest.approx(0.1)
    runs = [trained(2.0, 8.0, ran=slow), trained(0.0, 5.0, ran=slow), trained(0.0, 0.1, ran=other)]
    session.trials = lambda: [cut_off, *runs]
    assert predicted_seconds(session, slow) == pytest.approx(5.0)  # the features are there now
    assert predicted_seconds(session, other) == pytest.approx(0.1)


def test_adapted_features_that_a_pruned_trial_read_serve_all_folds(session, space):
    wider = replace(space, facts=space.facts | {"unlabelled"})
    names = {"freezing": "linear-probe", "alignment": "adabn"}
    adapted = wider.strategy("toy", names, {})
    assert predicted_seconds(session, adapted) > 0
    session.trials = lambda: [trained(0.0, 0.0, TrialState.PRUNED, ran=adapted)]
    assert predicted_seconds(session, adapted) == 0


def test_a_backbone_of_unknown_speed_costs_nothing_yet(session, space):
    session.stage_seconds = {}
    assert seconds(session, space, **at(0.4)) == 0.0


class Clock:
    """A deadline of 600 seconds of which so many are gone."""

    def __init__(self, elapsed):
        self.elapsed = elapsed

    def left(self, share=1.0):
        return max(0.0, share * 600 - self.elapsed)


@pytest.mark.parametrize(
    ("elapsed", "folds", "expected"),
    [
        (100, 5, 290),  # the search's own share in any case
        (420, 5, (0.97 * 600 - 420) / 4),  # itself, two repeats, a final fit
        (420, 1, (0.97 * 600 - 420) / 2.5),  # nothing is repeated
    ],
)
def test_a_late_trial_leaves_time_for_itself_as_winner(elapsed, folds, expected):
    session = SimpleNamespace(
        has_target_labels=True,
        plan=SimpleNamespace(folds=[None] * folds),
        deadline=Clock(elapsed),
        search_left=lambda: max(0.0, 0.88 * 600 - elapsed),
    )
    assert Session.trial_left(session) == pytest.approx(expected)


@pytest.mark.parametrize(("complete", "expected"), [([], 0.88 * 600), ([1], 0.65 * 600)])
def test_a_search_that_finished_nothing_goes_on_as_long_as_it_may(complete, expected):
    session = SimpleNamespace(
        deadline=Clock(0),
        has_target_labels=True,
        seconds_to_end=np.inf,
        complete_trials=lambda: complete,
    )
    session.deadline.seconds = 600
    assert Session.search_left(session) == pytest.approx(expected)
