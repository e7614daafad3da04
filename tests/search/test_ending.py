"""What a result says of trials that a reader sees ahead of the winner."""

from types import SimpleNamespace

from automl_xfer.search import ending
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.winner import Winner


def told(scores, *, prefer="accuracy"):
    trials = [SimpleNamespace(id=place, score=score) for place, score in enumerate(scores)]
    session = SimpleNamespace(
        complete_trials=lambda: trials,
        options=SimpleNamespace(max_latency_ms=None, prefer=prefer),
        plan=SimpleNamespace(metric="balanced-accuracy"),
    )
    winner = Winner(((Finalist(trials[0]), 1.0),))
    return ending._scored_higher(session, winner, trials[0].score)


def test_trials_that_scored_higher_than_the_winner_are_told_with_the_reason():
    (one,) = told([0.9, 0.95, 0.8])
    assert one.startswith("One strategy has a higher balanced accuracy in the search than the win")
    assert "(95.0 %): it was chosen by log score" in one
    (two,) = told([0.9, 0.95, 1.0], prefer="speed")
    assert two.startswith("2 strategies have") and "(up to 100.0 %): it is the fastest" in two


def test_nothing_is_told_where_the_winner_scored_as_high_as_any():
    assert told([0.9, 0.9, 0.8]) == []
