"""What the dashboard shows beside a trial: a note, and of a good one the confusion matrix."""

import logging
from pathlib import Path

import optuna
from sklearn.metrics import confusion_matrix

from automl_xfer.report.trial_picture import write_confusion_picture
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.artifacts import ARTIFACTS, attach_trial_note
from automl_xfer.study.records import TrialRecord, TrialState

_PICTURED = 20
"""A trial has a picture if fewer than so many were better when it ended."""

logger = logging.getLogger(__name__)


def annotate(session: Session, trial: optuna.Trial, record: TrialRecord) -> None:
    """Attach note and picture; what fails here is logged, for the trial itself is safe."""
    try:
        images = [_picture(session, record)] if _is_among_best(session, record) else []
        attach_trial_note(
            trial,
            record,
            artifacts_dir=session.directory / ARTIFACTS,
            images=images,
        )
    except Exception:
        logger.warning("trial %s has no note in the dashboard", record.number, exc_info=True)


def _is_among_best(session: Session, record: TrialRecord) -> bool:
    """Whether the trial finished, and few were better so far: a picture costs as much as a draw."""
    if record.state is not TrialState.COMPLETE or record.score is None:
        return False
    scores = [trial.score for trial in session.complete_trials() if trial.score is not None]
    return sum(score > record.score for score in scores) < _PICTURED


def _picture(session: Session, record: TrialRecord) -> Path:
    data = session.prepared.data
    labelled = data.target or data.source
    assert labelled is not None and labelled.labels is not None
    predictions = read_predictions(session, record)
    labels = labelled.labels[predictions.rows]
    matrix = confusion_matrix(
        labels, predictions.probabilities.argmax(1), labels=range(data.num_classes)
    )
    where = "held-out target" if session.has_target_labels else "held-out source"
    path = session.directory / "trials" / f"{record.id:05d}.png"
    return write_confusion_picture(matrix, data.classes, where, path)
