"""The fixture of the report's tests."""

from pathlib import Path

import pytest
from fake_study import finished_study

from automl_xfer.study.records import StudyRecord, TrialRecord


@pytest.fixture
def study_and_trials(tmp_path: Path) -> tuple[StudyRecord, list[TrialRecord]]:
    """A finished study, its pictures in a folder of its own."""
    return finished_study(tmp_path)
