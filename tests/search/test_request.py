"""What a process may begin with before its trial has a record, and when it may not."""

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from automl_xfer.components import Strategy
from automl_xfer.search import request
from automl_xfer.search.child import end_idle_children
from automl_xfer.search.drawing import draw_ahead
from automl_xfer.search.objective import new_record
from automl_xfer.search.opening import open_session
from automl_xfer.search.portfolio import QUEUED, enqueue
from automl_xfer.search.request import begin_next, end_what_began, request_for
from automl_xfer.search.run import run_one_trial
from automl_xfer.study.records import Role, TrialState


@pytest.fixture
def session(options, monkeypatch):
    """A session in which one strategy waits; no process begins with anything."""
    monkeypatch.setattr(request, "begin_in_child", lambda function, argument: None)
    session = open_session(options, lambda event: None, lambda: False)
    enqueue(session, session.space.strategy(), {})
    draw_ahead(session)
    assert session.next_waits
    return session


def test_what_was_begun_is_what_is_asked_for_then(session):
    begin_next(session)
    begun = session.begun
    strategy = Strategy.from_dict(json.loads(session.next_queued), session.catalog.classes)
    assert strategy == session.space.strategy() and begun.strategy == strategy.to_dict()
    assert request_for(session, strategy, session.options.seed, session.plan) is begun
    again = request_for(session, strategy, session.options.seed, session.plan)
    assert again is not begun  # once only
    assert again.predictions_path != begun.predictions_path


@pytest.mark.parametrize("differs", ["seed", "plan", "strategy", "memory"])
def test_anything_else_is_not_what_was_begun(session, differs):
    begin_next(session)
    begun, strategy, plan = session.begun, session.space.strategy(), session.plan
    if differs == "strategy":
        strategy = replace(strategy, head=session.space.strategy(names={"head": "mlp"}).head)
    if differs == "plan":
        plan = replace(plan)
    if differs == "memory":
        session.remember_micro_batches(2)
    seed = session.options.seed + (differs == "seed")
    assert request_for(session, strategy, seed, plan) is not begun


@pytest.mark.parametrize("why", ["stop", "others", "removed", "nothing", "late", "long"])
def test_nothing_begins_that_will_not_run(session, monkeypatch, why):
    if why == "stop":
        session.should_stop = lambda: True
    if why == "others":
        record = new_record(session, session.space.strategy(), Role.SEARCH, 0)
        session.store.add_trial(replace(record, worker="elsewhere:1:0.00"))
    if why == "removed":
        session.removed.add(("head", session.space.strategy().head.name))
    if why == "nothing":
        session.next_waits = False
    if why == "late":
        session.deadline = replace(session.deadline, seconds=1e-3)
    if why == "long":
        monkeypatch.setattr(request, "predicted_seconds", lambda *_: 1e9)
    begin_next(session)
    assert session.begun is None


def test_what_a_teacher_teaches_waits_for_the_last_trial(session):
    names = {"regularizer": "distillation"}
    distils = session.space.strategy(names=names)
    assert distils.regularizer.distils
    session.next_queued = distils.to_json()
    begin_next(session)
    assert session.begun is None


def test_what_began_ends_where_its_trial_is_refused_or_the_search_over(session, monkeypatch):
    ended = []
    monkeypatch.setattr(request, "end_begun", lambda: ended.append(True))
    begin_next(session)
    monkeypatch.setattr("automl_xfer.search.objective.would_not_end", lambda *_: True)
    assert run_one_trial(session)
    assert ended == [True] and session.begun is None and session.trials() == []
    end_what_began(session)
    assert ended == [True]


def test_what_waits_of_a_plugin_that_is_gone_costs_its_trial_only(session, caplog):
    gone = {**json.loads(session.next_queued), "head": {"name": "gone"}}
    session.optuna_study.ask()
    session.optuna_study.enqueue_trial({}, user_attrs={QUEUED: json.dumps(gone)})
    session.next_queued = json.dumps(gone)
    begin_next(session)
    assert session.begun is None and not caplog.text
    assert run_one_trial(session)
    last = session.optuna_study.trials[-1]
    assert last.state is optuna.trial.TrialState.FAIL and session.trials() == []


def test_what_cannot_begin_is_logged_and_harms_nothing(session, monkeypatch, caplog):
    def fails(function, argument):
        raise OSError("no more processes")

    monkeypatch.setattr(request, "begin_in_child", fails)
    begin_next(session)
    assert session.begun is None and "could not begin early" in caplog.text


def test_a_search_begins_each_trial_early_and_runs_it_once(options, monkeypatch):
    begun, recorded, plain = [], [], request.begin_in_child

    def begin(function, argument):
        begun.append(argument)
        recorded.append(session.trials()[-1].state)
        plain(function, argument)

    monkeypatch.setattr(request, "begin_in_child", begin)
    session = open_session(replace(options, trials=5), lambda event: None, lambda: False)
    enqueue(session, session.space.strategy(), {})
    enqueue(session, session.space.strategy(names={"head": "nearest-class-mean"}), {})
    while session.trials_run < 5:
        assert run_one_trial(session)
    end_idle_children()
    done = session.trials()
    assert [trial.state for trial in done if trial.state is TrialState.FAILED] == []
    assert begun[0].predictions_path.name == Path(done[1].predictions_path).name
    assert TrialState.RUNNING not in recorded  # the trial before
    for trial in done:
        assert trial.timings["total"] <= (trial.finished - trial.started).total_seconds()
    kept = {(session.directory / trial.predictions_path).resolve() for trial in done}
    assert len(kept) == 5 and all(path.exists() for path in kept)
    assert {each.predictions_path for each in begun} <= kept
