"""What the dashboard shows beside a trial: a note and the confusion matrix."""

import logging
from pathlib import Path

import optuna
from sklearn.metrics import confusion_matrix

from automl_xfer.report.trial_picture import write_confusion_picture
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.artifacts import ARTIFACTS, attach_trial_note
from automl_xfer.study.records import TrialRecord, TrialState

logger = logging.getLogger(__name__)


def annotate(session: Session, trial: optuna.Trial, record: TrialRecord) -> None:
    """Attach note and picture; what fails here is logged, for the trial itself is safe."""
    try:
        images = [_picture(session, record)] if record.state is TrialState.COMPLETE else []
        attach_trial_note(
            session.optuna_study._storage,
            session.optuna_study._study_id,
            trial._trial_id,
            record,
            artifacts_dir=session.directory / ARTIFACTS,
            images=images,
        )
    except Exception:
        logger.warning("trial %s has no note in the dashboard", record.number, exc_info=True)


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
