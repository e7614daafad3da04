"""The history reads the news only, and knows what the store knows."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from automl_xfer.search.history import TrialHistory
from automl_xfer.study.records import Role, StudyRecord, TrialRecord, TrialState
from automl_xfer.study.store import StudyStore


@pytest.fixture
def store(tmp_path):
    made = StudyStore(f"sqlite:///{tmp_path / 'studies.db'}")
    for name in ("s", "other"):
        made.create_study(
            StudyRecord(name, datetime.now(UTC), 0, "accuracy", {}, {}, "0", {}, {}, "0")
        )
    return made


def trial(number, study="s", state=TrialState.RUNNING):
    strategy = {"head": {"name": "linear"}, "regularizer": {"name": "none"}}
    return TrialRecord(0, study, number, Role.SEARCH, strategy, "d", state, 0)


def test_it_knows_what_the_store_knows_while_trials_come_and_end(store):
    history = TrialHistory(store, "s")
    assert history.all() == []
    first = store.add_trial(trial(0))
    store.add_trial(trial(0, "other"))
    second = store.add_trial(trial(1))
    assert history.all() == store.trials("s") == [first, second]
    store.update_trial(replace(second, state=TrialState.COMPLETE, score=0.5))
    for number in range(2, 210):
        store.add_trial(trial(number, state=TrialState.COMPLETE))
    assert history.all() == store.trials("s")
    # Another process ends the oldest, long after newer ones.
    StudyStore(store.url).update_trial(replace(first, state=TrialState.FAILED))
    time.sleep(0.06)
    assert history.all() == store.trials("s")
    assert history.all()[0].state is TrialState.FAILED


def test_only_the_news_is_read(store, monkeypatch):
    history = TrialHistory(store, "s")
    for number in range(300):
        store.add_trial(trial(number, state=TrialState.COMPLETE))
    history.all()
    now, read = time.monotonic() + 10, []
    plain = store.trials_since
    monkeypatch.setattr(store, "trials_since", lambda *args: read.append(plain(*args)) or read[-1])
    monkeypatch.setattr("automl_xfer.search.history.time.monotonic", lambda: now)
    assert len(history.all()) == 300
    assert read == [[]]
    now += 0.01  # a moment later nothing is asked
    assert len(history.all()) == 300
    assert read == [[]]
    store.add_trial(trial(300))
    assert history.all() == store.trials("s")
    assert len(read[1]) == 1


def test_a_trial_with_a_teacher_is_known_without_it_too(store):
    history = TrialHistory(store, "s")
    taught = replace(trial(0), id=1, strategy={"regularizer": {"name": "d", "teacher": "[1]"}})
    assert history.texts(taught) == {
        '{"regularizer": {"name": "d", "teacher": "[1]"}}',
        '{"regularizer": {"name": "d", "teacher": ""}}',
    }
