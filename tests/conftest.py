"""What tests of several packages ask for: a PostgreSQL server of our own, and full precision."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

PASSWORD = "s3cret%word"
_schemas = count()


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root: another user then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL without database of a server that lasts as long as the tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's server binaries are not installed (/usr/lib/postgresql/*/bin)")
    bin_dir, user = found[-1].parent, _server_user()
    folder = Path(tempfile.mkdtemp(prefix="xfer-pg-"))
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    if user is not None:
        for path in (folder, password_file):
            shutil.chown(path, user)
    run = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "check": True}
    data, port = folder / "data", _free_port()
    initdb = [bin_dir / "initdb", "-D", data, "-U", "xfer", "-A", "scram-sha-256"]
    subprocess.run([*initdb, f"--pwfile={password_file}", "--no-sync", "-E", "UTF8"], **run)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
    control = [bin_dir / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **run)
    try:
        yield f"postgresql+psycopg://xfer:{PASSWORD.replace('%', '%25')}@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """A new empty schema on the server, which is quicker to make than a database."""
    name = f"study_{next(_schemas)}"
    engine = create_engine(f"{postgresql_server}/postgres")
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{postgresql_server}/postgres?options=-csearch_path%3D{name}"


@pytest.fixture
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 bits also on a CPU with bfloat16, where random networks lose what a test compares."""
    monkeypatch.setattr("automl_xfer.transfer.device._cpu_has_bfloat16", lambda: False)
