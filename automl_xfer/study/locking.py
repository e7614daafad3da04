"""One process at a time makes or upgrades tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import func, select
from sqlalchemy.engine import Engine

_ADVISORY_KEY = 0x78666572  # "xfer"


@contextmanager
def creation_lock(engine: Engine) -> Iterator[None]:
    """Hold this database's schema; others wait. The lock dies with the process that holds it."""
    lock = _sqlite_lock if engine.dialect.name == "sqlite" else _postgresql_lock
    with lock(engine):
        yield


@contextmanager
def _sqlite_lock(engine: Engine) -> Iterator[None]:
    """An empty SQLite file beside the database: a file lock that every system has."""
    file = f"{engine.url.database}-lock"
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _postgresql_lock(engine: Engine) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(select(func.pg_advisory_lock(_ADVISORY_KEY)))
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(_ADVISORY_KEY)))
