"""Who may win without target labels: what ranks ahead of source-only, or source-only itself."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from automl_xfer.data.image_set import ImageSet
from automl_xfer.search import finalist, finalists
from automl_xfer.search.child import StopRequested
from automl_xfer.search.committee import committee
from automl_xfer.search.finalist import Finalist
from automl_xfer.study.records import Role, TrialRecord, TrialState
from automl_xfer.transfer.parts import StudyData


def trial(number: int, head: str, alignment: str, baseline: str | None = None) -> TrialRecord:
    strategy = {
        axis: {"name": name}
        for axis, name in (
            ("backbone", "timm"),
            ("freezing", "linear-probe"),
            ("alignment", alignment),
            ("augmentation", "none"),
            ("head", head),
            ("regularizer", "none"),
        )
    }
    return TrialRecord(
        id=number,
        study="s",
        number=number,
        role=Role.SEARCH,
        baseline=baseline,
        strategy=strategy,
        description=f"{alignment} {head}",
        state=TrialState.COMPLETE,
        seed=0,
        started=datetime.now(UTC),
    )


SOURCE_ONLY = trial(2, "logistic-regression", "none", "source-only")
SAME_KIND = trial(1, "nearest-class-mean", "none")
CORAL = trial(3, "logistic-regression", "coral")
ADABN = trial(4, "logistic-regression", "adabn")


def chosen_from(ranking, unlike=(), narrow=(), *, changed=8):
    """Ids of the committee, where others than source-only predict otherwise.

    That is on all images for those in `unlike`, on `changed` of 100 for the others. Those in
    `narrow` leave out a source.
    """

    def predictions(trial):
        moved = 0 if trial is SOURCE_ONLY else 100 if trial in unlike else changed
        sure = 0.6 if trial is SOURCE_ONLY else 1.0
        first = np.where(np.arange(100) < moved, 1 - sure, sure)
        return np.stack([first, 1 - first], axis=1).astype(np.float32)

    chosen = committee(ranking, SOURCE_ONLY, predictions, lambda trial: trial in narrow)
    return [each.id for each in chosen]


def test_where_the_domains_are_far_only_what_is_ahead_of_source_only_votes():
    far = (ADABN, CORAL)
    assert chosen_from([ADABN, CORAL, SOURCE_ONLY, SAME_KIND], far) == [ADABN.id, CORAL.id]
    assert chosen_from([ADABN, SOURCE_ONLY, CORAL], far) == [ADABN.id]


def test_where_the_domains_are_near_source_only_and_the_others_vote_too():
    # Source-only directly behind what is ahead of it: a limit drops the last ones first.
    assert chosen_from([ADABN, SOURCE_ONLY, CORAL]) == [ADABN.id, SOURCE_ONLY.id, CORAL.id]
    assert chosen_from([SAME_KIND, SOURCE_ONLY, CORAL]) == [SOURCE_ONLY.id, CORAL.id]


def test_a_source_that_most_leave_out_does_not_come_back_by_the_vote_of_source_only():
    narrow = (ADABN, SAME_KIND)
    found = chosen_from([ADABN, SOURCE_ONLY, CORAL, SAME_KIND], narrow=narrow)
    assert found == [ADABN.id, SAME_KIND.id]
    assert chosen_from([ADABN, SOURCE_ONLY, CORAL], narrow=(ADABN,)) == [ADABN.id]
    wide = chosen_from([ADABN, CORAL, SOURCE_ONLY], narrow=(ADABN,))
    assert wide == [ADABN.id, CORAL.id, SOURCE_ONLY.id]


def test_source_only_wins_alone_where_hardly_an_image_would_change():
    ranking = [ADABN, CORAL, SOURCE_ONLY]
    assert chosen_from(ranking, changed=3) == [SOURCE_ONLY.id]
    assert chosen_from(ranking, changed=4) == [ADABN.id, CORAL.id, SOURCE_ONLY.id]


def test_source_only_wins_alone_where_nothing_ranks_ahead_of_it():
    assert chosen_from([SOURCE_ONLY, SAME_KIND, CORAL]) == [SOURCE_ONLY.id]


def test_a_source_only_behind_a_gate_is_no_bar():
    assert chosen_from([CORAL, ADABN], (CORAL, ADABN)) == [CORAL.id, ADABN.id]


def test_a_committee_has_five_members_at_most():
    many = [trial(number, "linear", f"method-{number}") for number in range(10, 20)]
    assert len(chosen_from([*many, SOURCE_ONLY], many)) == 5
    near = chosen_from([*many, SOURCE_ONLY])
    assert len(near) == 5 and near[-1] == SOURCE_ONLY.id


@pytest.fixture
def labelled(tmp_path):
    """A session of three trials; the third is wrong on most of 60 images, the others on a few."""
    labels, rows, ranking = np.arange(60) % 3, np.arange(60), []
    for record, missed in ((SAME_KIND, rows < 5), (SOURCE_ONLY, rows >= 54), (CORAL, rows < 40)):
        said = np.where(missed, (labels + 1) % 3, labels)
        probabilities = np.full((60, 3), 0.1, np.float32)
        probabilities[np.arange(60), said] = 0.8
        path = tmp_path / f"{record.id}.npz"
        np.savez(path, rows=np.arange(60), probabilities=probabilities)
        metrics = {"log-loss": -np.log(probabilities[np.arange(60), labels]).mean()}
        score = 1 - missed.mean()
        ranking.append(replace(record, predictions_path=path.name, metrics=metrics, score=score))
    np.save(tmp_path / "images.npy", np.zeros((60, 8, 8, 3), np.uint8))
    target = ImageSet(tmp_path / "images.npy", "images", labels)
    return SimpleNamespace(
        has_target_labels=True,
        complete_trials=lambda: ranking,
        directory=tmp_path,
        given_to_labels={},
        kinds={},
        plan=SimpleNamespace(metric="accuracy"),
        options=SimpleNamespace(max_latency_ms=None, prefer="accuracy"),
        may_win=lambda trial: True,
        prepared=SimpleNamespace(data=StudyData(("a", "b", "c"), 8, target)),
    )


def test_with_target_labels_the_evidence_says_who_may_win(labelled):
    found = [each.trial.id for each in finalists.finalists_of_search(labelled)]
    assert found == [SAME_KIND.id, SOURCE_ONLY.id]  # of one kind, and far ahead of the third


def test_neighbours_of_a_good_one_do_not_crowd_out_others(labelled):
    """One of a kind is weighed, the best by log-loss: numbers count to one digit."""
    best, other, _ = labelled.complete_trials()

    def alike(number, axis, **values):
        told = {**best.strategy, axis: {**best.strategy[axis], **values}}
        return replace(best, id=number, strategy=told, metrics={"log-loss": 9.0})

    wider, nearly, farther = (
        alike(50, "head", width=100),
        alike(51, "alignment", weight=0.52),
        alike(52, "alignment", weight=0.7),
    )
    half = replace(alike(53, "alignment", weight=0.5), metrics=best.metrics)
    assert finalists.kind_of(wider) == finalists.kind_of(best)
    assert finalists.kind_of(nearly) == finalists.kind_of(half)
    assert len({finalists.kind_of(each) for each in (best, half, farther, other)}) == 4
    labelled.complete_trials = lambda: [other, best, wider, nearly, half]
    found = {each.trial.id for each in finalists.finalists_of_search(labelled)}
    assert found == {other.id, best.id, half.id}


def test_for_speed_one_of_each_kind_is_weighed(labelled):
    labelled.options.prefer = "speed"
    found = [each.trial.id for each in finalists.finalists_of_search(labelled)]
    assert found == [SAME_KIND.id, CORAL.id]


def test_repeats_have_a_say_in_the_evidence(labelled, tmp_path):
    best, other, _ = labelled.complete_trials()
    once, twice = (Finalist(each).scores(labelled) for each in (best, other))
    np.testing.assert_allclose(Finalist(best, (other, best)).scores(labelled), (once + twice) / 2)
    with np.load(tmp_path / other.predictions_path) as file:
        rows, probabilities = file["rows"][1:], file["probabilities"][1:]
    np.savez(tmp_path / "short.npz", rows=rows, probabilities=probabilities)
    short = replace(other, id=99, predictions_path="short.npz")  # did not hold out the first image
    repeated = Finalist(best, (short,)).scores(labelled)
    assert repeated[0] == once[0]
    np.testing.assert_allclose(repeated[1:], twice[1:])


def test_a_stop_in_a_later_round_of_repeats_keeps_the_rounds_before(labelled, monkeypatch):
    def repeat_all(session, found, number):
        if number == 2:
            raise StopRequested("stopped")
        return [replace(each, repeats=(each.trial,)) for each in found]

    monkeypatch.setattr(finalists, "_repeat_all", repeat_all)
    monkeypatch.setattr(finalists, "_announced", lambda *_: "")
    labelled.plan.folds, labelled.phase = (0, 1), lambda *told: None
    found = finalists.run_finalists(labelled)
    assert found and all(each.repeats == (each.trial,) for each in found)


def test_a_trial_whose_predictions_are_gone_is_no_finalist(labelled, tmp_path):
    best, other, _ = labelled.complete_trials()
    (tmp_path / other.predictions_path).unlink()
    found = [each.trial.id for each in finalists.finalists_of_search(labelled)]
    assert best.id in found and other.id not in found


def test_a_limit_of_latency_is_kept_by_what_ran_before_it_was_set(labelled, monkeypatch):
    best, *others = labelled.complete_trials()
    for module in (finalists, finalist):
        monkeypatch.setattr(module, "within_limit", lambda _, trials: best not in trials)
    found = [each.trial for each in finalists.finalists_of_search(labelled)]
    assert found and set(map(id, found)) <= set(map(id, others))


@pytest.mark.parametrize(
    ("left", "stops", "told"),
    [
        (129.0, False, "3 strategies, without other seeds: there is no time for that"),
        (130.0, False, "3 strategies with 1 other seed"),
        (990.0, False, "3 strategies with 2 other seeds"),
        (990.0, True, "3 strategies, without other seeds"),
    ],
)
def test_no_more_repeats_are_announced_than_fit(monkeypatch, left, stops, told):
    monkeypatch.setattr(finalists, "_round_seconds", lambda session, found: 100.0)
    monkeypatch.setattr(finalists, "fit_all_seconds", lambda session, found: 10.0)
    session = SimpleNamespace(
        should_stop=lambda: stops, deadline=SimpleNamespace(left=lambda share: left)
    )
    assert finalists._announced(session, [Finalist(CORAL)] * 3) == told


@pytest.mark.parametrize(("a_round", "expected"), [(10, 23 + 20), (100, 23 + 100), (500, 23)])
def test_time_is_kept_for_the_repeats_that_fit_and_not_for_others(monkeypatch, a_round, expected):
    """And for a soup and its ingredients; without repeats for what would win now, one of two."""
    both = [Finalist(CORAL), Finalist(ADABN)]
    monkeypatch.setattr(finalists, "finalists_of_search", lambda session: both)
    monkeypatch.setattr(finalists, "members", lambda *_: [(both[1], 1.0)])
    monkeypatch.setattr(finalists, "fit_all_seconds", lambda session, found: 10 * len(found))
    monkeypatch.setattr(finalists, "_round_seconds", lambda session, found: a_round / 1.2)
    monkeypatch.setattr(finalists, "of_one_start", lambda *_: [[CORAL, ADABN]])
    monkeypatch.setattr(finalists, "soup_seconds", lambda mixed: 3)
    session = SimpleNamespace(
        complete_trials=lambda: [CORAL],
        deadline=SimpleNamespace(seconds=600),
        plan=SimpleNamespace(folds=[0, 1]),
    )
    assert finalists.seconds_to_end(session) == pytest.approx(expected)
