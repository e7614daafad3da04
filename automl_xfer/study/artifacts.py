"""What the dashboard shows of a trial: a note in Markdown and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import Trial
from optuna_dashboard._note import note_ver_key, split_body

from automl_xfer.study.records import FORESEEN, SPARED, TrialRecord

ARTIFACTS = "artifacts"


def attach_trial_note(
    trial: Trial,
    record: TrialRecord,
    *,
    artifacts_dir: Path,
    images: Sequence[Path] = (),
) -> None:
    """Give a running trial its note about `record` that shows `images` (kept in `artifacts_dir`).

    To be called once a trial, as the end of a longer note before it would stay, and with images
    before the trial is told: Optuna takes no artifact for an ended trial.
    """
    storage, study_id, trial_id = trial.storage, trial.study._study_id, trial._trial_id
    links = _upload(trial, images, artifacts_dir) if images else []
    body = "\n\n".join([trial_note(record), *links])
    # The public save_note takes a live Trial only, and making one here would sample again; it
    # also reads the notes of all trials.
    for key, part in split_body(body, trial_id).items():
        storage.set_study_system_attr(study_id, key, part)
    storage.set_study_system_attr(study_id, note_ver_key(trial_id), 1)


def trial_note(record: TrialRecord) -> str:
    """`record` as Markdown: strategy, score, metrics, steps, seconds by phase, failure."""
    score = "none" if record.score is None else f"{record.score:.4f}"
    role = f"{record.role} ({record.baseline})" if record.baseline else str(record.role)
    facts = [f"**Score** {score}", f"**Role** {role}", f"**State** {record.state}"]
    facts += [f"**Device** {record.device}", f"**Seed** {record.seed}"]
    if record.peak_memory_mb is not None:
        facts.append(f"**Peak memory** {record.peak_memory_mb:.0f} MB")
    parts = [f"## {record.description}", " · ".join(facts)]
    if record.steps:
        parts.append("**Steps** " + ", ".join(f"{step:.4f}" for step in record.steps))
    apart = {FORESEEN, SPARED}
    seconds = {name: value for name, value in record.timings.items() if name not in apart}
    parts += _table("Metric", record.metrics) + _table("Phase, seconds", seconds)
    if record.failure_kind is not None:
        parts.append(f"**Failed: {record.failure_kind}.** {record.failure_message or ''}".rstrip())
    if record.traceback:
        parts.append(f"~~~text\n{record.traceback.strip()}\n~~~")
    return "\n\n".join(parts)


class StudyArtifacts:
    """Optuna's artifact store over the `artifacts` folders of all studies in one folder.

    The dashboard shows every study of a database, and each keeps its files in its own folder.
    What is uploaded in the dashboard goes to the folder of `study`.
    """

    def __init__(self, studies_dir: Path, study: str) -> None:
        self._studies_dir = studies_dir
        self._own = studies_dir / study / ARTIFACTS

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The file of an artifact."""
        return self._holder(artifact_id).open_reader(artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an uploaded file."""
        self._own.mkdir(parents=True, exist_ok=True)
        FileSystemArtifactStore(self._own).write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Delete the file of an artifact."""
        self._holder(artifact_id).remove(artifact_id)

    def _holder(self, artifact_id: str) -> FileSystemArtifactStore:
        for folder in self._studies_dir.glob(f"*/{ARTIFACTS}"):
            if (folder / artifact_id).is_file():
                return FileSystemArtifactStore(folder)
        raise ArtifactNotFound(f"no study under {self._studies_dir} has artifact {artifact_id}")


def _upload(trial: Trial, images: Sequence[Path], folder: Path) -> list[str]:
    """Markdown that shows each image once it is uploaded."""
    folder.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(folder)
    address = f"/artifacts/{trial.study._study_id}/{trial._trial_id}"
    links = []
    for image in images:
        uploaded = upload_artifact(artifact_store=store, file_path=str(image), study_or_trial=trial)
        links.append(f"![{image.stem}]({address}/{uploaded})")
    return links


def _table(title: str, values: Mapping[str, float]) -> list[str]:
    rows = [f"| {name} | {value:.4g} |" for name, value in values.items()]
    return ["\n".join([f"| {title} | |", "| --- | ---: |", *rows])] if rows else []
