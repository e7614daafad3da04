"""docs/study-database.md: its queries run and its tables have the columns that it lists."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from automl_xfer.study.address import normalise_url
from automl_xfer.study.store import StudyStore

PAGE = (Path(__file__).parents[2] / "docs" / "study-database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A fresh study database, opened as anyone would."""
    StudyStore(normalise_url(None, tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / "studies.db")) as connection:
        yield connection


def test_every_query_runs(database: sqlite3.Connection) -> None:
    assert len(QUERIES) >= 2
    for query in QUERIES:
        assert database.execute(query).fetchall() == []


@pytest.mark.parametrize("table", ["xfer_study", "xfer_trial"])
def test_the_columns_are_those_on_the_page(database: sqlite3.Connection, table: str) -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{table}` |"))
    listed = re.findall(r"`(\w+)`", line)[1:]
    assert listed == [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def test_every_table_of_ours_is_on_the_page(database: sqlite3.Connection) -> None:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    assert {name for (name,) in tables if name.startswith("xfer_")} == set(
        re.findall(r"`(xfer_\w+)`", PAGE)
    )
