import json
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner, Result

from automl_xfer.cli.dashboard import dashboard_application, dashboard_command, dashboard_server
from automl_xfer.cli.leaderboard import leaderboard_command
from automl_xfer.cli.studies import studies_group
from automl_xfer.errors import ConfigError, StudyError
from automl_xfer.study.records import FailureKind, Role, StudyRecord, TrialRecord, TrialState
from automl_xfer.study.storage import open_optuna_storage
from automl_xfer.study.store import StudyStore


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """A database in the default place of `tmp_path` with one study `pets` without trials."""
    made = StudyStore(f"sqlite:///{tmp_path / 'studies.db'}")
    made.create_study(
        StudyRecord(
            name="pets",
            created=datetime(2025, 3, 1, 12, 30, tzinfo=UTC),
            seed=7,
            metric="accuracy",
            options={"time_limit": "10m"},
            facts={"n_train": 35},
            manifest_hash="0",
            catalog={},
            health={},
            version="0.1.0",
            seconds_spent=125.0,
        )
    )
    return made


@pytest.fixture
def searched(store: StudyStore) -> StudyStore:
    """The same with trials of every kind."""

    def add(number: int, description: str, state: TrialState, **given: object) -> TrialRecord:
        record = TrialRecord(
            0,
            "pets",
            number,
            Role.SEARCH,
            {},
            description,
            state,
            seed=0,
            **given,  # type: ignore[arg-type]
        )
        return store.add_trial(record)

    add(0, "probe", TrialState.COMPLETE, baseline="linear-probe", score=0.5, steps=(0.4, math.nan))
    add(1, "lp-ft", TrialState.COMPLETE, score=0.75, timings={"total": 3.25})
    add(2, "slow", TrialState.PRUNED, score=0.9, steps=(0.9,))
    failure = {"failure_kind": FailureKind.PLUGIN_ERROR, "failure_message": "bad [x]\nsecond"}
    add(3, "broken", TrialState.FAILED, **failure)
    return store


def run(command: object, tmp_path: Path, *arguments: str, answer: str = "") -> Result:
    given = [*arguments, "--studies-dir", str(tmp_path)]
    return CliRunner(env={"COLUMNS": "160"}).invoke(command, given, input=answer)  # type: ignore[arg-type]


def output(command: object, tmp_path: Path, *arguments: str, answer: str = "") -> str:
    result = run(command, tmp_path, *arguments, answer=answer)
    assert result.exit_code == 0, result
    return result.output


@pytest.mark.parametrize(
    "arguments",
    [(studies_group, "list"), (leaderboard_command, "pets"), (dashboard_command, "pets")],
)
def test_reading_makes_no_database(arguments: tuple[object, str], tmp_path: Path) -> None:
    command, argument = arguments
    error = run(command, tmp_path / "none", argument).exception
    assert isinstance(error, StudyError)
    assert "there is no study database" in str(error)
    assert not (tmp_path / "none").exists()


def test_list(searched: StudyStore, tmp_path: Path) -> None:
    line = output(studies_group, tmp_path, "list").splitlines()[1]
    for part in ("pets", "created", "4 (1 failed)", "0.7500", "accuracy", "2 min 05 s"):
        assert part in line
    (study,) = json.loads(output(studies_group, tmp_path, "list", "--json"))
    assert (study["name"], study["created"]) == ("pets", "2025-03-01T12:30:00+00:00")


def test_list_of_an_empty_database(store: StudyStore, tmp_path: Path) -> None:
    store.delete_study("pets")
    assert "There is no study yet" in output(studies_group, tmp_path, "list")


def test_show(searched: StudyStore, tmp_path: Path) -> None:
    searched.update_study(
        "pets",
        phase="finished",
        result={
            "winner": {
                "kind": "single",
                "trials": [2],
                "description": "lp-ft",
                "score": 0.75,
                "interval": [0.7, 0.8],
                "seed_scores": [0.75],
            },
            "notes": ["alignment did not help", "one backbone was left out"],
        },
    )
    shown = output(studies_group, tmp_path, "show", "pets")
    for part in ("finished", "n_train", "35", "10m", "Winner", "lp-ft", "alignment did not help"):
        assert part in shown
    data = json.loads(output(studies_group, tmp_path, "show", "pets", "--json"))
    assert len(data["trials"]) == 4
    assert data["trials"][0]["steps"] == [0.4, None]


def test_show_of_an_unknown_study(store: StudyStore, tmp_path: Path) -> None:
    error = run(studies_group, tmp_path, "show", "pest").exception
    assert isinstance(error, StudyError)
    assert "there is pets" in str(error)


def test_delete_asks(searched: StudyStore, tmp_path: Path) -> None:
    assert run(studies_group, tmp_path, "delete", "pets", answer="n\n").exit_code == 1
    assert searched.study_exists("pets")
    (tmp_path / "pets").mkdir()
    text = output(studies_group, tmp_path, "delete", "pets", answer="y\n")
    assert "Deleted study pets with 4 trials." in text
    assert "still in" in text
    assert not searched.study_exists("pets")


