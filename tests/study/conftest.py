"""Study databases for the tests: an SQLite file and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from study_samples import study_record

from automl_xfer.study.store import StudyStore


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new empty study database of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def store(url: str) -> Iterator[StudyStore]:
    """A store with one study called `pets`."""
    made = StudyStore(url)
    made.create_study(study_record())
    yield made
    made.close()
