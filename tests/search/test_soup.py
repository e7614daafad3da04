"""The end of a search: a soup of weights that trials left, and a student of the ensemble."""

from dataclasses import replace

import pytest

from automl_xfer.bundle import load_bundle
from automl_xfer.search import ending, soup, student
from automl_xfer.search.child import end_idle_children, prepare_children
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.finalists import finalists_of_search
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.opening import open_session
from automl_xfer.search.soup import try_soup
from automl_xfer.search.student import or_student
from automl_xfer.search.teacher import with_teacher
from automl_xfer.search.winner import Winner
from automl_xfer.study.records import SPARED, Role, TrialState

RATE = "optimization.adamw.learning_rate"


@pytest.fixture
def session(options):
    prepare_children()
    yield open_session(options, lambda event: None, lambda: False)
    end_idle_children()


@pytest.fixture
def tried(session):
    """Run a strategy as trial after trial of the search."""

    def run(freezing="lp-ft", rate=1e-3, **names):
        named = {"freezing": freezing, "alignment": "none", "head": "logistic-regression"}
        if freezing != "linear-probe":
            named["optimization"] = "adamw"
        own = {RATE: rate, "optimization.adamw.epochs": 5} if "optimization" in named else {}
        strategy = with_teacher(
            session, session.space.strategy(names={**named, **names}, parameters=own)
        )
        number = len(session.trials())
        record = replace(new_record(session, strategy, Role.SEARCH, 0), number=number)
        record = execute(session, strategy, record, session.plan, 60.0)
        assert record.state is TrialState.COMPLETE, record.failure_message
        return record

    return run


def made_at_the_end(session):
    return [each for each in session.complete_trials() if each.number is None]


def kept_weights(session):
    return set(session.cache_directory.glob("weights-*"))


def test_a_soup_trains_nothing_and_stands_for_its_ingredients(session, tried, monkeypatch):
    monkeypatch.setattr(soup, "_stands_for", lambda *_: True)
    ingredients = [tried(), tried("wise-ft"), tried(rate=1e-4)]
    other = tried(head="nearest-class-mean")  # another head: no mean of use
    kept = kept_weights(session)
    try_soup(session)
    (made,) = made_at_the_end(session)
    assert made.role is Role.FINALIST and "model-soup" in made.description
    assert made.timings[SPARED] > 0 and kept_weights(session) == kept
    assert session.passed_over == {each.id for each in ingredients}
    finalists = {each.trial.id for each in finalists_of_search(session)}
    assert finalists <= {made.id, other.id}
    (told,) = [note for note in session.notes if "averaged into one model" in note]
    assert "trials" in told and f"{made.metrics['log-loss']:.3f}" in told

    session.passed_over.clear()
    try_soup(session)
    assert made_at_the_end(session) == [made]  # an end that comes again mixes nothing anew


def test_a_soup_that_is_worse_than_an_ingredient_is_passed_over(session, tried, monkeypatch):
    tried(), tried("wise-ft"), tried(rate=1e-4)
    monkeypatch.setattr(soup, "_loss", lambda trial: 1.0 if trial.number is None else 0.5)
    try_soup(session)
    made = made_at_the_end(session)
    assert len(made) == 2 and session.passed_over == {each.id for each in made}
    assert not {each.trial.id for each in finalists_of_search(session)} & session.passed_over
    assert not any("averaged" in note for note in session.notes)


def test_no_soup_without_kept_weights_or_time(session, tried):
    tried(), tried("wise-ft")
    for file in kept_weights(session):
        file.unlink()
    try_soup(session)
    assert not made_at_the_end(session)
    tried("wise-ft", rate=1e-4), tried(rate=1e-4)
    session.deadline = replace(session.deadline, seconds=session.deadline.elapsed + 1)
    try_soup(session)
    assert not made_at_the_end(session)


def test_a_soup_is_delivered_as_one_model(session, tried, monkeypatch):
    monkeypatch.setattr(soup, "_stands_for", lambda *_: True)
    tried(), tried("wise-ft")
    try_soup(session)
    (made,) = made_at_the_end(session)
    winner, result, bundle = ending._fit(session, [Winner(((Finalist(made), 1.0),))], [])
    assert winner.members[0][0].trial == made and result["winner"]["kind"] == "single"
    first = session.prepared.target_samples[0].path
    (prediction,) = load_bundle(bundle).predict([first])
    assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("loss", [0.5, 1.0])
def test_a_student_takes_the_place_of_an_ensemble_that_is_no_better(
    session, tried, monkeypatch, loss
):
    frozen = [tried("linear-probe"), tried("linear-probe", head="nearest-class-mean")]
    tried("wise-ft", regularizer="distillation")
    finalists = [Finalist(trial) for trial in frozen]
    shares = list(zip(finalists, (0.75, 0.25), strict=True))
    monkeypatch.setattr(student, "ensemble", lambda *_: shares)
    monkeypatch.setattr(student, "_log_loss", lambda _, won: {1: loss, 2: 0.7}[len(won.members)])
    winner = Winner(tuple(shares))
    chosen = or_student(session, winner, finalists)
    (made,) = made_at_the_end(session)
    assert '"weight": 0.75' in made.strategy["regularizer"]["teacher"]
    if loss < 0.7:
        assert [each.trial for each, _ in chosen.members] == [made]
        assert any("it is delivered" in note for note in session.notes)
    else:
        assert chosen is winner and any("not delivered" in note for note in session.notes)
    or_student(session, winner, finalists)
    assert made_at_the_end(session) == [made]  # an end that comes again trains nothing anew


def test_no_student_of_one_model_or_without_time(session, tried, monkeypatch):
    frozen, distilled = tried("linear-probe"), tried("wise-ft", regularizer="distillation")
    finalists = [Finalist(frozen), Finalist(distilled)]
    alone, both = Winner(((finalists[0], 1.0),)), Winner(tuple((each, 0.5) for each in finalists))
    monkeypatch.setattr(student, "ensemble", lambda *_: list(alone.members))
    assert or_student(session, alone, finalists) is alone
    monkeypatch.setattr(student, "ensemble", lambda *_: list(both.members))
    session.deadline = replace(session.deadline, seconds=session.deadline.elapsed + 1)
    assert or_student(session, both, finalists) is both
    assert not made_at_the_end(session)
