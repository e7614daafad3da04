"""The end of a study: finalists, winner, final fit, test, result and report."""

from pathlib import Path

from filelock import FileLock, Timeout

from automl_xfer.errors import Stopped, StudyError
from automl_xfer.report.write import write_report
from automl_xfer.search.child import ChildFailure
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.final_fit import (
    building_folder,
    fit_members,
    instead_of,
    publish,
    write_description,
)
from automl_xfer.search.final_scores import score_test
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.finalists import run_finalists
from automl_xfer.search.judging import source_only
from automl_xfer.search.mistakes import add_confusion
from automl_xfer.search.result_notes import (
    latency_note,
    left_out,
    scored_higher,
    selection_bias,
    without_labels,
)
from automl_xfer.search.session import Session
from automl_xfer.search.soup import try_soup
from automl_xfer.search.source_results import source_notes
from automl_xfer.search.student import or_student
from automl_xfer.search.winner import (
    Winner,
    baseline_results,
    choose_winner,
    winner_held_out,
    winner_result,
)
from automl_xfer.study.records import StudyResult, TrialRecord

_PATIENCE = 1.2
"""Up to this share of its own time a process waits for another that ends the same study."""


def end(session: Session) -> None:
    """Choose, fit, bundle, score and report. Raises StudyError when no trial finished.

    One process at a time ends a study; the result of another stands for who had to wait for it.
    """
    session.directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(session.directory / "ending.lock")
    before = session.store.get_study(session.name).result
    _wait_for(session, lock)
    try:
        now = session.store.get_study(session.name)
        if now.result == before or now.phase != "finished":
            _end(session)
    finally:
        lock.release()


def _wait_for(session: Session, lock: FileLock) -> None:
    """Take the lock as soon as no other process ends this study; give up at the time limit."""
    while True:
        try:
            lock.acquire(timeout=0.5)
            return
        except Timeout:
            session.note("another process is ending this study: its result will be this one's too")
        told = f"another process is ending study {session.name!r}: its result will be in "
        told += f"{session.directory / 'report.html'}; every finished trial is kept"
        if session.should_stop():
            raise Stopped(told)
        if not session.deadline.left(_PATIENCE):
            raise StudyError(told)


def _end(session: Session) -> None:
    if not session.complete_trials():
        _report(session)
        raise StudyError(_nothing_finished(session))
    try_soup(session)
    finalists = run_finalists(session)
    ensemble = choose_winner(session, finalists)
    chosen = or_student(session, ensemble, finalists)
    others = [] if chosen is ensemble else [ensemble]
    winner, result, bundle = _fit(session, [chosen, *others, *_alone(session, finalists)])
    score_test(session, winner, bundle, result)
    result["seconds"] = _seconds(session)
    write_description(session, winner, result, bundle)
    session.store.update_study(session.name, phase="finished", result=result)
    _report(session)


def _nothing_finished(session: Session) -> str:
    failures = [trial.failure_message for trial in session.trials()]
    told = [message for message in failures if message]
    why = f" (the last failure: {told[-1]})" if told else ""
    return (
        f"no trial of study {session.name!r} finished in the time given{why}; "
        f"see {session.directory / 'report.html'}, mend that or give more --time-limit"
    )


def _alone(session: Session, finalists: list[Finalist]) -> list[Winner]:
    """What may win where there is no time for more: each finalist, after a soup what it replaced.

    The last one is fitted however late it is.
    """
    fitted = [each for finalist in finalists for each in (finalist, *instead_of(session, finalist))]
    last = Finalist(_last_resort(session))
    return [Winner(((each, 1.0),)) for each in (*fitted, last)]


def _fit(session: Session, candidates: list[Winner]) -> tuple[Winner, StudyResult, Path]:
    """Fit the first; where its time does not suffice, the next one; the last one in any case."""
    winner, n = candidates[0], len(candidates[0].members)
    session.phase("final fit", f"{n} models" if n > 1 else winner.description)
    reasons = []
    for candidate in candidates:
        needed = min(fit_seconds(session, each.trial) for each, _ in candidate.members)
        if candidate is not candidates[-1] and needed > session.deadline.left(FIT_SHARE):
            session.note(f"There was no time left to fit {candidate.description}.", warning=True)
            continue
        with building_folder(session) as building:
            try:
                fitted = fit_members(session, candidate, building, measure_sources=True)
            except ChildFailure as failure:
                session.note(f"{candidate.description} was not fitted: {failure}", warning=True)
                reasons.append(str(failure))
                continue
            result = _result(session, fitted)
            if candidate is winner:
                result["notes"] += scored_higher(session, fitted)
            bundle = publish(session, fitted, result, building)
        result["bundle"] = str(bundle)
        return fitted, result, bundle
    raise StudyError(
        f"study {session.name!r} has scores but no model: the final fit failed for every "
        f"candidate ({reasons[-1]}); mend that or give more --time-limit, then run the same "
        "command again"
    )


def _last_resort(session: Session) -> TrialRecord:
    """What is fitted when nothing better can be: source-only where no label says what is better."""
    trials = session.complete_trials()
    reference = None if session.has_target_labels else source_only(trials)
    return reference or min(trials, key=lambda trial: fit_seconds(session, trial))


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
    result["sources"] = list(winner.sources)
    result["notes"] += source_notes(winner.sources)
    result["notes"] += left_out(session)
    result["notes"].append(latency_note(session, winner, result["winner"].get("latency_ms")))
    if session.has_target_labels:
        if len(session.complete_trials()) > 1:
            result["notes"].append(selection_bias(session, winner))
        labels, probabilities, rows = winner_held_out(session, winner)
        samples = session.prepared.target_samples
        paths = [str(samples[row].path) for row in rows.tolist()]
        add_confusion(result, labels, probabilities, paths, "out-of-fold predictions")
    else:
        result["notes"].append(without_labels(session, winner))
    return result


def _seconds(session: Session) -> dict[str, float]:
    trials = session.trials()
    phases = {"fit": 0.0, "predict": 0.0, "load": 0.0}
    for record in trials:
        for phase in phases:
            phases[phase] += record.timings.get(phase, 0.0)
    return {**phases, **_phases(session), "whole run": session.deadline.elapsed}


def _phases(session: Session) -> dict[str, float]:
    """Seconds of this run's phases; `reading` is what came before the first, `data`."""
    names, begun = ["reading", *session.phases_begun], [0.0, *session.phases_begun.values()]
    ends = [*begun[1:], session.deadline.elapsed]
    spans = zip(names, begun, ends, strict=True)
    return {f"phase: {name}": end - start for name, start, end in spans}


def _report(session: Session) -> None:
    session.book_time()
    study = session.store.get_study(session.name)
    path = session.directory / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(study, session.trials(), path)
