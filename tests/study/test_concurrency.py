"""Several processes on one database, and processes that die."""

import multiprocessing
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkProcess
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState as OptunaState
from sqlalchemy import text
from study_samples import study_record, trial_record

from automl_xfer.errors import StudyError
from automl_xfer.study.records import FailureKind, Role, TrialState
from automl_xfer.study.storage import open_optuna_storage
from automl_xfer.study.store import StudyStore, current_worker
from automl_xfer.study.workers import is_alive


def start(target: Callable[[str], None], url: str) -> ForkProcess:
    """A forked process: importing everything again would take longer than the tests."""
    process = multiprocessing.get_context("fork").Process(target=target, args=(url,))
    process.start()
    return process


def open_and_add_four_trials(url: str) -> None:
    store = StudyStore(url)
    storage = open_optuna_storage(url)
    with suppress(StudyError):
        store.create_study(study_record())
    study = optuna.create_study(study_name="pets", storage=storage, load_if_exists=True)
    for _ in range(4):
        trial = study.ask()
        record = store.add_trial(trial_record(trial.number))
        store.update_study("pets", add_seconds=1.0)
        study.tell(trial, 0.5)
        store.update_trial(replace(record, state=TrialState.COMPLETE))


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_six_processes_make_the_tables_and_add_trials_at_once(url: str) -> None:
    processes = [start(open_and_add_four_trials, url) for _ in range(6)]
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * 6
    store = StudyStore(url)
    trials = store.trials("pets")
    assert sorted(trial.number for trial in trials if trial.number is not None) == list(range(24))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.worker for trial in trials}) == 6
    assert store.get_study("pets").seconds_spent == 24.0
    store.close()


def test_sqlite_hands_out_a_waiting_trial_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(
        study_name="pets", storage=open_optuna_storage(url, heartbeat_interval=None)
    )
    for value in range(60):
        study.enqueue_trial({"x": value})
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(lambda _: ask(url, 15), range(4)))
    assert sorted(number for numbers in asked for number in numbers) == list(range(60))


def ask(url: str, trials: int) -> list[int]:
    study = optuna.load_study(
        study_name="pets", storage=open_optuna_storage(url, heartbeat_interval=None)
    )
    return [study.ask().number for _ in range(trials)]


def finish_one_and_die_in_the_next(url: str) -> None:
    store = StudyStore(url)
    study = optuna.load_study(study_name="pets", storage=open_optuna_storage(url))

    def objective(trial: optuna.Trial) -> float:
        record = store.add_trial(trial_record(trial.number))
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        store.update_trial(replace(record, state=TrialState.COMPLETE, score=0.5))
        return 0.5

    study.optimize(objective, n_trials=2)


def test_a_killed_worker_costs_the_trial_in_hand_only(store: StudyStore, url: str) -> None:
    storage = open_optuna_storage(url, heartbeat_interval=None)
    study = optuna.create_study(study_name="pets", storage=storage)
    process = start(finish_one_and_die_in_the_next, url)
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL

    (marked,) = store.mark_interrupted("pets")
    assert marked.number == 1
    finished, interrupted = store.trials("pets")
    assert (finished.state, finished.score) == (TrialState.COMPLETE, 0.5)
    assert interrupted == marked
    assert interrupted.state is TrialState.FAILED
    assert interrupted.failure_kind is FailureKind.INTERRUPTED
    assert interrupted.finished is not None
    assert f":{process.pid}:" in (interrupted.failure_message or "")
    assert [trial.state for trial in study.trials] == [OptunaState.COMPLETE, OptunaState.FAIL]
    assert store.mark_interrupted("pets") == []


def test_living_workers_keep_their_trials(store: StudyStore) -> None:
    store.add_trial(trial_record(0))
    assert store.mark_interrupted("pets", unseen_seconds=0) == []
    (trial,) = store.trials("pets")
    assert trial.state is TrialState.RUNNING


def test_a_worker_is_more_than_its_pid() -> None:
    host, pid, started = current_worker().rsplit(":", 2)
    assert is_alive(current_worker()) is True
    assert is_alive(f"{host}:{pid}:{float(started) - 100}") is False
    assert is_alive(f"{host}:999999999:{started}") is False
    assert is_alive(f"elsewhere:{pid}:{started}") is None
    assert is_alive("") is None


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    host = platform.node()
    worker = f"{host}:{child.pid}:{psutil.Process(child.pid).create_time()}"
    assert is_alive(worker) is True
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert is_alive(worker) is False
    child.wait()


@pytest.fixture
def away(store: StudyStore, url: str) -> optuna.Study:
    """An Optuna study in which another host runs trial 0, recorded in ours."""
    study = optuna.create_study(
        study_name="pets", storage=open_optuna_storage(url, heartbeat_interval=None)
    )
    study.ask()
    store.add_trial(trial_record(0, worker="elsewhere:1:1.0"))
    return study


def test_another_host_without_heartbeat_gets_its_time(
    away: optuna.Study, store: StudyStore
) -> None:
    assert store.mark_interrupted("pets") == []
    assert [trial.number for trial in store.mark_interrupted("pets", unseen_seconds=0)] == [0]
    assert away.trials[0].state is OptunaState.FAIL


def test_another_host_is_lost_when_its_heartbeat_stops(
    away: optuna.Study, store: StudyStore, url: str
) -> None:
    storage = open_optuna_storage(url)
    storage.record_heartbeat(away.trials[0]._trial_id)
    assert store.mark_interrupted("pets", unseen_seconds=0) == []
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=30)
    with storage.engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = :past"), {"past": past})
    (marked,) = store.mark_interrupted("pets")
    assert marked.worker == "elsewhere:1:1.0"
    assert away.trials[0].state is OptunaState.FAIL


def test_a_repeat_on_another_host_is_lost_by_age(store: StudyStore) -> None:
    old = datetime.now(UTC) - timedelta(hours=2)
    repeat = trial_record(None, role=Role.FINALIST, repeats=0, worker="elsewhere:1:1.0")
    store.add_trial(repeat)
    expected = store.add_trial(replace(repeat, started=old))
    assert [trial.id for trial in store.mark_interrupted("pets")] == [expected.id]


def test_a_trial_that_died_before_its_record_is_told_to_fail(store: StudyStore, url: str) -> None:
    study = optuna.create_study(
        study_name="pets", storage=open_optuna_storage(url, heartbeat_interval=None)
    )
    study.ask()
    assert store.mark_interrupted("pets") == []
    assert study.trials[0].state is OptunaState.RUNNING
    assert store.mark_interrupted("pets", unseen_seconds=0) == []
    assert study.trials[0].state is OptunaState.FAIL


def test_the_heartbeat_outlives_an_outage(url: str, caplog: pytest.LogCaptureFixture) -> None:
    storage = open_optuna_storage(url)
    study_id = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "pets")
    trial_id = storage.create_new_trial(study_id)
    with storage.engine.begin() as connection:
        connection.execute(text("ALTER TABLE trial_heartbeats RENAME TO elsewhere"))
    storage.record_heartbeat(trial_id)
    assert "was not written" in caplog.text
    with storage.engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO trial_heartbeats"))
    assert not storage.has_beaten(trial_id)
    storage.record_heartbeat(trial_id)
    assert storage.has_beaten(trial_id)
