"""The health check on real tasks, where they are present."""

import time
from pathlib import Path

import pytest

from automl_xfer.data import check_health, scan

SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.skipif(not (SHARED / "tasks").is_dir(), reason="needs ../shared/tasks and its images")
def test_cartoon_5shot_is_clean_and_quick():
    scanned = scan(SHARED / "tasks" / "cartoon-5shot.csv")
    start = time.perf_counter()
    checked, report = check_health(scanned)
    assert time.perf_counter() - start < 30
    assert len(checked.manifest.select("train")) == 35
    assert len(checked.test.paths) == 1000
    assert report.quarantined == () and report.exact_duplicates == ()
    assert {finding.severity for finding in report.findings} <= {"info"}


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs ../shared/data")
def test_amazon_product_pictures_have_known_duplicates():
    _, report = check_health(scan(SHARED / "data" / "office_caltech10" / "amazon"))
    assert len(report.exact_duplicates) == 17
    near = {frozenset(Path(name).name for name in group) for group in report.near_duplicates}
    assert frozenset({"frame_0076.jpg", "frame_0083.jpg"}) in near
    assert all(len({Path(n).parent for n in group}) == 1 for group in report.near_duplicates)