def test_delete_with_yes_does_not_ask(store: StudyStore, tmp_path: Path) -> None:
    assert "Deleted" in output(studies_group, tmp_path, "delete", "pets", "--yes")


def test_leaderboard_without_a_complete_trial(store: StudyStore, tmp_path: Path) -> None:
    assert "No trial of study pets is complete yet." in output(
        leaderboard_command, tmp_path, "pets"
    )


def test_leaderboard_ranks_by_score_and_shows_failures(
    searched: StudyStore, tmp_path: Path
) -> None:
    lines = output(leaderboard_command, tmp_path, "pets").splitlines()
    _, first, second, third, fourth, failure = lines
    assert first.split() == ["1", "1", "lp-ft", "0.7500", "3.2", "complete"]
    assert "baseline: linear-probe" in second and second.split()[0] == "2"
    assert "slow" in third and "pruned" in third
    assert fourth.split() == ["3", "broken", "plugin-error"]
    assert failure == "Trial 3 failed (plugin-error): bad [x]"


def test_leaderboard_names_trials_that_have_no_number(store: StudyStore, tmp_path: Path) -> None:
    def add(role: Role, description: str, state: TrialState, **given: object) -> TrialRecord:
        record = TrialRecord(0, "pets", None, role, {}, description, state, 0, **given)  # type: ignore[arg-type]
        return store.add_trial(record)

    first = add(Role.FINALIST, "soup", TrialState.COMPLETE, score=0.9)
    add(Role.FINALIST, "soup", TrialState.COMPLETE, score=0.8, repeats=first.id)
    add(Role.BASELINE, "scratch", TrialState.COMPLETE, score=0.2, baseline="from-scratch")
    why = {"failure_kind": FailureKind.TIMEOUT, "failure_message": "late"}
    add(Role.FINALIST, "student", TrialState.FAILED, **why)
    _, *rows, _, failure = output(leaderboard_command, tmp_path, "pets").splitlines()
    assert [row.split()[1:3] for row in rows] == [
        ["at", "the"],
        ["repeat", "of"],
        ["baseline", "scratch"],
    ]
    assert failure == "student failed (timeout): late"


def test_leaderboard_marks_the_winner(searched: StudyStore, tmp_path: Path) -> None:
    trials = searched.trials("pets")
    winner = {"trials": [trials[1].id], "description": "lp-ft", "score": 0.75}
    searched.update_study("pets", result={"winner": winner})  # type: ignore[typeddict-item]
    assert "★ 1" in output(leaderboard_command, tmp_path, "pets")
    data = json.loads(output(leaderboard_command, tmp_path, "pets", "--json"))
    assert [trial["winner"] for trial in data["trials"]] == [True, False, False, False]


def test_leaderboard_shows_twenty_unless_asked(store: StudyStore, tmp_path: Path) -> None:
    for number in range(25):
        store.add_trial(
            TrialRecord(
                0, "pets", number, Role.SEARCH, {}, "s", TrialState.COMPLETE, 0, score=number / 25
            )
        )
    assert "5 more trials; show them with --all." in output(leaderboard_command, tmp_path, "pets")
    assert len(output(leaderboard_command, tmp_path, "pets", "--all").splitlines()) == 26


@pytest.fixture
def dashboard(store: StudyStore, tmp_path: Path) -> Iterator[str]:
    """Address of a running dashboard."""
    storage = open_optuna_storage(store.url, heartbeat_interval=None)
    optuna.create_study(study_name="pets", storage=storage).ask()
    application, path = dashboard_application(store.url, tmp_path, "pets")
    assert path == "/dashboard/studies/1"
    with dashboard_server(application, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert server.server_address[0] == "127.0.0.1"
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(address: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_dashboard_shows_the_study(dashboard: str) -> None:
    status, body = fetch(f"{dashboard}/api/studies")
    assert (status, json.loads(body)["study_summaries"][0]["study_name"]) == (200, "pets")
    assert fetch(f"{dashboard}/dashboard/studies/1")[0] == 200
    assert fetch(f"{dashboard}/favicon.ico")[0] == 200


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_the_dashboard_answers_to_this_machine_only(
    dashboard: str, headers: dict[str, str]
) -> None:
    assert fetch(f"{dashboard}/api/studies", **headers)[0] == 403


def test_a_busy_port_is_one_sentence(dashboard: str, tmp_path: Path) -> None:
    port = dashboard.rpartition(":")[2]
    error = run(dashboard_command, tmp_path, "pets", "--port", port).exception
    assert isinstance(error, ConfigError)
    assert str(error) == f"port {port} is in use; choose another with --port"


def test_the_dashboard_of_an_unknown_study(store: StudyStore, tmp_path: Path) -> None:
    error = run(dashboard_command, tmp_path, "pest").exception
    assert isinstance(error, StudyError)
