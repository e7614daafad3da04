"""The copy of a study that draws are made from."""

from random import Random

import optuna
import pytest
from optuna.trial import TrialState

from automl_xfer.search.study_copy import StudyCopy


def test_a_copy_holds_what_was_told_and_for_now_what_runs():
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    running, lost = study.ask(), study.ask()
    running.suggest_float("x", 0, 1)
    study.tell(lost, state=TrialState.FAIL)
    study.enqueue_trial({"x": 0.5})
    copy = StudyCopy(study.direction, 0, 1)
    told = [trial.params for trial in study.trials[:3]]
    with copy.with_trials(study.trials, running=False) as held:
        assert [trial.params for trial in held.trials] == told
        assert held.direction == study.direction
        held.tell(held.ask(), state=TrialState.FAIL)
    with copy.with_trials(study.trials, running=True) as held:
        now = held.get_trials(states=(TrialState.RUNNING,))
        assert [trial.params for trial in now] == [running.params]
    assert held.get_trials(states=(TrialState.RUNNING,)) == []
    assert len(study.trials) == 6
    study.tell(running, 0.7)
    with copy.with_trials(study.trials, running=True) as held:
        complete = held.get_trials(states=(TrialState.COMPLETE,))
        assert [trial.params for trial in complete] == [*told, running.params]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("gains", [0, 1, -1])
def test_a_long_study_is_drawn_from_its_best_and_latest(direction, gains):
    """However many draws were refused, whether scores rise or fall, and though many are equal.

    The best are those that TPE would take of the whole study: what was pruned is none of them.
    """
    study, random = optuna.create_study(direction=direction), Random(0)
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    copy, sizes = StudyCopy(study.direction, 0, 1), []
    for number in range(700):
        x, value = random.random(), random.randrange(5) + gains * (number // 50)
        pruned = {"state": TrialState.PRUNED, "intermediate_values": {0: 0.5}}
        study.add_trial(
            optuna.create_trial(
                params={"x": x},
                distributions=space,
                value=2 * value if number % 9 == 0 else value,
                **(pruned if number % 9 == 0 else {}),
            )
        )
        trials = study.get_trials(deepcopy=False)
        with copy.with_trials(trials[-5:], running=number % 20 == 0) as held:
            for _ in range(3):
                held.tell(held.ask(), state=TrialState.PRUNED)
            sizes.append(len(held.get_trials(deepcopy=False)))
    assert max(sizes) < 510
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    best = sorted(complete, key=lambda trial: trial.value, reverse=direction == "maximize")[:25]
    ran = [trial.params["x"] for trial in held.trials if trial.params]
    assert {trial.params["x"] for trial in best} <= set(ran) and len(ran) >= 250
    assert ran[-200:] == [trial.params["x"] for trial in study.trials[-200:]]
    assert len([trial for trial in held.trials if not trial.params]) >= 50


@pytest.mark.parametrize(
    ("ran", "refused", "kept"), [(900, 100, (250, 50)), (100, 500, (100, 150))]
)
def test_a_long_study_that_goes_on_is_copied_in_part(ran, refused, kept):
    """Of few that ran more refused ones are kept."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(optuna.create_trial(value=float(number % 7)) for number in range(ran))
    study.add_trials(optuna.create_trial(state=TrialState.PRUNED) for _ in range(refused))
    with StudyCopy(study.direction, 0, 1).with_trials(study.trials, running=False) as held:
        states = [trial.state for trial in held.trials]
        assert (states.count(TrialState.COMPLETE), states.count(TrialState.PRUNED)) == kept


def test_drawing_goes_on_where_some_ran_elsewhere_and_then_none_did():
    """Optuna's samplers remember by trial number what they saw of a study."""
    study = optuna.create_study(direction="maximize")
    copy = StudyCopy(study.direction, 0, 1)
    for number in range(30):
        with copy.with_trials(study.trials, running=number % 3 == 0) as held:
            drawn = held.ask()
            values = {name: drawn.suggest_float(name, 0, 1) for name in ("x", f"y{number % 2}")}
            held.tell(drawn, state=TrialState.FAIL)
        study.enqueue_trial(values)
        trial = study.ask()
        for name in values:
            trial.suggest_float(name, 0, 1)
        if number % 4:
            study.tell(trial, values["x"])
    assert len(held.get_trials(states=(TrialState.COMPLETE,))) > 20
