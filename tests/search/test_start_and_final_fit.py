"""What is queued first when a study goes on, and which members are fitted when time is short."""

from types import SimpleNamespace

import pytest

from automl_xfer.search import final_fit
from automl_xfer.search.child import ChildFailure
from automl_xfer.search.opening import open_session
from automl_xfer.search.portfolio import enqueue_start, starting_strategies
from automl_xfer.study.records import FailureKind


@pytest.fixture
def session(options):
    found = open_session(options, lambda event: None, lambda: False)
    found.stage_seconds = {backbone.label: (0.001,) for backbone in found.space.backbones}
    return found


def baselines_waiting(session):
    queue = session.optuna_study.get_trials(deepcopy=False)
    return [trial.user_attrs["baseline"] for trial in queue if trial.user_attrs["baseline"]]


def test_a_baseline_that_waits_is_not_queued_again_with_other_epochs(session):
    enqueue_start(session)
    before = baselines_waiting(session)
    assert len(before) == len(set(before)) >= 3
    session.stage_seconds = dict.fromkeys(session.stage_seconds, (0.05,))  # a slower machine
    enqueue_start(session)
    assert baselines_waiting(session) == before


def test_after_the_baselines_what_is_frozen_comes_first(session):
    order = [strategy.frozen for strategy, told in starting_strategies(session)]
    last_baseline = max(
        place for place, (_, told) in enumerate(starting_strategies(session)) if told["baseline"]
    )
    rest = order[last_baseline + 1 :]
    assert rest == sorted(rest, reverse=True)


def test_a_member_that_cannot_be_fitted_in_time_does_not_take_that_of_the_others(
    monkeypatch, tmp_path
):
    costs, fitted, told = {1: 60.0, 2: 1.0, 3: 2.0}, [], []
    members = [
        SimpleNamespace(trial=SimpleNamespace(id=id, strategy=id, description=f"member {id}"))
        for id in costs
    ]
    session = SimpleNamespace(
        prepared=SimpleNamespace(data=None),
        options=SimpleNamespace(seed=0),
        device="cpu",
        cache_directory=tmp_path,
        plugins=None,
        micro_batches=1,
        compiler=None,
        soup=None,
        deadline=SimpleNamespace(left=lambda share: 10.0, seconds=30.0),
        note=lambda text, **_: told.append(text),
    )

    def run(function, request, **_):
        fitted.append(request.strategy)
        return final_fit.FittedMember(None)

    monkeypatch.setattr(final_fit, "fit_seconds", lambda _, trial: costs[trial.id])
    monkeypatch.setattr(final_fit, "run_in_child", run)
    winner = SimpleNamespace(members=tuple(zip(members, (0.6, 0.3, 0.1), strict=True)))
    kept = final_fit.fit_members(session, winner, tmp_path)
    assert fitted == [2, 3]
    assert [weight for _, weight in kept.members] == pytest.approx([0.75, 0.25])
    assert told == ["member 1 is not in the ensemble: no time was left"]

    def fails(function, request, **_):
        fitted.append(request.strategy)
        raise ChildFailure(FailureKind.CRASH, "crashed")

    fitted.clear()
    costs[3] = 40.0  # the last one is not forced, so that others can take the place of all
    monkeypatch.setattr(final_fit, "run_in_child", fails)
    with pytest.raises(ChildFailure, match="crashed"):
        final_fit.fit_members(session, winner, tmp_path)
    assert fitted == [2]
