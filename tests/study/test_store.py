import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import optuna
import pytest
from study_samples import study_record, trial_record

from automl_xfer.errors import StorageError, StudyError
from automl_xfer.study.records import FailureKind, Role, StudyRecord, TrialRecord, TrialState
from automl_xfer.study.storage import open_optuna_storage
from automl_xfer.study.store import StudyStore
from automl_xfer.study.tables import Base


@pytest.mark.parametrize(
    ("record", "table"), [(StudyRecord, "xfer_study"), (TrialRecord, "xfer_trial")]
)
def test_columns_are_the_fields_of_the_record(record: type, table: str) -> None:
    columns = Base.metadata.tables[table].columns.keys()
    assert columns == [field.name for field in fields(record)]


def test_study_comes_back_as_it_went(store: StudyStore) -> None:
    assert store.get_study("pets") == study_record()
    assert store.study_exists("pets")
    assert not store.study_exists("cats")


def test_studies_are_listed_oldest_first(store: StudyStore) -> None:
    store.create_study(replace(study_record("older"), created=datetime(2024, 1, 1, tzinfo=UTC)))
    assert [study.name for study in store.list_studies()] == ["older", "pets"]


def test_second_study_of_a_name_is_refused(store: StudyStore) -> None:
    with pytest.raises(StudyError, match=r"'pets' exists .* --study"):
        store.create_study(study_record())


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "x" * 101])
def test_study_names_that_cannot_name_a_folder_are_refused(store: StudyStore, name: str) -> None:
    with pytest.raises(StudyError, match="cannot name a study"):
        store.create_study(study_record(name))


def test_unknown_study_names_the_near_ones(store: StudyStore) -> None:
    with pytest.raises(StudyError, match=r"no study is called 'pest' .*there is pets"):
        store.get_study("pest")
    with pytest.raises(StudyError, match="no study is called 'pest'"):
        store.update_study("pest", phase="finished")
    with pytest.raises(StudyError, match="no study is called 'pest'"):
        store.delete_study("pest")
    with pytest.raises(StudyError, match="no study is called 'pest'"):
        store.add_trial(trial_record(study="pest"))


def test_update_changes_what_is_given_and_adds_seconds(store: StudyStore) -> None:
    store.update_study("pets", phase="searching", add_seconds=1.5)
    store.update_study("pets", result={"metric": "accuracy"}, add_seconds=2.0)
    expected = replace(
        study_record(), phase="searching", result={"metric": "accuracy"}, seconds_spent=3.5
    )
    assert store.get_study("pets") == expected


def test_trial_comes_back_as_it_went_with_an_id(store: StudyStore) -> None:
    first = store.add_trial(trial_record(0))
    second = store.add_trial(trial_record(1))
    assert first.id != second.id
    ended = replace(
        first,
        state=TrialState.FAILED,
        role=Role.BASELINE,
        baseline="linear-probe",
        score=0.75,
        complexity=7,
        steps=(0.5, 0.75),
        metrics={"macro-f1": 0.7},
        timings={"total": 3.25},
        device="cuda:0",
        peak_memory_mb=120.5,
        failure_kind=FailureKind.OUT_OF_MEMORY,
        failure_message="too big",
        traceback="line 1\nline 2",
        predictions_path="predictions/0.npz",
        finished=datetime.now(UTC),
    )
    store.update_trial(ended)
    assert store.trials("pets") == [ended, second]
    assert store.trials("pets", Role.BASELINE) == [ended]
    assert store.trials("other") == []


def test_an_unknown_trial_cannot_be_updated(store: StudyStore) -> None:
    with pytest.raises(StudyError, match="no trial with id 99"):
        store.update_trial(replace(trial_record(), id=99))


def test_one_number_is_recorded_once_but_repeats_have_none(store: StudyStore) -> None:
    store.add_trial(trial_record(3))
    with pytest.raises(StudyError, match="trial 3 of study 'pets' is already recorded"):
        store.add_trial(trial_record(3))
    for _ in range(2):
        store.add_trial(trial_record(None, role=Role.FINALIST, repeats=3))
    assert [trial.number for trial in store.trials("pets")] == [3, None, None]


def test_numpy_numbers_become_plain_and_nan_becomes_null(store: StudyStore) -> None:
    record = trial_record(
        np.int64(4),
        seed=np.int64(2**40),
        score=float("nan"),
        steps=(np.float32(0.5), math.nan, math.inf),
        metrics={"recall": math.nan, "f1": np.float64(0.25)},
        strategy={"head": {"name": "linear", "rate": np.float32(0.5), "sizes": (1, 2)}},
        peak_memory_mb=np.float32(2.5),
    )
    store.add_trial(record)
    (found,) = store.trials("pets")
    assert (found.number, found.seed, found.score, found.peak_memory_mb) == (4, 2**40, None, 2.5)
    assert found.steps[0] == 0.5
    assert math.isnan(found.steps[1]) and math.isnan(found.steps[2])
    assert math.isnan(found.metrics["recall"])
    assert found.metrics["f1"] == 0.25
    assert found.strategy == {"head": {"name": "linear", "rate": 0.5, "sizes": [1, 2]}}


def test_what_json_cannot_keep_is_refused_with_its_place(store: StudyStore) -> None:
    with pytest.raises(StorageError, match=r"^value\.sources\[1\] is a set"):
        store.update_study("pets", result={"sources": [1, {2}]})  # type: ignore[typeddict-unknown-key]


def test_text_with_nul_and_bad_bytes_is_kept(store: StudyStore) -> None:
    store.add_trial(trial_record(failure_message="a\0b \udcff", strategy={"x": {"y": "\0ü"}}))
    (found,) = store.trials("pets")
    assert found.failure_message == "ab \\udcff"
    assert found.strategy == {"x": {"y": "ü"}}


def test_times_of_any_zone_are_the_same_moment(store: StudyStore) -> None:
    moment = datetime(2025, 7, 1, 3, 0, tzinfo=timezone(timedelta(hours=5)))
    store.add_trial(trial_record(started=moment))
    (found,) = store.trials("pets")
    assert found.started == moment
    assert found.started is not None and found.started.tzinfo is UTC
    with pytest.raises(StorageError, match="has no zone"):
        store.add_trial(trial_record(1, started=datetime(2025, 7, 1)))


def test_delete_removes_our_rows_and_optunas(store: StudyStore, url: str) -> None:
    storage = open_optuna_storage(url, heartbeat_interval=None)
    for name in ("pets", "cars"):
        optuna.create_study(study_name=name, storage=storage).ask()
    store.create_study(study_record("cars"))
    for name in ("pets", "cars"):
        store.add_trial(trial_record(0, name))
    store.delete_study("pets")
    assert [study.name for study in store.list_studies()] == ["cars"]
    assert store.trials("pets") == []
    assert len(store.trials("cars")) == 1
    assert optuna.get_all_study_names(storage) == ["cars"]
    store.delete_study("cars")
    assert optuna.get_all_study_names(storage) == []
    storage.engine.dispose()


def test_delete_of_a_study_that_optuna_never_saw(store: StudyStore) -> None:
    store.delete_study("pets")
    assert store.list_studies() == []
