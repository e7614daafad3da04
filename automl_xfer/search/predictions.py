"""The predictions that finished trials left on disk, read once while memory allows."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from automl_xfer.components import MixedPredictions, PseudoTarget
from automl_xfer.errors import StudyError
from automl_xfer.search.session import Session
from automl_xfer.study.records import TrialRecord

_MOST_BYTES = psutil.virtual_memory().total // 20


@dataclass(frozen=True)
class Predictions:
    """A trial's stored predictions: held-out labelled images, and unlabelled target images."""

    rows: NDArray[np.int64]  # (N,) rows of the labelled set (target, or source without labels)
    probabilities: NDArray[np.float32]  # (N, K)
    unlabelled: NDArray[np.float32] | None = None  # (N_t, K)
    learnt_from: NDArray[np.bool_] | None = None  # (N,) whether the row's source was learnt from
    mixed: MixedPredictions | None = None
    pseudo_target: PseudoTarget | None = None


def read_predictions(session: Session, record: TrialRecord) -> Predictions:
    """The predictions that a complete trial left."""
    assert record.predictions_path is not None
    path = session.directory / record.predictions_path
    if not path.exists():
        raise StudyError(
            f"the predictions of trial {record.number} are not in {path}: every process that "
            "searches one study needs the same --studies-dir; or begin another with --study"
        )
    return _kept.read(path)


def has_predictions(session: Session, record: TrialRecord) -> bool:
    """Whether the predictions of a trial are where they were left."""
    path = record.predictions_path
    return path is not None and (session.directory / path).exists()


@dataclass
class KeptPredictions:
    """What lies in files that are written once and never changed, while there is room for it.

    Trials are compared with all before them, one after another: to drop the oldest for the newest
    would be to read every file each time.
    """

    most_bytes: int
    _read: dict[Path, Predictions] = field(default_factory=dict)
    _bytes: int = 0

    def read(self, path: Path) -> Predictions:
        """The predictions in a file."""
        if path in self._read:
            return self._read[path]
        found, size = _load(path)
        if self._bytes + size <= self.most_bytes:
            self._read[path] = found
            self._bytes += size
        return found


_kept = KeptPredictions(_MOST_BYTES)


def _load(path: Path) -> tuple[Predictions, int]:
    """The predictions in a file, and their bytes in memory."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    mixed = pseudo = None
    if "mixed" in arrays:
        first, second = arrays["mixed_pairs"]
        mixed = MixedPredictions(arrays["mixed"], first, second, float(arrays["mixed_share"]))
    if "pseudo" in arrays:
        pseudo = PseudoTarget(arrays["pseudo"], arrays["pseudo_labels"])
    made = Predictions(
        arrays["rows"],
        arrays["probabilities"],
        arrays.get("unlabelled"),
        arrays.get("learnt_from"),
        mixed,
        pseudo,
    )
    return made, sum(array.nbytes for array in arrays.values())
