"""The end of a search: a soup of weights that trials left, and a student of the ensemble."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.bundle import load_bundle
from automl_xfer.search import ending, final_fit, predictions, soup, student
from automl_xfer.search.child import ChildFailure, end_idle_children, prepare_children
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.finalists import finalists_of_search
from automl_xfer.search.ingredients import is_kept, kept_of_one_start, of_one_start
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.opening import open_session
from automl_xfer.search.soup import try_soup
from automl_xfer.search.student import or_student
from automl_xfer.search.teacher import with_teacher
from automl_xfer.search.winner import Winner
from automl_xfer.study.records import SPARED, FailureKind, Role, TrialState

RATE = "optimization.adamw.learning_rate"


@pytest.fixture
def session(options):
    prepare_children()
    yield open_session(options, lambda event: None, lambda: False)
    end_idle_children()


@pytest.fixture
def tried(session):
    """Run a strategy as one trial after another; a baseline is never pruned."""

    def run(freezing="lp-ft", rate=1e-3, **names):
        named = {"freezing": freezing, "alignment": "none", "head": "logistic-regression"}
        if freezing != "linear-probe":
            named["optimization"] = "adamw"
        own = {RATE: rate, "optimization.adamw.epochs": 5} if "optimization" in named else {}
        strategy = with_teacher(
            session, session.space.strategy(names={**named, **names}, parameters=own)
        )
        number = len(session.trials())
        record = replace(new_record(session, strategy, Role.BASELINE, 0), number=number)
        record = execute(session, strategy, record, session.plan, 60.0)
        assert record.state is TrialState.COMPLETE, record.failure_message
        return record

    return run


def made_at_the_end(session):
    return [each for each in session.complete_trials() if each.number is None]


def kept_weights(session):
    return set(session.cache_directory.glob("weights-*"))


def say(session, trial, given):
    """Let the trial have given each held-out image's label such a probability, the rest alike."""
    path = session.directory / trial.predictions_path
    arrays = dict(np.load(path))
    labels = session.prepared.data.target.labels[arrays["rows"]]
    given = np.broadcast_to(np.asarray(given, np.float32), labels.shape)
    rest = (1 - given) / (session.prepared.data.num_classes - 1)
    probabilities = np.repeat(rest[:, None], session.prepared.data.num_classes, axis=1)
    probabilities[np.arange(len(labels)), labels] = given
    path.unlink()
    np.savez(path, **{**arrays, "probabilities": probabilities})
    session.given_to_labels.pop(trial.id, None)
    predictions._kept._read.pop(path, None)


def test_a_soup_trains_nothing_and_replaces_its_ingredients(session, tried, monkeypatch):
    monkeypatch.setattr(soup, "_replaces", lambda *_: True)
    ingredients = [tried(), tried("wise-ft"), tried(rate=1e-4)]
    other = tried(head="nearest-class-mean")  # another head: no mean of use
    kept = kept_weights(session)
    try_soup(session)
    (made,) = made_at_the_end(session)
    assert made.role is Role.FINALIST and "model-soup of 3" in made.description
    assert made.timings[SPARED] > 0 and kept_weights(session) == kept
    assert session.soup == made.id and session.ingredients == {each.id for each in ingredients}
    say(session, made, 0.99), say(session, other, 0.6)
    assert made.id in {each.trial.id for each in finalists_of_search(session)}
    assert {each.trial.id for each in finalists_of_search(session)} <= {made.id, other.id}
    (told,) = [note for note in session.notes if "were averaged" in note]
    assert "one model that replaces them" in told and f"{made.metrics['log-loss']:.3f}" in told

    session.soup, session.ingredients = None, set()  # as in another process, later
    assert made.id not in {each.trial.id for each in finalists_of_search(session)}
    try_soup(session)
    assert made_at_the_end(session) == [made]  # an end that comes again mixes nothing anew


@pytest.mark.parametrize(
    ("own", "others", "replaces"),
    [
        (0.8, [0.8, 0.7], True),
        (0.7, [0.8, 0.7], False),  # worse than the best of them
        (
            np.r_[np.full(14, 0.99), np.full(6, 0.49)],
            [0.7, 0.7],
            False,
        ),  # they are right more often
        (np.r_[np.full(19, 0.99), 0.49], [0.7, 0.7], True),  # by one image, which may be chance
    ],
)
def test_a_soup_replaces_what_is_no_better(session, tried, monkeypatch, own, others, replaces):
    ingredients = [tried(), tried("wise-ft")]
    verdict = soup._replaces

    def told(session, made, found):
        for trial, given in zip((made, *ingredients), (own, *others), strict=True):
            say(session, trial, given)
        return verdict(session, made, found)

    monkeypatch.setattr(soup, "_replaces", told)
    try_soup(session)
    (made,) = made_at_the_end(session)
    assert (session.soup == made.id) == replaces == (not session.may_win(ingredients[0]))
    assert session.may_win(made) == replaces
    assert any("which is not used" in note for note in session.notes) != replaces


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


def test_a_start_whose_weights_are_gone_leaves_room_for_another(session, tried):
    first = tried("wise-ft")
    assert of_one_start(session, {first.id}) == []  # of one there is no mean
    second = tried()
    assert [len(each) for each in of_one_start(session, {first.id})] == [2]
    for file in kept_weights(session):
        file.unlink()
    assert kept_of_one_start(session, {first.id, second.id}) == []
    tried(head="nearest-class-mean"), tried(head="nearest-class-mean", rate=1e-4)
    found = kept_of_one_start(session, {trial.id for trial in session.complete_trials()})
    assert {each.strategy["head"]["name"] for each in found} == {"nearest-class-mean"}
    assert kept_of_one_start(session, {first.id}) == []  # what cannot win is not mixed
    session.plan = replace(session.plan, kind="no-target-labels")
    assert of_one_start(session, {trial.id for trial in session.complete_trials()}) == []


