"""Pruning: folds against the best trial, epochs against what others had reached by then."""

from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from automl_xfer.search import trial as running
from automl_xfer.search.pruning import ImageScores, is_hopeless
from automl_xfer.search.trial import TrialStep
from automl_xfer.search.watch import Watch
from automl_xfer.study.records import Role


def step(number, score, whole=False, n=50):
    rows = np.arange(n)
    return TrialStep(number, score, whole, rows, rows < score * n, np.zeros(n))


def images(correct, log_scores=0.0):
    made = ImageScores()
    correct = np.asarray(correct)
    made.add(np.arange(len(correct)), correct, np.broadcast_to(log_scores, correct.shape))
    return made


def watch(role, report, best=None):
    session = SimpleNamespace(has_target_labels=False, plan=SimpleNamespace(metric="accuracy"))
    made = Watch(session, SimpleNamespace(role=role), report)
    made.best = best
    return made


def run(study, scores, role=Role.SEARCH):
    """Whether a trial of these epochs' scores is stopped, and after how many."""
    trial = study.ask()

    def report(given):
        trial.report(given.score, given.step + 1)
        return not given.whole and trial.should_prune()

    asked = watch(role, report)
    for number, score in enumerate(scores):
        given = step(number, score, whole=number == len(scores) - 1)
        stop = asked.answer(given)
        asked.answered(given)
        if stop:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return number + 1
    study.tell(trial, scores[-1])
    return None


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return optuna.create_study(direction="maximize", pruner=pruner)


def test_a_trial_behind_the_others_at_the_same_epoch_is_stopped(study):
    good = [[0.3 + 0.01 * k, 0.5, 0.7, 0.8, 0.9] for k in range(6)]
    stopped = [run(study, scores) for scores in reversed(good)]
    assert stopped[0] is None
    assert run(study, [0.1, 0.5, 0.7, 0.8, 0.95]) == 1
    assert run(study, [0.1, 0.5, 0.7, 0.8, 0.95], Role.BASELINE) is None


def test_an_early_epoch_is_not_held_against_an_end(study):
    assert run(study, [0.2, 0.4, 0.6, 0.8, 0.9]) is None
    assert run(study, [0.3, 0.4, 0.6, 0.8, 0.9]) is None  # 0.3 is far below 0.9


def test_every_step_is_reported_once_epochs_before_the_answer_and_folds_after_it():
    reported = []
    made = watch(Role.SEARCH, reported.append)
    for number, whole in enumerate((False, True, True)):
        given = step(number, 0.5, whole=whole)
        made.answer(given)
        assert (given in reported) is not whole
        made.answered(given)
    assert [each.step for each in reported] == [0, 1, 2]
    assert made.scores == [0.5] * 3


def test_a_fold_far_behind_the_best_stops_a_trial_and_a_near_one_does_not():
    rows = np.arange(50)
    best = images(rows < 45)
    never = watch(Role.SEARCH, lambda step: False, best)
    assert never.answer(step(0, 0.4, whole=True))
    assert not watch(Role.SEARCH, lambda step: False, best).answer(step(0, 0.86, whole=True))
    assert is_hopeless(images(rows < 20), best)


def test_log_scores_tell_on_a_fold_that_is_too_small_to_count_on():
    rows = np.arange(7)
    best = images(rows < 5, -0.5)
    behind = rows < 3  # two images fewer: no test on seven of them rejects that
    assert not is_hopeless(images(behind, -0.5 + 0.1 * (-1) ** rows), best)
    worse = np.linspace(-2.0, -1.0, 7)
    assert is_hopeless(images(behind, worse), best)
    assert not is_hopeless(images(behind, np.where(rows == 0, -0.1, worse)), best)
    assert not is_hopeless(images(rows < 5, worse), best)  # as many right: it may be unsure only
    assert not is_hopeless(ImageScores(), best)


def test_a_training_that_began_anew_reports_from_the_start(monkeypatch):
    """Half as many images at once after the memory ran out, with the same callback."""
    labels = np.array([0, 1, 0, 1])
    monkeypatch.setattr(running, "predict_probabilities", lambda *_, **__: np.eye(2)[labels])
    part = SimpleNamespace(labels=labels, indices=np.arange(4), image_set=labels)
    request = SimpleNamespace(
        data=SimpleNamespace(target=part), plan=SimpleNamespace(folds=[part], metric="accuracy")
    )
    steps = []
    channel = SimpleNamespace(ask=lambda step: steps.append(step.step))
    strategy = SimpleNamespace(optimization=SimpleNamespace(epochs=20))
    run = running._Run(request, strategy, {}, SimpleNamespace(device="cpu"), channel)
    report = run._epoch_callback(part)
    for epoch in (*range(9), *range(20)):
        report(epoch, None)
    assert steps == [0, 1, 0, 1, 2, 3]
    assert len(run.scores) == 4
