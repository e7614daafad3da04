"""Options of every command that reads a study, and the store that they name."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from automl_xfer.errors import StudyError
from automl_xfer.study.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from automl_xfer.study.store import StudyStore

Command = TypeVar("Command", bound=Callable[..., Any])

studies_dir_option = click.option(
    "--studies-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("studies"),
    show_default=True,
    help="Folder of the studies' files.",
)


def storage_options(command: Command) -> Command:
    """Add --storage and --studies-dir."""
    storage = click.option(
        "--storage",
        metavar="URL",
        help="Study database: an SQLite file or postgresql://USER:PASSWORD@HOST/DATABASE."
        "  [default: studies.db in --studies-dir]",
    )
    return storage(studies_dir_option(command))


def existing_url(storage: str | None, studies_dir: Path) -> str:
    """The normalised URL; StudyError where no database file is, rather than making one."""
    from automl_xfer.study.address import database_file, normalise_url

    url = normalise_url(storage, studies_dir)
    file = database_file(url)
    if file is not None and not file.exists():
        raise StudyError(
            f"there is no study database {file}; begin a study with `automl-xfer search`, "
            "or say where it is with --studies-dir or --storage"
        )
    return url


def existing_store(storage: str | None, studies_dir: Path) -> "StudyStore":
    """The store of an existing database."""
    from automl_xfer.study.store import StudyStore

    return StudyStore(existing_url(storage, studies_dir))


def as_json(record: StudyRecord | TrialRecord) -> dict[str, Any]:
    """A record as JSON data: times in ISO format, NaN as null."""
    from automl_xfer.study.plain import plain

    data = asdict(record)
    times = {name: time.isoformat() for name, time in data.items() if isinstance(time, datetime)}
    shown: dict[str, Any] = plain(data | times)
    return shown