def test_what_a_soup_replaced_is_delivered_where_it_cannot_be(session, tried, monkeypatch):
    monkeypatch.setattr(soup, "_replaces", lambda *_: True)
    ingredients = {tried().id, tried("wise-ft").id}
    try_soup(session)
    (made,) = made_at_the_end(session)
    winner = Winner(((Finalist(made), 1.0),))
    fitted, result, bundle = ending._fit(session, [winner, *ending._alone(session, [])])
    assert fitted.members[0][0].trial == made and result["winner"]["kind"] == "single"
    first = session.prepared.target_samples[0].path
    (prediction,) = load_bundle(bundle).predict([first])
    assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-4)

    fit_members = ending.fit_members

    def no_soup(session, winner, *rest, **more):
        if winner.members[0][0].trial == made:
            raise ChildFailure(FailureKind.OUT_OF_MEMORY, "no memory")
        return fit_members(session, winner, *rest, **more)

    other = Finalist(tried("linear-probe"))
    finalists = [Finalist(made), other]
    monkeypatch.setattr(ending, "fit_members", no_soup)
    fitted, _, _ = ending._fit(session, [winner, *ending._alone(session, finalists)])
    assert fitted.members[0][0].trial.id in ingredients

    run = final_fit.run_in_child
    monkeypatch.setattr(ending, "fit_members", fit_members)

    def none_for_the_soup(function, request, **more):
        if request.strategy == made.strategy:
            raise ChildFailure(FailureKind.OUT_OF_MEMORY, "no memory")
        return run(function, request, **more)

    monkeypatch.setattr(final_fit, "run_in_child", none_for_the_soup)
    both = Winner(((finalists[0], 0.7), (other, 0.3)))
    fitted, _, _ = ending._fit(session, [both])
    assert [round(weight, 2) for _, weight in fitted.members] == [0.7, 0.3]
    assert fitted.members[0][0].trial.id in ingredients and fitted.members[1][0] == other


@pytest.mark.parametrize(
    ("own", "chosen"),
    [(0.8, True), (0.6, False), (np.r_[np.full(14, 0.99), np.full(6, 0.49)], False)],
)
def test_a_student_takes_the_place_of_an_ensemble_that_is_no_better(
    session, tried, monkeypatch, own, chosen
):
    frozen = [tried("linear-probe"), tried("linear-probe", head="nearest-class-mean")]
    tried("wise-ft", regularizer="distillation")
    finalists = [Finalist(trial) for trial in frozen]
    shares = tuple(zip(finalists, (0.75, 0.25), strict=True))
    monkeypatch.setattr(student, "ensemble", lambda *_: list(shares))
    run_once = student.run_once

    def ran(*arguments):
        made = run_once(*arguments)
        for trial, given in zip((made, *frozen), (own, 0.7, 0.7), strict=True):
            say(session, trial, given)
        return made

    monkeypatch.setattr(student, "run_once", ran)
    found = or_student(session, Winner(shares), finalists)
    (made,) = made_at_the_end(session)
    assert '"weight": 0.75' in made.strategy["regularizer"]["teacher"]
    assert ([each.trial for each, _ in found.members] == [made]) == chosen
    assert any(("It was chosen" if chosen else "It was not chosen") in n for n in session.notes)
    or_student(session, Winner(shares), finalists)
    assert made_at_the_end(session) == [made]  # an end that comes again trains nothing anew


def test_no_student_of_one_model_without_time_or_of_a_slower_one(session, tried, monkeypatch):
    frozen, distilled = tried("linear-probe"), tried("wise-ft", regularizer="distillation")
    finalists = [Finalist(frozen), Finalist(distilled)]
    alone, both = Winner(((finalists[0], 1.0),)), Winner(tuple((each, 0.5) for each in finalists))
    monkeypatch.setattr(student, "ensemble", lambda *_: list(alone.members))
    assert or_student(session, alone, finalists) is alone
    monkeypatch.setattr(student, "ensemble", lambda *_: list(both.members))
    speeds = {frozen.id: 5.0, distilled.id: 9.0}
    monkeypatch.setattr(student, "latency_ms", lambda _, of: sum(speeds[each.id] for each in of))
    assert or_student(session, alone, finalists) is alone
    session.deadline = replace(session.deadline, seconds=session.deadline.elapsed + 1)
    assert or_student(session, both, finalists) is both
    assert not made_at_the_end(session)


def test_a_soup_of_what_distils_teaches_and_is_priced_as_kept(session, tried, monkeypatch):
    monkeypatch.setattr(soup, "_replaces", lambda *_: True)
    probe = tried("linear-probe")
    tried("wise-ft", regularizer="distillation"), tried(regularizer="distillation")
    try_soup(session)
    (made,) = made_at_the_end(session)
    assert made.strategy["regularizer"]["name"] == "distillation"
    assert not student.is_student(Finalist(made)) and is_kept(session, made)
    shares = ((Finalist(made), 0.6), (Finalist(probe), 0.4))
    monkeypatch.setattr(student, "ensemble", lambda *_: list(shares))
    or_student(session, Winner(shares), [each for each, _ in shares])
    (_, taught) = made_at_the_end(session)
    assert taught.strategy["regularizer"]["teacher"].count("model-soup") == 1
    assert student.is_student(Finalist(taught))
