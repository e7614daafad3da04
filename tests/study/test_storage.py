import math
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import OperationalError
from study_samples import study_record

from automl_xfer.errors import StorageError
from automl_xfer.study.address import database_file, masked, network_drive, normalise_url
from automl_xfer.study.failures import explain
from automl_xfer.study.migrations import migrate, schema_version
from automl_xfer.study.storage import open_engine, open_optuna_storage
from automl_xfer.study.store import StudyStore

STUDIES = Path("/data/studies")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "sqlite:////data/studies/studies.db"),
        ("/tmp/x.db", "sqlite:////tmp/x.db"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        ("postgres://u:p%40s@h:5433/d", "postgresql+psycopg://u:p%40s@h:5433/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_what_a_user_types_becomes_one_url(given: str | None, expected: str) -> None:
    assert normalise_url(given, STUDIES) == expected
    assert normalise_url(expected, STUDIES) == expected


def test_relative_files_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("a/x.db", "sqlite:///a/x.db"):
        assert database_file(normalise_url(given, STUDIES)) == tmp_path / "a" / "x.db"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("mysql://u:secret@h/d", "SQLite or PostgreSQL, not 'mysql'"),
        ("postgresql+psycopg2://u:secret@h/d", r"not 'postgresql\+psycopg2'"),
        ("sqlite://", "needs an SQLite file, not memory"),
        ("sqlite:///:memory:", "needs an SQLite file, not memory"),
        ("/tmp", "/tmp is a folder"),
        ("postgresql://u:secret@h:port/d", "begins with postgresql:// cannot be read"),
        ("://", "cannot be read"),
    ],
)
def test_what_cannot_hold_a_study_is_refused(given: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        normalise_url(given, STUDIES)
    assert "secret" not in str(caught.value)


def test_passwords_are_masked_wherever_they_stand() -> None:
    assert masked("postgresql+psycopg://u:secret@h/d") == "postgresql+psycopg://u:***@h/d"
    assert "secret" not in masked("postgresql+psycopg://h/d?user=u&password=secret")
    error = OperationalError("select", {}, Exception("odd: conninfo user=u password=secret"))
    assert "secret" not in explain(error, "postgresql+psycopg://u:secret@h/d")


def test_network_drives_are_told_by_their_deepest_mount() -> None:
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/me/local", "xfs"), ("/win", "CIFS")]
    assert network_drive(Path("/home/me/studies.db"), mounts) == "nfs4"
    assert network_drive(Path("/home/me/local/studies.db"), mounts) is None
    assert network_drive(Path("/win/a/b/studies.db"), mounts) == "cifs"
    assert network_drive(Path("/homestead/studies.db"), mounts) is None


def test_sqlite_on_a_network_drive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mount:
        mountpoint, fstype = str(tmp_path), "nfs4"

    monkeypatch.setattr("psutil.disk_partitions", lambda all: [Mount])
    with pytest.raises(StorageError, match=r"network drive \(nfs4\)"):
        StudyStore(f"sqlite:///{tmp_path / 'studies.db'}")


def test_sqlite_is_in_wal_mode_for_us_and_for_optuna(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'studies.db'}"
    for engine in (open_engine(url), open_optuna_storage(url).engine):
        with engine.connect() as connection:
            pragmas = ("journal_mode", "synchronous", "busy_timeout")
            values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
            assert values == ["wal", 1, 60000]
            other = sqlite3.connect(tmp_path / "new" / "studies.db", timeout=0)
            with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")


def test_a_path_with_braces_opens(tmp_path: Path) -> None:
    url = normalise_url(str(tmp_path / "{odd} 100% name.db"), STUDIES)
    StudyStore(url).create_study(study_record())
    open_optuna_storage(url)
    assert (tmp_path / "{odd} 100% name.db").exists()


def sentence(url: str) -> str:
    """What opening `url` says."""
    with pytest.raises(StorageError) as caught:
        StudyStore(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_corrupt_file(tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    file.write_bytes(b"no database at all" * 1000)
    assert f"{file} is not a usable SQLite database" in sentence(f"sqlite:///{file}")
    with pytest.raises(StorageError, match="not a usable SQLite database"):
        open_optuna_storage(f"sqlite:///{file}")


def test_a_file_damaged_in_the_middle(tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    store = StudyStore(f"sqlite:///{file}")
    for number in range(50):
        store.create_study(study_record(f"pets{number}"))
    store.close()
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(os.urandom(file.stat().st_size - 4096))
    with pytest.raises(StorageError, match="not a usable SQLite database"):
        StudyStore(f"sqlite:///{file}").list_studies()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made" in sentence(f"sqlite:///{tmp_path / 'file' / 'studies.db'}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file(tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    StudyStore(f"sqlite:///{file}").close()
    file.chmod(0o444)
    store = StudyStore(f"sqlite:///{file}")
    assert store.list_studies() == []
    with pytest.raises(StorageError, match="is read-only; give yourself write permission"):
        store.create_study(study_record())


def test_a_full_disk(tmp_path: Path) -> None:
    store = StudyStore(f"sqlite:///{tmp_path / 'studies.db'}")
    with store._engine.connect() as connection:  # a page limit answers like a full disk
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(StorageError, match=r"the disk under .* is full; free some space"):
        for number in range(100):
            store.create_study(study_record(f"pets{number}"))


def test_sentences_for_what_is_hard_to_bring_about() -> None:
    def said(message: str, url: str = "sqlite:////a/b.db") -> str:
        return explain(OperationalError("select", {}, sqlite3.OperationalError(message)), url)

    assert said("database is locked").startswith("another process has held /a/b.db")
    assert said("attempt to write a readonly database").startswith("/a/b.db is read-only")
    assert said("disk I/O error").startswith("the drive under /a/b.db fails")
    assert said("permission denied for schema public").startswith("the database user may not")
    assert said("odd\nthing") == "the database at /a/b.db failed: odd"


def test_no_server() -> None:
    said = sentence("postgresql+psycopg://u:secret@127.0.0.1:1/d")
    assert said.startswith("no database answers at postgresql+psycopg://u:***@127.0.0.1:1/d;")


def test_a_wrong_password(postgresql_url: str) -> None:
    wrong = re.sub(r"xfer:[^@]+@", "xfer:secret@", postgresql_url)
    said = sentence(wrong)
    assert "refused the user or the password" in said
    assert "secret" not in said


def test_a_database_that_does_not_exist(postgresql_server: str) -> None:
    assert "there is no such database" in sentence(f"{postgresql_server}/nothing")


def test_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'automl-xfer[postgresql]'" in sentence("postgresql+psycopg://h/d")


def test_a_newer_schema_is_refused(url: str) -> None:
    StudyStore(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE xfer_schema SET version = 99"))
    engine.dispose()
    assert "has version 99" in sentence(url)


def test_optuna_tables_of_another_version_are_refused(url: str) -> None:
    storage = open_optuna_storage(url)
    with storage.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v99'"))
    storage.engine.dispose()
    with pytest.raises(StorageError, match=r"pip install -U optuna") as caught:
        open_optuna_storage(url)
    assert "s3cret" not in str(caught.value)


def test_what_a_trial_draws_is_what_another_process_reads(url: str) -> None:
    study = optuna.create_study(storage=open_optuna_storage(url), study_name="s")
    for _ in range(2):  # a parameter is written in one way at first, in another once it is known
        trial = study.ask()
        drawn = [
            trial.suggest_float("a", 0.1, 10.0, log=True),
            trial.suggest_int("b", 1, 9),
            trial.suggest_categorical("c", ["x", "y", "z"]),
        ]
        study.tell(trial, 0.5)
        other = optuna.load_study(storage=open_optuna_storage(url), study_name="s")
        read = other.trials[-1]
        assert [*read.params.values()] == drawn
        assert read.distributions == trial.distributions
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        study.ask().suggest_int("a", 1, 9)


def test_steps_are_what_another_process_reads(url: str) -> None:
    study = optuna.create_study(storage=open_optuna_storage(url), study_name="s")
    trial = study.ask()
    for step, value in enumerate((0.5, math.nan, math.inf, 0.25)):
        trial.report(value, step)
    trial.storage.set_trial_intermediate_value(trial._trial_id, 0, 0.75)  # once more
    other = optuna.load_study(storage=open_optuna_storage(url), study_name="s")
    read = other.trials[-1].intermediate_values
    assert read == {0: 0.75, 1: pytest.approx(math.nan, nan_ok=True), 2: math.inf, 3: 0.25}


def test_a_known_parameter_and_a_step_are_one_statement_each(url: str) -> None:
    storage = open_optuna_storage(url)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    study.ask().suggest_float("a", 0.0, 1.0)
    trial, sent = study.ask(), []

    @event.listens_for(storage.engine, "before_cursor_execute")
    def note(connection, cursor, statement, *others) -> None:
        sent.append(statement)

    trial.suggest_float("a", 0.0, 1.0)
    trial.report(0.5, 0)
    drawn, reported = (each for each in sent if each != "BEGIN IMMEDIATE")
    assert drawn.startswith("INSERT INTO trial_params")
    assert reported.startswith("INSERT INTO trial_intermediate_values")


def test_a_trial_that_another_process_ended_takes_no_parameter_and_no_step(url: str) -> None:
    study = optuna.create_study(storage=open_optuna_storage(url), study_name="s")
    study.tell(study.ask({"a": FloatDistribution(0.0, 1.0)}), 0.5)
    trial = study.ask()
    optuna.load_study(storage=open_optuna_storage(url), study_name="s").tell(trial.number, 0.1)
    with pytest.raises(UpdateFinishedTrialError):
        trial.suggest_float("a", 0.0, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        trial.report(0.5, 0)
    assert study.trials[-1].params == study.trials[-1].intermediate_values == {}


def test_migrations_run_in_order_and_once(store: StudyStore) -> None:
    def add(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE xfer_study ADD COLUMN team VARCHAR(20)"))

    def fill(connection: Connection) -> None:
        connection.execute(text("UPDATE xfer_study SET team = 'blue'"))

    for _ in range(2):
        migrate(store._engine, (add, fill))
    with store._engine.connect() as connection:
        assert schema_version(connection) == 3
        assert connection.execute(text("SELECT name, team FROM xfer_study")).all() == [
            ("pets", "blue")
        ]


def test_a_migration_that_fails_leaves_nothing_behind(store: StudyStore) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE xfer_study ADD COLUMN team VARCHAR(20)"))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        migrate(store._engine, (half,))
    with store._engine.connect() as connection:
        assert schema_version(connection) == 1
        with pytest.raises(Exception, match="team"):
            connection.execute(text("SELECT team FROM xfer_study"))
