"""The test split: scored by the finished model, and by the baselines beside it."""

from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from automl_xfer.data.manifest import TestSplit
from automl_xfer.evaluation.intervals import paired_interval, score_interval
from automl_xfer.evaluation.metrics import all_scores, per_class_recall, score
from automl_xfer.search.child import ChildFailure, StopRequested
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.final_fit import (
    building_folder,
    fit_members,
    test_probabilities,
    write_description,
)
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.mistakes import add_confusion
from automl_xfer.search.session import Session
from automl_xfer.search.winner import Winner
from automl_xfer.study.records import StudyResult, TestResult, TrialRecord


def score_test(session: Session, winner: Winner, bundle: Path, result: StudyResult) -> None:
    """Score the test split with the finished bundle and the baselines; nothing is chosen after."""
    test = session.prepared.test
    if test is None:
        return
    times = _times_scored(session) + 1
    session.phase("test", f"{len(test.paths)} images")
    started = perf_counter()
    try:
        probabilities = test_probabilities(session, bundle, test)
    except ChildFailure as failure:
        result["notes"].append(f"The test split could not be scored: {failure}.")
        return
    labels = _test_labels(session, test)
    result["test"] = _test_result(session, labels, probabilities, times)
    if times > 1:
        result["notes"].append(
            f"The test split was scored {times} times, each time the study went on: whoever stops "
            "at the best of them is choosing on test images."
        )
    paths = [str(path) for path in test.paths]
    add_confusion(result, labels, probabilities, paths, "test split")
    session.store.update_study(session.name, result=result)  # whoever is killed now keeps it
    write_description(session, winner, result, bundle)
    _score_baselines(session, winner, result, labels, probabilities, perf_counter() - started)


def _score_baselines(
    session: Session,
    winner: Winner,
    result: StudyResult,
    labels: NDArray[np.int64],
    ours: NDArray[np.float32],
    predicting: float,
) -> None:
    """Fit every scored baseline on all labelled rows, as the winner was, and compare on the test.

    The cheapest first, as long as the time lasts; those that are left keep the search's scores.
    `predicting` are the seconds that the winner needed for the test split.
    """
    own = [finalist.trial.id for finalist, _ in winner.members]
    trials = {trial.id: trial for trial in session.complete_trials()}
    todo = [
        (fit_seconds(session, trials[number]), baseline, trials[number])
        for baseline in result["baselines"]
        if (number := baseline["trial"]) in trials and own != [number]
    ]
    for seconds, baseline, trial in sorted(todo, key=lambda each: each[0]):
        if session.should_stop() or seconds + predicting > session.deadline.left(FIT_SHARE):
            return
        theirs = _baseline_probabilities(session, trial, result)
        if theirs is not None:
            metric = session.plan.metric
            baseline["test_score"] = score(metric, labels, theirs)
            baseline["test_gain"] = score(metric, labels, ours) - baseline["test_score"]
            baseline["test_gain_interval"] = list(paired_interval(metric, labels, ours, theirs))


def _baseline_probabilities(
    session: Session, trial: TrialRecord, result: StudyResult
) -> NDArray[np.float32] | None:
    """(N, K) of the test images by a baseline; None where it could not be fitted again."""
    alone = Winner(((Finalist(trial), 1.0),))
    assert session.prepared.test is not None
    with building_folder(session) as building:
        try:
            fit_members(session, alone, building, session.should_stop)
            write_description(session, alone, result, building)
            return test_probabilities(session, building, session.prepared.test, session.should_stop)
        except ChildFailure as failure:
            session.note(f"The baseline {trial.baseline} has no test score: {failure}")
        except StopRequested:
            session.note(f"The baseline {trial.baseline} has no test score: stopped by the user")
    return None


def _test_labels(session: Session, test: TestSplit) -> NDArray[np.int64]:
    index = {name: number for number, name in enumerate(session.prepared.data.classes)}
    return np.array([index[label] for label in test.labels])


def _times_scored(session: Session) -> int:
    """How often earlier runs of this study scored the test split."""
    before = (session.store.get_study(session.name).result or {}).get("test")
    return before.get("times", 1) if before else 0


def _test_result(
    session: Session, labels: NDArray[np.int64], probabilities: NDArray[np.float32], times: int
) -> TestResult:
    return TestResult(
        times=times,
        n=len(labels),
        scores=all_scores(labels, probabilities),
        interval=list(score_interval(session.plan.metric, labels, probabilities)),
        per_class_recall=per_class_recall(labels, probabilities, session.prepared.data.classes),
    )
