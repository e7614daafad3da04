"""What comes next: drawn in memory, queued once, with an eye on what other processes run."""

import optuna
import pytest
from optuna.trial import TrialState

from automl_xfer.search.drawing import enqueue_next
from automl_xfer.search.objective import new_record
from automl_xfer.search.opening import open_session
from automl_xfer.search.portfolio import QUEUED
from automl_xfer.search.study_copy import StudyCopy
from automl_xfer.study.records import Role


@pytest.fixture
def session(options):
    return open_session(options, lambda event: None, lambda: False)


def waiting(session):
    found = session.optuna_study.get_trials(states=(TrialState.WAITING,))
    return [trial.user_attrs[QUEUED] for trial in found]


def test_one_strategy_is_queued_and_no_other_while_it_waits(session):
    assert enqueue_next(session)
    (first,) = waiting(session)
    assert enqueue_next(session)
    assert waiting(session) == [first]
    assert len(session.optuna_study.trials) == 1
    session.optuna_study.ask()
    assert enqueue_next(session)
    assert waiting(session) != [first]


def test_what_was_tried_is_not_drawn_again_and_nothing_new_ends_the_search(session):
    names = {"freezing": "linear-probe", "head": "nearest-class-mean", "alignment": "none"}
    session.space = type(session.space)(
        session.space.classes,
        session.space.backbones[:1],
        session.space.facts,
        {axis: (name,) for axis, name in names.items()},
    )
    drawn = []
    while enqueue_next(session) and len(drawn) < 50:
        drawn += waiting(session)
        trial = session.optuna_study.ask()
        strategy = session.space.suggest(trial)
        assert strategy.to_json() == drawn[-1]
        session.store.add_trial(new_record(session, strategy, Role.SEARCH, 0))
        session.optuna_study.tell(trial, 0.5)
    assert 0 < len(set(drawn)) == len(drawn) < 50
    assert [trial.state for trial in session.optuna_study.trials] == [TrialState.COMPLETE] * len(
        drawn
    )


@pytest.mark.parametrize("others", [False, True])
def test_the_sampler_minds_running_trials_where_others_run_them(session, others, monkeypatch):
    record = new_record(session, session.space.strategy(), Role.SEARCH, 0)
    if others:
        object.__setattr__(record, "worker", "elsewhere:1:0.00")
    session.store.add_trial(record)
    asked = []
    refreshed = StudyCopy.refreshed
    monkeypatch.setattr(
        StudyCopy,
        "refreshed",
        lambda copy, trials, *, with_running: (
            asked.append(with_running) or refreshed(copy, trials, with_running=with_running)
        ),
    )
    assert enqueue_next(session)
    assert asked == [others]
    assert session.optuna_study.sampler is session.samplers[others]


def test_a_copy_holds_what_was_told_and_what_is_drawn_from_it_stays_there():
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    running, lost = study.ask(), study.ask()
    running.suggest_float("x", 0, 1)
    study.tell(lost, state=TrialState.FAIL)
    study.enqueue_trial({"x": 0.5})
    copy = StudyCopy(study)
    held = copy.refreshed(study.trials, with_running=False)
    assert [trial.params for trial in held.trials] == [t.params for t in study.trials[:3]]
    assert held.direction == study.direction
    assert held.sampler is study.sampler
    held.ask().suggest_float("x", 0, 1)
    assert len(study.trials) == 6
    study.tell(running, 0.7)
    told = copy.refreshed(study.trials, with_running=False).get_trials(
        states=(TrialState.COMPLETE,)
    )
    assert [trial.value for trial in told] == [t.value for t in study.trials[:4]]


def test_a_copy_with_what_runs_is_made_anew_each_time():
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    running = study.ask()
    running.suggest_float("x", 0, 1)
    copy = StudyCopy(study)
    states = [trial.state for trial in copy.refreshed(study.trials, with_running=True).trials]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    study.tell(running, 0.7)
    for _ in range(2):
        states = [trial.state for trial in copy.refreshed(study.trials, with_running=True).trials]
        assert states == [TrialState.COMPLETE] * 3
    assert len(copy.refreshed(study.trials, with_running=False).trials) == 3
