"""What a result says of trials that a reader sees ahead of the winner."""

from types import SimpleNamespace

from automl_xfer.search import result_notes
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.winner import Winner


def told(scores, monkeypatch, *, prefer="accuracy", student=False):
    trials = [SimpleNamespace(id=place, score=score) for place, score in enumerate(scores)]
    session = SimpleNamespace(
        complete_trials=lambda: trials,
        has_target_labels=True,
        options=SimpleNamespace(max_latency_ms=None, prefer=prefer),
        plan=SimpleNamespace(metric="balanced-accuracy"),
    )
    monkeypatch.setattr(result_notes, "winner_result", lambda *_: {"score": scores[0]})
    monkeypatch.setattr(result_notes, "is_student", lambda *_: student)
    monkeypatch.setattr(result_notes, "within_limit", lambda _, tried: tried[0].id != 9)
    return result_notes.scored_higher(session, Winner(((Finalist(trials[0]), 1.0),)))


def test_trials_that_scored_higher_than_the_winner_are_told_with_the_reason(monkeypatch):
    (one,) = told([0.9, 0.95, 0.8], monkeypatch)
    assert one.startswith("One strategy has a higher balanced accuracy than the winner (95.0 %)")
    assert "chosen by the log score" in one
    (two,) = told([0.9, 0.95, 1.0], monkeypatch, prefer="speed")
    assert two.startswith("2 strategies have") and "(up to 100.0 %): it is the fastest" in two
    (student,) = told([0.9, 0.95], monkeypatch, prefer="speed", student=True)
    assert "chosen by the log score" in student


def test_nothing_is_told_of_what_scored_no_higher_or_is_too_slow(monkeypatch):
    assert told([0.9, 0.9, 0.8], monkeypatch) == []
    assert told([0.9] * 9 + [1.0], monkeypatch) == []
