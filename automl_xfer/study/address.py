"""Where a study database is: one URL, complete, checked and safe to print."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from automl_xfer.errors import StorageError

DATABASE_FILE = "studies.db"
_POSTGRESQL = {"postgres", "postgresql", "postgresql+psycopg"}
_NETWORK_DRIVES = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "afs", "ceph", "glusterfs", "fuse.glusterfs",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "lustre", "gpfs", "beegfs", "ncpfs", "davfs",
}  # fmt: skip


def normalise_url(text: str | None, studies_dir: Path) -> str:
    """The complete SQLAlchemy URL for what a user typed: a URL, a file, or nothing.

    Nothing means the SQLite file in `studies_dir`. The answer holds the password, if there is
    one; print `masked(url)` instead. Raises StorageError for what cannot hold a study.
    """
    if not text:
        return _sqlite_url(studies_dir / DATABASE_FILE)
    if "://" not in text:
        return _sqlite_url(Path(text))
    url = _parse(text)
    if url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StorageError(
            f"studies are kept in SQLite or PostgreSQL, not {url.drivername!r}; "
            "use a file name, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if url.database in (None, "", ":memory:"):
        raise StorageError("a study needs an SQLite file, not memory; use sqlite:///FILE")
    return _sqlite_url(Path(str(url.database)))


def masked(url: str) -> str:
    """The URL with every password replaced by ***, for messages."""
    parsed = _parse(url)
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "***"})
    return parsed.render_as_string(hide_password=True)


def password(url: str) -> str | None:
    """The password in the URL, wherever it stands."""
    parsed = _parse(url)
    return parsed.password or str(parsed.query.get("password", "")) or None


def database_file(url: str) -> Path | None:
    """The SQLite file behind `url`; None for a server."""
    parsed = _parse(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def check_drive(file: Path) -> None:
    """Raise StorageError when `file` lies on a network drive, where SQLite loses data."""
    mounts = ((part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True))
    if kind := network_drive(file, mounts):
        raise StorageError(
            f"{file} lies on a network drive ({kind}), where SQLite can lose data; "
            "name a file on a local disk or a postgresql:// database with --storage"
        )


def network_drive(file: Path, mounts: Iterable[tuple[str, str]]) -> str | None:
    """The file system type under `file` if it is a network one. `mounts`: (folder, type)."""
    folder = os.path.realpath(file.parent)
    holding = [
        (len(mount), kind) for mount, kind in mounts if os.path.commonpath([mount, folder]) == mount
    ]
    kind = max(holding, default=(0, ""))[1].lower()
    return kind if kind in _NETWORK_DRIVES else None


def _parse(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        scheme = text.split("://", maxsplit=1)[0]  # the rest may hold a password
        raise StorageError(
            f"the storage URL that begins with {scheme}:// cannot be read; "
            "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with special characters of the password as %XX"
        ) from None


def _sqlite_url(file: Path) -> str:
    absolute = Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 (keep links as given)
    if absolute.is_dir():
        raise StorageError(f"{absolute} is a folder; name a file in it, such as {DATABASE_FILE}")
    return URL.create("sqlite", database=str(absolute)).render_as_string()
