"""Confusion matrix and worst mistakes of a set of predictions, for the report."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from automl_xfer.study.records import Mistake, StudyResult

_MISTAKES = 24


def add_confusion(
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
