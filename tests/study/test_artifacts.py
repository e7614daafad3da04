import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard import get_note
from PIL import Image
from study_samples import trial_record

from automl_xfer.study.artifacts import StudyArtifacts, attach_trial_note, trial_note
from automl_xfer.study.records import FailureKind, Role, TrialRecord, TrialState
from automl_xfer.study.storage import open_optuna_storage


def complete() -> TrialRecord:
    return replace(
        trial_record(0, role=Role.BASELINE, baseline="linear-probe"),
        state=TrialState.COMPLETE,
        score=0.81249,
        steps=(0.75, math.nan),
        metrics={"macro-f1": 0.8},
        timings={"features": 1.5, "total": 12.25},
    )


def test_the_note_says_what_the_record_holds() -> None:
    note = trial_note(complete())
    assert note.startswith("## resnet18 · linear\n")
    assert "**Score** 0.8125 · **Role** baseline (linear-probe) · **State** complete" in note
    assert "**Steps** 0.7500, nan" in note
    assert "| macro-f1 | 0.8 |" in note
    assert "| total | 12.25 |" in note
    assert "Failed" not in note


def test_the_note_of_a_failure_holds_its_traceback() -> None:
    failed = replace(
        complete(),
        state=TrialState.FAILED,
        score=None,
        failure_kind=FailureKind.NAN,
        failure_message="the loss became NaN",
        traceback="Traceback\n  boom",
    )
    note = trial_note(failed)
    assert "**Score** none" in note
    assert "**Failed: nan.** the loss became NaN" in note
    assert note.endswith("~~~text\nTraceback\n  boom\n~~~")


def test_images_are_kept_and_shown_in_the_note(url: str, tmp_path: Path) -> None:
    image = tmp_path / "mistakes.png"
    Image.new("RGB", (4, 4), "red").save(image)
    storage = open_optuna_storage(url, heartbeat_interval=None)
    study = optuna.create_study(study_name="pets", storage=storage)
    trial = study.ask()
    attach_trial_note(
        trial,
        complete(),
        artifacts_dir=tmp_path / "studies" / "pets" / "artifacts",
        images=[image],
    )
    metas = get_all_artifact_meta(trial, storage=storage)
    note = get_note(trial)
    assert note.count("![mistakes]") == 1
    prefix = f"/artifacts/{study._study_id}/{trial._trial_id}"
    (shown,) = [meta for meta in metas if f"{prefix}/{meta.artifact_id}" in note]
    store = StudyArtifacts(tmp_path / "studies", "other")
    with store.open_reader(shown.artifact_id) as file:
        assert file.read() == image.read_bytes()
    storage.engine.dispose()


def test_artifacts_are_found_in_every_study_and_written_to_one(tmp_path: Path) -> None:
    StudyArtifacts(tmp_path, "cats").write("a1", BytesIO(b"cat"))
    dogs = StudyArtifacts(tmp_path, "dogs")
    assert dogs.open_reader("a1").read() == b"cat"
    dogs.remove("a1")
    with pytest.raises(ArtifactNotFound, match="a1"):
        dogs.open_reader("a1")
