"""What went wrong with the database, in one sentence that never holds a password."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from automl_xfer.errors import StorageError
from automl_xfer.study.address import database_file, masked, password

_SENTENCES = (
    (
        r"not a database|malformed",
        "{where} is not a usable SQLite database: it is damaged or another kind of file; "
        "restore a copy of it or name another file with --storage",
    ),
    (
        r"disk is full|no space left|could not extend",
        "the disk under {where} is full; free some space and run the same command again",
    ),
    (
        r"readonly database|read-only",
        "{where} is read-only; give yourself write permission on it and on its folder, "
        "or name another database with --storage",
    ),
    (
        r"unable to open database file",
        "{where} cannot be opened; check that its folder exists and that you may write there",
    ),
    (
        r"database is locked",
        "another process has held {where} for more than a minute; wait for it or end it, "
        "then run the same command again",
    ),
    (
        r"disk i/o error|locking protocol",
        "the drive under {where} fails or cannot lock files; name a file on a local disk "
        "with --storage",
    ),
    (
        r"authentication failed|no password supplied|role .* does not exist",
        "the database at {where} refused the user or the password; correct them in --storage",
    ),
    (
        r'database ".*" does not exist',
        "there is no such database at {where}; create it (createdb NAME) or correct --storage",
    ),
    (
        r"permission denied",
        "the database user may not create or write tables at {where}; grant it, or use another",
    ),
    (
        r"refused|could not translate|timeout|no such file|not known|resolve|closed|terminat"
        r"|connection failed|starting up|shutting down|lost",
        "no database answers at {where}; start it, or correct host and port in --storage",
    ),
)


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn whatever the database, its driver or Optuna's storage raises into StorageError."""
    try:
        yield
    except IntegrityError:
        raise  # the caller knows which rule was broken
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise StorageError(explain(error, url)) from error


def explain(error: BaseException, url: str) -> str:
    """One sentence: what happened, to which database, what to do next."""
    where = str(database_file(url) or masked(url))
    origin = _origin(error)
    if isinstance(origin, StorageError):  # raised by a column type, wrapped by SQLAlchemy
        return str(origin)
    text = str(origin)
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, text, re.IGNORECASE):
            return sentence.format(where=where)
    first = (text.strip() or type(error).__name__).splitlines()[0]
    if secret := password(url):
        first = first.replace(secret, "***")
    return f"the database at {where} failed: {first}"


def _origin(error: BaseException) -> BaseException:
    """The driver's own exception under SQLAlchemy's and Optuna's wrapping."""
    while not isinstance(error, DBAPIError) and error.__cause__ is not None:
        error = error.__cause__
    return (error.orig if isinstance(error, DBAPIError) else None) or error
