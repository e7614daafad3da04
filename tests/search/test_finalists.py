"""Who may win without target labels: what ranks ahead of source-only, or source-only itself."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from automl_xfer.search import finalists
from automl_xfer.study.records import Role, TrialRecord, TrialState


def trial(number: int, head: str, alignment: str, baseline: str | None = None) -> TrialRecord:
    strategy = {
        axis: {"name": name}
        for axis, name in (
            ("backbone", "timm"),
            ("freezing", "linear-probe"),
            ("alignment", alignment),
            ("head", head),
        )
    }
    return TrialRecord(
        id=number,
        study="s",
        number=number,
        role=Role.SEARCH,
        baseline=baseline,
        strategy=strategy,
        description=f"{alignment} {head}",
        state=TrialState.COMPLETE,
        seed=0,
        started=datetime.now(UTC),
    )


SOURCE_ONLY = trial(2, "logistic-regression", "none", "source-only")
SAME_KIND = trial(1, "nearest-class-mean", "none")
CORAL = trial(3, "logistic-regression", "coral")
ADABN = trial(4, "logistic-regression", "adabn")


@pytest.mark.parametrize(
    ("ranking", "chosen"),
    [
        ([SAME_KIND, SOURCE_ONLY, CORAL, ADABN], [SAME_KIND]),
        ([ADABN, SAME_KIND, SOURCE_ONLY, CORAL], [ADABN, SAME_KIND]),
        ([SOURCE_ONLY, SAME_KIND, CORAL], [SOURCE_ONLY]),
    ],
)
def test_only_what_is_ahead_of_source_only_votes(ranking, chosen, monkeypatch):
    monkeypatch.setattr(finalists, "ranked", lambda session, trials: trials)
    session = SimpleNamespace(has_target_labels=False, complete_trials=lambda: ranking)
    found = finalists.finalists_of_search(session)
    assert [each.trial.id for each in found] == [each.id for each in chosen]


def test_with_target_labels_source_only_is_one_of_many(monkeypatch):
    monkeypatch.setattr(finalists, "ranked", lambda session, trials: trials)
    ranking = [SAME_KIND, SOURCE_ONLY, CORAL]
    session = SimpleNamespace(has_target_labels=True, complete_trials=lambda: ranking)
    found = finalists.finalists_of_search(session)
    assert [each.trial.id for each in found] == [SAME_KIND.id, CORAL.id]
