"""The end of a study: finalists, winner, final fit, test, result and report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from automl_xfer.data.manifest import TestSplit
from automl_xfer.errors import StudyError
from automl_xfer.evaluation.intervals import bootstrap_interval
from automl_xfer.evaluation.metrics import all_scores, per_class_recall
from automl_xfer.report.write import write_report
from automl_xfer.search.child import ChildFailure, StopRequested
from automl_xfer.search.final_fit import fit_bundle, test_probabilities
from automl_xfer.search.finalists import Finalist, run_finalists
from automl_xfer.search.judging import source_only
from automl_xfer.search.session import Session
from automl_xfer.search.winner import (
    Winner,
    agreement_with_source_only,
    baseline_results,
    choose_winner,
    winner_held_out,
    winner_result,
)
from automl_xfer.study.records import Mistake, StudyResult, TestResult

_MISTAKES = 24


def end(session: Session) -> None:
    """Choose, fit, bundle, score and report. Raises StudyError when no trial finished."""
    if not session.complete_trials():
        _report(session)
        raise StudyError(
            f"no trial of study {session.name!r} finished in the time given; "
            f"see {session.directory / 'report.html'} for the failures, or give more --time-limit"
        )
    finalists = _finalists(session)
    winner = choose_winner(session, finalists)
    result, bundle = _fit(session, winner, finalists)
    _score_test(session, bundle, result)
    result["seconds"] = _seconds(session)
    session.store.update_study(session.name, phase="finished", result=result)
    _report(session)


def _finalists(session: Session) -> list[Finalist]:
    try:
        return run_finalists(session)
    except StopRequested:
        return [replace(each, repeats=()) for each in run_finalists_of_search(session)]


def run_finalists_of_search(session: Session) -> list[Finalist]:
    """The ranking of the search alone, when the user stopped the repeats."""
    from automl_xfer.search.finalists import N_FINALISTS
    from automl_xfer.search.judging import ranked

    return [Finalist(trial) for trial in ranked(session, session.complete_trials())[:N_FINALISTS]]


def _fit(session: Session, winner: Winner, finalists: list[Finalist]) -> tuple[StudyResult, Path]:
    """Fit the winner; where its time does not suffice, the next one that is cheaper."""
    session.phase("final fit", winner.description)
    cheap = sorted(session.complete_trials(), key=lambda each: each.timings.get("total", 0.0))
    fallbacks = [
        *(Winner(((each, 1.0),)) for each in finalists),
        Winner(((Finalist(cheap[0]), 1.0),)),
    ]
    reasons = []
    for candidate in [winner, *fallbacks]:
        result = _result(session, candidate)
        try:
            bundle = fit_bundle(session, candidate, result)
        except ChildFailure as failure:
            session.note(f"{candidate.description} could not be fitted: {failure}", warning=True)
            reasons.append(str(failure))
            continue
        result["bundle"] = str(bundle)
        return result, bundle
    raise StudyError(
        f"study {session.name!r} has scores but no model: the final fit failed for every "
        f"candidate ({reasons[-1]}); mend that or give more --time-limit, then run the same "
        "command again"
    )


def _result(session: Session, winner: Winner) -> StudyResult:
    result = StudyResult(
        signal=session.plan.describe(len(session.prepared.data.target or ())),
        metric=session.plan.metric,
        winner=winner_result(session, winner),
        baselines=baseline_results(session, winner),
        test=None,
        classes=list(session.prepared.data.classes),
        notes=list(session.notes),
    )
    if session.has_target_labels:
        labels, probabilities = winner_held_out(session, winner)
        paths = [str(sample.path) for sample in session.prepared.target_samples]
        _add_confusion(result, labels, probabilities, paths, "out-of-fold predictions")
    else:
        reference = source_only(session.complete_trials())
        share = agreement_with_source_only(session, winner, reference)
        result["notes"].append(
            f"The target has no labels, so no gain over source-only can be measured here; the "
            f"winner agrees with source-only on {share:.0%} of the unlabelled target images."
        )
    return result


def _add_confusion(
    result: StudyResult,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    paths: list[str],
    origin: str,
) -> None:
    """Confusion matrix and the most confident mistakes; `paths` go row by row with `labels`."""
    predicted = probabilities.argmax(1)
    k = probabilities.shape[1]
    result["confusion"] = confusion_matrix(labels, predicted, labels=range(k)).tolist()
    result["confusion_from"] = origin
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(1))][:_MISTAKES]
    classes = result["classes"]
    result["mistakes"] = [
        Mistake(
            image=paths[row],
            label=classes[labels[row]],
            predicted=classes[predicted[row]],
            confidence=float(probabilities[row].max()),
        )
        for row in worst.tolist()
    ]


def _score_test(session: Session, bundle: Path, result: StudyResult) -> None:
    """Score the test split with the finished bundle; nothing is chosen after this."""
    test = session.prepared.test
    if test is None:
        return
    session.phase("test", f"{len(test.paths)} images, scored once")
    try:
        probabilities = test_probabilities(session, bundle, test)
    except ChildFailure as failure:
        result["notes"].append(f"The test split could not be scored: {failure}.")
        return
    labels = _test_labels(session, test)
    result["test"] = _test_result(session, labels, probabilities)
    paths = [str(path) for path in test.paths]
    _add_confusion(result, labels, probabilities, paths, "test split")


def _test_labels(session: Session, test: TestSplit) -> NDArray[np.int64]:
    index = {name: number for number, name in enumerate(session.prepared.data.classes)}
    return np.array([index[label] for label in test.labels])


def _test_result(
    session: Session, labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> TestResult:
    return TestResult(
        n=len(labels),
        scores=all_scores(labels, probabilities),
        interval=list(bootstrap_interval(session.plan.metric, labels, probabilities)),
        per_class_recall=per_class_recall(labels, probabilities, session.prepared.data.classes),
    )


def _seconds(session: Session) -> dict[str, float]:
    trials = session.store.trials(session.name)
    phases = {"fit": 0.0, "predict": 0.0, "load": 0.0}
    for record in trials:
        for phase in phases:
            phases[phase] += record.timings.get(phase, 0.0)
    return {**phases, "whole run": session.deadline.elapsed}


def _report(session: Session) -> None:
    study = session.store.get_study(session.name)
    path = session.directory / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(study, session.store.trials(session.name), path)
