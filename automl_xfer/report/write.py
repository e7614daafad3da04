"""Write the report: one HTML file that needs nothing else, no network and no script."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from automl_xfer.report.axes import axis_effects, choice
from automl_xfer.report.charts import score_chart, timeline
from automl_xfer.report.confusion import confusion_view
from automl_xfer.report.headline import alignment_sentence, headline, is_winner
from automl_xfer.report.health import data_health
from automl_xfer.report.leaderboard import leaders
from automl_xfer.report.reproduce import command_line, versions
from automl_xfer.report.sources import source_row
from automl_xfer.report.thumbnails import thumbnail
from automl_xfer.report.wording import (
    ScoreWording,
    duration,
    has_target_labels,
    plural,
    score_wording,
    verdict,
)
from automl_xfer.study.descriptions import told_apart
from automl_xfer.study.records import (
    BaselineResult,
    Mistake,
    StudyRecord,
    StudyResult,
    TrialRecord,
    TrialState,
    WinnerResult,
)

_LEADERS = 15
_MISTAKES = 24
_EMPTY: StudyResult = {
    "signal": "",
    "test": None,
    "confusion_from": "",
    "seconds": {},
    "bundle": "",
}


@dataclass(frozen=True)
class BaselineRow:
    """A baseline as the table shows it."""

    name: str
    score: str
    gain: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class MistakePicture:
    """A mistake with its picture, None when the image can't be read any more."""

    mistake: Mistake
    picture: str | None


def write_report(study: StudyRecord, trials: Sequence[TrialRecord], path: Path) -> Path:
    """Write the report of `study` to `path` (HTML, UTF-8) and return it.

    Works at any moment of a study: unfinished, finished, or with every trial failed. Raises
    OSError when the file can't be written; a file that was there stays whole until then.
    """
    page = _environment().get_template("report.html").render(_context(study, trials))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # File names that are no valid Unicode come as lone surrogates, which UTF-8 refuses.
    draft.write_bytes(page.encode("utf-8", "backslashreplace"))
    return draft.replace(path)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("automl_xfer", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "plural": plural}
    environment.globals["choice"] = choice
    return environment


def _context(study: StudyRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    result: StudyResult = {**_EMPTY, **(study.result or {})}
    wording = score_wording(study, trials)
    labelled = has_target_labels(study)
    scored = leaders(trials)
    winner, baselines = result.get("winner"), result.get("baselines", [])
    return {
        "study": study,
        "result": result,
        "words": wording,
        "test_words": ScoreWording(percent=True),
        "labelled": labelled,
        "headline": headline(study, trials, wording),
        "notes": _notes(study, trials, wording),
        "winner": winner,
        "states": Counter(str(trial.state) for trial in trials),
        "score_chart": score_chart(winner, baselines, wording) if winner and labelled else None,
        "baselines": [_baseline_row(b, winner, wording) for b in baselines],
        "test_baselines": [_test_row(b) for b in baselines if "test_gain" in b],
        "sources": [source_row(source) for source in result.get("sources", [])],
        "timeline": timeline(trials, wording),
        "axes": axis_effects(trials),
        "leaders": scored[:_LEADERS],
        "strategies": told_apart(scored[:_LEADERS]),
        "n_scored": len(scored),
        "repeat_scores": _repeat_scores(trials),
        "confusion": confusion_view(result.get("classes", []), result.get("confusion", [])),
        "mistakes": [_picture(m) for m in result.get("mistakes", [])[:_MISTAKES]],
        "data": data_health(study),
        "failures": [trial for trial in trials if trial.state is TrialState.FAILED],
        "command": command_line(study),
        "versions": versions(study),
        "written": datetime.now(UTC),
    }


def _notes(study: StudyRecord, trials: Sequence[TrialRecord], wording: ScoreWording) -> list[str]:
    notes = list((study.result or {}).get("notes", []))
    sentence = alignment_sentence(study, trials, wording)
    return [sentence, *notes] if sentence else notes


def _baseline_row(
    baseline: BaselineResult, winner: WinnerResult | None, wording: ScoreWording
) -> BaselineRow:
    if baseline["score"] is None:
        words = f"not scored: {baseline['failure']}" if baseline["failure"] else "not run"
    elif winner and is_winner(baseline, winner):
        words = "this baseline"
    elif baseline["gain"] is None:
        words = "not measurable"
    else:
        words = verdict(baseline["gain_interval"])
    return BaselineRow(
        baseline["name"],
        wording.score(baseline["score"]),
        wording.gain(baseline["gain"]),
        wording.gain_interval(baseline["gain_interval"]),
        words,
    )


def _test_row(baseline: BaselineResult) -> BaselineRow:
    """A baseline on the test split, where scores are what they say with or without labels."""
    wording = ScoreWording(percent=True)
    return BaselineRow(
        baseline["name"],
        wording.score(baseline["test_score"]),
        wording.gain(baseline["test_gain"]),
        wording.gain_interval(baseline["test_gain_interval"]),
        verdict(baseline["test_gain_interval"]),
    )


def _repeat_scores(trials: Sequence[TrialRecord]) -> dict[int, list[float]]:
    """Trial id -> the scores of its repeats with other seeds."""
    found: dict[int, list[float]] = {}
    for trial in trials:
        if trial.repeats is not None and trial.score is not None:
            found.setdefault(trial.repeats, []).append(trial.score)
    return found


def _picture(mistake: Mistake) -> MistakePicture:
    return MistakePicture(mistake, thumbnail(mistake["image"]))
