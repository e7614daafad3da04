"""Finalists: the best strategies again with other seeds and folds, then one winner."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from automl_xfer.components import Strategy
from automl_xfer.search.committee import committee, one_of_each_kind
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE, SEARCH_SHARE
from automl_xfer.search.judging import (
    behind_open_gates,
    candidate,
    ranked,
    source_only,
)
from automl_xfer.search.latency import within_limit
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.plan import make_plan
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.session import Session
from automl_xfer.study.records import Role, TrialRecord, TrialState

N_FINALISTS = 5
N_REPEATS = 2

_RESERVE = 1.2
"""A round of repeats may take so many times as long as the trials did."""

_TEST_SHARE = 0.15
"""Scoring a test split, the baselines' models too, gets this share of the time."""


@dataclass(frozen=True)
class Finalist:
    """One strategy with its own trial and the repeats that finished."""

    trial: TrialRecord
    repeats: tuple[TrialRecord, ...] = ()

    @property
    def seed_scores(self) -> list[float]:
        """Scores of the repeats; of the trial itself where there is none.

        The trial's own score is left out: it is the one that made it a finalist, by merit or luck.
        """
        runs = self.repeats or (self.trial,)
        return [run.score for run in runs if run.score is not None]

    @property
    def score(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.seed_scores))

    def probabilities(self, session: Session) -> NDArray[np.float32]:
        """(N, K) held-out probabilities of the trial; NaN rows were never held out.

        Of one seed, as the model that is delivered: a mean over seeds would score better than it.
        """
        data = session.prepared.data
        rows = np.full((len(data.target or ()), data.num_classes), np.nan, np.float32)
        predictions = read_predictions(session, self.trial)
        rows[predictions.rows] = predictions.probabilities
        return rows


def finalists_of_search(session: Session) -> list[Finalist]:
    """The best trials of the search, without repeats: one of each backbone, freezing, alignment.

    Without target labels they are the committee; see there.
    """
    complete = session.complete_trials()
    reference = None if session.has_target_labels else source_only(complete)
    if reference is None:
        ranking = _fast_enough(session, ranked(session, complete))
        chosen = one_of_each_kind(ranking)[:N_FINALISTS]
    else:
        ranking = behind_open_gates(session, complete)
        chosen = committee(
            ranking,
            reference,
            lambda trial: candidate(session, trial).target,
            lambda trial: _leaves_out_a_source(session, trial),
        )
        fast = [trial for trial in chosen if within_limit(session, [trial])]
        chosen = fast or _fast_enough(session, ranking)[:1] or chosen
    return [Finalist(trial) for trial in chosen]


def _fast_enough(session: Session, ranking: list[TrialRecord]) -> list[TrialRecord]:
    """Those that keep --max-latency-ms; all where none does."""
    return [trial for trial in ranking if within_limit(session, [trial])] or ranking


def _leaves_out_a_source(session: Session, trial: TrialRecord) -> bool:
    learnt_from = read_predictions(session, trial).learnt_from
    return learnt_from is not None and not learnt_from.all()


def run_finalists(session: Session) -> list[Finalist]:
    """The best trials, repeated as far as the time allows; best mean score first.

    Without target labels the repeats would have nothing to compare by: the ranking stands.
    """
    finalists = finalists_of_search(session)
    if not session.has_target_labels or len(session.plan.folds) == 1:
        return finalists
    session.phase("finalists", f"{len(finalists)} strategies with {N_REPEATS} other seeds")
    for repeat in range(1, N_REPEATS + 1):
        round_ = _repeat_all(session, finalists, repeat)
        if round_ is None:
            break
        finalists = round_
    return sorted(finalists, key=lambda each: (-each.score, each.trial.complexity, each.trial.id))


def _repeat_all(session: Session, finalists: list[Finalist], repeat: int) -> list[Finalist] | None:
    """One more seed for every finalist; None when the time does not suffice for all of them.

    A round counts only if it is whole: a mean over more seeds is not to be compared with one
    over fewer.
    """
    needed = _round_seconds(finalists)
    if session.should_stop() or _left(session, finalists) < _RESERVE * needed:
        return None
    done = []
    for finalist in finalists:
        record = _repeat(session, finalist.trial, repeat, _left(session, finalists))
        if record is None:
            return None
        done.append(replace(finalist, repeats=(*finalist.repeats, record)))
    return done


def _left(session: Session, finalists: list[Finalist]) -> float:
    """Seconds until the final fits must begin."""
    return max(0.0, session.deadline.left(FIT_SHARE) - _fit_all_seconds(session, finalists))


def _round_seconds(finalists: list[Finalist]) -> float:
    """Seconds of one more seed for every finalist."""
    return sum(each.trial.timings.get("total", 0.0) for each in finalists)


def _fit_all_seconds(session: Session, finalists: list[Finalist]) -> float:
    """Seconds of the final fits if all finalists are in the winner, and of scoring a test split."""
    fits = _RESERVE * sum(fit_seconds(session, each.trial) for each in finalists)
    test = session.prepared.test
    return fits + (_TEST_SHARE * session.deadline.seconds if test is not None else 0.0)


def seconds_to_end(session: Session) -> float:
    """Predicted seconds of all that comes after the search, if it ended now.

    Of the repeats those count that would fit behind the search's own share: the time for others
    is better spent on searching.
    """
    if not session.complete_trials():
        return math.inf
    finalists = finalists_of_search(session)
    fits = _fit_all_seconds(session, finalists)
    a_round = _RESERVE * _round_seconds(finalists)
    room = (FIT_SHARE - SEARCH_SHARE) * session.deadline.seconds - fits
    most = N_REPEATS if len(session.plan.folds) > 1 else 0
    rounds = min(most, max(0, int(room // max(a_round, 1e-9))))
    return fits + rounds * a_round


def _repeat(session: Session, trial: TrialRecord, repeat: int, left: float) -> TrialRecord | None:
    for known in session.store.trials(session.name, Role.FINALIST):
        same = known.repeats == trial.id and known.seed == session.options.seed + repeat
        if same and known.state is TrialState.COMPLETE:
            return known
    seed = session.options.seed + repeat
    strategy = Strategy.from_dict(trial.strategy, session.catalog.classes)
    record = replace(new_record(session, strategy, Role.FINALIST, seed), repeats=trial.id)
    plan = make_plan(session.prepared.data, session.plan.metric, seed)
    done = execute(session, strategy, record, plan, left)
    return done if done.state is TrialState.COMPLETE else None
