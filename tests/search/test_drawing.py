"""What comes next: drawn in memory, queued once, with an eye on what other processes run."""

import time
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from automl_xfer.errors import ComponentError
from automl_xfer.search import drawing
from automl_xfer.search.drawing import enqueue_next
from automl_xfer.search.objective import TrialFailedError, new_record, objective
from automl_xfer.search.opening import open_session
from automl_xfer.search.portfolio import QUEUED, enqueue
from automl_xfer.search.run import run_one_trial
from automl_xfer.study.records import Role
from automl_xfer.study.records import TrialState as RecordState

TIMINGS = {"fit": 0.1, "predict": 0.1}


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
        record = replace(record, worker="elsewhere:1:0.00")
    session.store.add_trial(record)
    running = session.optuna_study.ask()
    session.space.suggest(running)
    drawn_from = []
    ask = optuna.Study.ask
    monkeypatch.setattr(optuna.Study, "ask", lambda study: drawn_from.append(study) or ask(study))
    assert enqueue_next(session)
    (copy,) = set(drawn_from)
    assert copy.sampler._constant_liar is others
    params = [trial.params for trial in copy.get_trials()]
    assert (running.params in params) is others


def test_sessions_that_take_what_others_queued_go_on(options):
    """Each draws in memory; one that finds its queue empty draws again, and none draws in SQL."""
    first, second = (open_session(options, lambda event: None, lambda: False) for _ in range(2))
    for mine, other in ((first, second), (second, first), (first, second)):
        assert enqueue_next(mine)
        taken = other.optuna_study.ask()
        with pytest.raises(TrialFailedError, match="another process took"):
            objective(mine, mine.optuna_study.ask())
        assert mine.optuna_study.trials[-1].params == {}
        strategy = other.space.suggest(taken)
        assert strategy.to_json() == taken.user_attrs[QUEUED]
        other.store.add_trial(new_record(other, strategy, Role.SEARCH, 0))
        other.optuna_study.tell(taken, 0.5)
        time.sleep(0.06)  # so late the other's trial is seen
        with pytest.raises(TrialFailedError, match="it ran before"):
            enqueue(mine, strategy, {})
            objective(mine, mine.optuna_study.ask())


def test_a_search_draws_ahead_but_not_beyond_its_trials(options, monkeypatch):
    waited = []

    def executed(session, strategy, record, plan, timeout, report, meanwhile, then):
        meanwhile()
        waited.append(len(waiting(session)))
        return session.store.add_trial(
            replace(record, state=RecordState.COMPLETE, score=0.5, timings=TIMINGS)
        )

    monkeypatch.setattr("automl_xfer.search.objective.execute", executed)
    monkeypatch.setattr("automl_xfer.search.run.seconds_to_end", lambda session: 1.0)
    session = open_session(replace(options, trials=4), lambda event: None, lambda: False)
    while session.trials_run < 4:
        assert run_one_trial(session)
    assert waited == [1, 1, 1, 0]
    assert {trial.state for trial in session.optuna_study.trials} == {TrialState.COMPLETE}


def test_what_fails_while_a_trial_runs_is_drawn_again_after_it(options, monkeypatch):
    plain, calls = drawing.enqueue_next, []

    def broken_at_first(session, *most):
        calls.append(most)
        if most and len(calls) < 3:
            raise RuntimeError("the database is away")
        return plain(session, *most)

    def executed(session, strategy, record, plan, timeout, report, meanwhile, then):
        meanwhile()
        ended = replace(record, state=RecordState.COMPLETE, score=0.5, timings=TIMINGS)
        return session.store.add_trial(ended)

    monkeypatch.setattr(drawing, "enqueue_next", broken_at_first)
    monkeypatch.setattr("automl_xfer.search.run.enqueue_next", broken_at_first)
    monkeypatch.setattr("automl_xfer.search.objective.execute", executed)
    monkeypatch.setattr("automl_xfer.search.run.seconds_to_end", lambda session: 1.0)
    session = open_session(options, lambda event: None, lambda: False)
    assert run_one_trial(session)  # its draw ahead fails
    assert not session.next_waits
    assert run_one_trial(session)
    assert {trial.state for trial in session.optuna_study.trials[:2]} == {TrialState.COMPLETE}


def test_a_component_that_cannot_be_queued_is_passed_over(session, monkeypatch):
    refused = []

    def enqueue_all_but_three(session, strategy, attributes):
        if len(refused) < 3:
            refused.append(strategy)
            raise ComponentError("its values change")
        enqueue(session, strategy, attributes)

    monkeypatch.setattr(drawing, "enqueue", enqueue_all_but_three)
    assert enqueue_next(session)
    assert len(refused) == 3 and len(waiting(session)) == 1


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ([50.0, 1.0], 1),  # what is cheap is queued at once
        ([50.0, 40.0, 60.0], 1),
        ([50.0, 50.0, 50.0], 0),
    ],
)
def test_what_takes_long_waits_for_what_is_cheap_or_comes_as_the_cheapest(
    session, monkeypatch, costs, chosen
):
    priced = priced_at(session, monkeypatch, costs)
    assert enqueue_next(session)
    assert waiting(session) == [[*priced][chosen]]
    assert len(priced) == len(costs)
    copy = session.study_copy._study  # what is set aside is not told to be bad
    assert len(copy.get_trials(states=(TrialState.FAIL,))) == len(costs)


def test_a_dear_strategy_alone_is_run_and_where_trials_are_counted_the_first(
    options, session, monkeypatch
):
    priced = priced_at(session, monkeypatch, [50.0] * 9)
    assert enqueue_next(session, 2)
    assert waiting(session) == [*priced][:1] and len(priced) < 3
    counted = open_session(replace(options, study="counted"), lambda event: None, lambda: False)
    priced = priced_at(counted, monkeypatch, [50.0, 1.0], trials=9)
    assert enqueue_next(counted)
    assert len(waiting(counted)) == 1 and not priced


def priced_at(session, monkeypatch, costs, trials=None):
    """Strategies in the order in which they are first priced, with these predicted seconds."""
    priced, left = {}, iter(costs)

    def predicted(session, strategy):
        key = strategy.to_json()
        if key not in priced:
            priced[key] = next(left)
        return priced[key]

    monkeypatch.setattr(drawing, "predicted_seconds", predicted)
    monkeypatch.setattr(drawing, "would_not_end", lambda *_: False)
    session.options = replace(session.options, trials=trials)
    session.deadline = SimpleNamespace(elapsed=100.0)
    return priced


def test_a_request_to_stop_ends_the_drawing(session):
    session.should_stop = lambda: True
    assert not enqueue_next(session)
    assert session.optuna_study.trials == []


def test_what_an_earlier_version_queued_out_of_range_costs_its_trial_only(session, monkeypatch):
    assert enqueue_next(session)

    def refuse(space, trial):
        raise ComponentError("head 'mlp': width must be one of 64, 256, 1024, not 300")

    monkeypatch.setattr(type(session.space), "suggest", refuse)
    with pytest.raises(TrialFailedError, match="width must be one of"):
        objective(session, session.optuna_study.ask())
