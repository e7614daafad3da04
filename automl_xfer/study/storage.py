"""Connections to a study database: ours, Optuna's, and the dashboard's."""

import logging
import math
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, TextClause, column, create_engine, event, select, table, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from automl_xfer.errors import StorageError
from automl_xfer.study.address import check_drive, database_file, masked, normalise_url
from automl_xfer.study.failures import storage_errors
from automl_xfer.study.locking import creation_lock

__all__ = [
    "ResilientStorage",
    "masked",
    "normalise_url",
    "open_dashboard_storage",
    "open_engine",
    "open_optuna_storage",
    "storage_errors",
]

HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 90
_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10

_WRITE_PARAMETER = text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " SELECT trial_id, :param_name, :param_value, :distribution_json FROM trials"
    " WHERE trial_id = :trial_id AND state = 'RUNNING'"
)

_WRITE_STEP = text(
    "INSERT INTO trial_intermediate_values"
    " (trial_id, step, intermediate_value, intermediate_value_type)"
    " SELECT trial_id, :step, :value, 'FINITE' FROM trials"
    " WHERE trial_id = :trial_id AND state = 'RUNNING'"
)

logger = logging.getLogger(__name__)


class ResilientStorage(RDBStorage):
    """Optuna's storage whose heartbeat outlives a database that is away for a while."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Write the beat, or log why not: an exception here would end the beating for good."""
        try:
            super().record_heartbeat(trial_id)
        except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
            logger.warning("the heartbeat of trial %d was not written: %s", trial_id, error)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Write a known parameter of a running trial by a single INSERT.

        Optuna reads the trial first, which takes longer than the writing; whatever else is the
        case is left to it.
        """
        if previous_distribution is not None:
            check_distribution_compatibility(previous_distribution, distribution)
            values = {
                "trial_id": trial_id,
                "param_name": param_name,
                "param_value": param_value_internal,
                "distribution_json": distribution_to_json(distribution),
            }
            if self._inserted(_WRITE_PARAMETER, values):
                return
        super()._set_trial_param(
            trial_id, param_name, param_value_internal, distribution, previous_distribution
        )

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Write a new finite value of a running trial by one INSERT; see `_set_trial_param`."""
        values = {"trial_id": trial_id, "step": step, "value": intermediate_value}
        if not math.isfinite(intermediate_value) or not self._inserted(_WRITE_STEP, values):
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def _inserted(self, statement: TextClause, values: Mapping[str, object]) -> bool:
        """Whether the statement put in its one row."""
        with suppress(SQLAlchemyError), self.engine.begin() as connection:
            return bool(connection.execute(statement, values).rowcount == 1)
        return False

    def has_beaten(self, trial_id: int) -> bool:
        """Whether a heartbeat of this trial was ever written."""
        beats = table("trial_heartbeats", column("trial_id"))
        with self.engine.connect() as connection:
            found = connection.execute(select(beats).where(beats.c.trial_id == trial_id))
            return found.first() is not None


def open_engine(url: str) -> Engine:
    """An engine on a normalised URL, tried once: what it cannot do is a StorageError now.

    SQLite works in WAL mode and begins every transaction IMMEDIATE, so that of two processes
    that read a row to change it the second one waits.
    """
    _prepare_file(url)
    try:
        engine = create_engine(url, **_engine_options(url))
    except ImportError as error:
        raise StorageError(_DRIVER) from error
    if engine.dialect.name == "sqlite":
        _begin_immediate(engine)
    # Under the lock: the first connection switches the file to WAL, which must not race.
    with storage_errors(url), creation_lock(engine), engine.connect():
        pass
    return engine


def open_optuna_storage(
    url: str,
    *,
    heartbeat_interval: int | None = HEARTBEAT_SECONDS,
    grace_period: int | None = GRACE_SECONDS,
) -> ResilientStorage:
    """Optuna's storage on a normalised URL, with its tables made by one process at a time.

    `heartbeat_interval` and `grace_period` are seconds; None for no heartbeat.
    """
    storage = _open_optuna(url, heartbeat_interval, grace_period)
    if storage.engine.dialect.name == "sqlite":
        _begin_immediate(storage.engine)
        storage.engine.dispose()  # connections made before the events know nothing of them
    return storage


def open_dashboard_storage(url: str) -> RDBStorage:
    """A storage for readers, without IMMEDIATE: watching a study must not hold up its search."""
    return _open_optuna(url, None, None)


def _open_optuna(
    url: str, heartbeat_interval: int | None, grace_period: int | None
) -> ResilientStorage:
    engine = open_engine(url)
    try:
        with storage_errors(url), creation_lock(engine), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return ResilientStorage(
                url.replace("{", "{{").replace("}", "}}"),  # Optuna formats its URL
                engine_kwargs=_engine_options(url),
                heartbeat_interval=heartbeat_interval,
                grace_period=grace_period,
            )
    except RuntimeError as error:  # Optuna's word for a schema of another version
        raise StorageError(f"{database_file(url) or masked(url)}: {error}") from error
    finally:
        engine.dispose()


def _engine_options(url: str) -> dict[str, object]:
    if database_file(url):
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    # A restarted server leaves dead connections in the pool: try each before its use.
    return {"pool_pre_ping": True, "connect_args": {"connect_timeout": _CONNECT_SECONDS}}


def _begin_immediate(engine: Engine) -> None:
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin)


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` decides, not the driver
    connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_file(url: str) -> None:
    file = database_file(url)
    if file is None:
        return
    check_drive(file)
    try:
        Path(file.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder of {file} cannot be made ({error.strerror}); name another with --storage"
        ) from error


_DRIVER = (
    "PostgreSQL needs the driver psycopg, which is not installed or lacks libpq; "
    "run pip install 'automl-xfer[postgresql]'"
)
