"""Records for the tests of the study database."""

from datetime import UTC, datetime

from automl_xfer.study.records import Role, StudyRecord, TrialRecord, TrialState
from automl_xfer.study.store import current_worker


def study_record(name: str = "pets") -> StudyRecord:
    return StudyRecord(
        name=name,
        created=datetime(2025, 3, 1, 12, 30, 15, 250000, tzinfo=UTC),
        seed=2**40,
        metric="accuracy",
        options={"time_limit": 600, "alignment": ["none", "coral"]},
        facts={"n_train": 35, "sources": {"web": 200}, "classes": ["cat", "hund ß"]},
        manifest_hash="0123456789abcdef",
        catalog={"head": {"linear": "builtin 0.1.0"}},
        health={"corrupt": []},
        version="0.1.0",
    )


def trial_record(number: int | None = 0, study: str = "pets", **changes: object) -> TrialRecord:
    given: dict[str, object] = {
        "id": 0,
        "study": study,
        "number": number,
        "role": Role.SEARCH,
        "strategy": {"head": {"name": "linear"}, "freezing": {"name": "depth", "depth": 0.5}},
        "description": "resnet18 · linear",
        "state": TrialState.RUNNING,
        "seed": 1,
        "worker": current_worker(),
        "started": datetime.now(UTC),
    }
    return TrialRecord(**{**given, **changes})  # type: ignore[arg-type]
