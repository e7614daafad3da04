"""Finalists: the best strategies again with other seeds and folds, then one winner."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from automl_xfer.components import Strategy
from automl_xfer.search.child import StopRequested
from automl_xfer.search.committee import committee, one_of_each_kind
from automl_xfer.search.cost import fit_seconds, fold_seconds
from automl_xfer.search.deadline import FIT_SHARE, SEARCH_SHARE
from automl_xfer.search.finalist import Finalist, weigh
from automl_xfer.search.ingredients import MOST, of_one_start
from automl_xfer.search.judging import (
    behind_open_gates,
    candidate,
    log_loss,
    ranked,
    source_only,
)
from automl_xfer.search.latency import within_limit
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.plan import make_plan
from automl_xfer.search.predictions import has_predictions, read_predictions
from automl_xfer.search.session import Session
from automl_xfer.search.winner import members
from automl_xfer.study.records import Role, TrialRecord, TrialState

N_FINALISTS = 5
N_REPEATS = 2

_POOL = 40
"""So many of the best by log-loss, each of another kind, are weighed against each other."""

_RESERVE = 1.2
"""A round of repeats may take so many times as long as the trials did."""

_START = 2.0
"""Seconds that a process may need to start, which happens once at most."""

_TEST_SHARE = 0.15
"""Scoring a test split, the baselines' models too, gets this share of the time."""


def finalists_of_search(session: Session) -> list[Finalist]:
    """The trials of the search that may win, without repeats.

    With target labels the one with the best score, and those that would be in an ensemble now; for
    who prefers speed the best of each backbone, freezing and alignment. Without target labels the
    committee; see there.
    """
    complete = [trial for trial in session.complete_trials() if session.may_win(trial)]
    if session.has_target_labels:
        ranking = _fast_enough(session, ranked(session, complete))
        if session.options.prefer == "speed":
            kept = [trial for trial in ranking if has_predictions(session, trial)] or ranking
            return [Finalist(trial) for trial in one_of_each_kind(kept)[:N_FINALISTS]]
        return _with_weight(session, ranking)
    return [Finalist(trial) for trial in _without_labels(session, complete)]


def _with_weight(session: Session, ranking: list[TrialRecord]) -> list[Finalist]:
    """The first, and of the best of each kind by log-loss those that have a weight.

    A search tries many neighbours of what is good. On few images the luckiest of them would crowd
    out all others, and an ensemble of them is hardly better than one.
    """
    best = next((trial for trial in ranking if has_predictions(session, trial)), ranking[0])
    kinds: dict[str, TrialRecord] = {}
    for trial in sorted(ranking, key=log_loss):
        if len(kinds) == _POOL:
            break
        if trial.id not in session.kinds:
            session.kinds[trial.id] = kind_of(trial)
        kind = session.kinds[trial.id]
        if kind not in kinds and has_predictions(session, trial):
            kinds[kind] = trial
    pool = {trial.id: trial for trial in (best, *kinds.values())}
    finalists = [Finalist(trial) for trial in pool.values()]
    weights = weigh(session, finalists, range(len(finalists)))
    first, *others = zip(finalists, weights, strict=True)
    return [first[0], *(each for each, weight in others if weight > 0)]


def kind_of(trial: TrialRecord) -> str:
    """What neighbours have in common: all that decides what a head sees, and which head it is.

    Numbers count to one digit. How a head is tuned and training is optimised does not count.
    """
    axes = ("backbone", "freezing", "alignment", "augmentation")
    seen = {axis: _rounded(trial.strategy[axis]) for axis in axes}
    names = [trial.strategy[axis]["name"] for axis in ("head", "regularizer")]
    return json.dumps([seen, names], sort_keys=True)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: f"{each:.1g}" for key, each in values.items() if type(each) in (int, float)}
    return {**values, **numbers}


def _without_labels(session: Session, complete: list[TrialRecord]) -> list[TrialRecord]:
    """The committee; the best of each kind where source-only did not finish."""
    reference = source_only(complete)
    if reference is None:
        ranking = _fast_enough(session, ranked(session, complete))
        return one_of_each_kind(ranking)[:N_FINALISTS]
    ranking = behind_open_gates(session, complete)
    chosen = committee(
        ranking,
        reference,
        lambda trial: candidate(session, trial).target,
        lambda trial: _leaves_out_a_source(session, trial),
    )
    fast = [trial for trial in chosen if within_limit(session, [trial])]
    return fast or _fast_enough(session, ranking)[:1] or chosen


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
    session.phase("finalists", _announced(session, finalists))
    with suppress(StopRequested):  # by the user: what was repeated stands
        for repeat in range(1, N_REPEATS + 1):
            round_ = _repeat_all(session, finalists, repeat)
            if round_ is None:
                break
            finalists = round_
    return sorted(finalists, key=lambda each: (-each.score, each.trial.complexity, each.trial.id))


def _announced(session: Session, finalists: list[Finalist]) -> str:
    n, a_round = len(finalists), _RESERVE * _round_seconds(session, finalists)
    rounds = min(N_REPEATS, int(_left(session, finalists) // max(a_round, 1e-9)))
    strategies = f"{n} strategies" if n > 1 else "one strategy"
    if session.should_stop():
        return f"{strategies}, without other seeds"
    if not rounds:
        return f"{strategies}, without other seeds: there is no time for that"
    return f"{strategies} with {rounds} other seed{'s' if rounds > 1 else ''}"


def _repeat_all(session: Session, finalists: list[Finalist], repeat: int) -> list[Finalist] | None:
    """One more seed for every finalist; None when the time does not suffice for all of them.

    A round counts only if it is whole: a mean over more seeds is not to be compared with one
    over fewer.
    """
    needed = _round_seconds(session, finalists)
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
    return max(0.0, session.deadline.left(FIT_SHARE) - fit_all_seconds(session, finalists))


def _round_seconds(session: Session, finalists: list[Finalist]) -> float:
    """Seconds of one more seed for every finalist."""
    trials, n_folds = [each.trial for each in finalists], len(session.plan.folds)
    other = sum(trial.timings.get(phase, 0.0) for trial in trials for phase in ("predict", "load"))
    return other + sum(n_folds * fold_seconds(session, trial) for trial in trials)


def fit_all_seconds(session: Session, finalists: list[Finalist]) -> float:
    """Seconds of the final fits if all finalists are in the winner, and of scoring a test split."""
    fits = _RESERVE * (_START + sum(fit_seconds(session, each.trial) for each in finalists))
    test = session.prepared.test
    return fits + (_TEST_SHARE * session.deadline.seconds if test is not None else 0.0)


def seconds_to_end(session: Session) -> float:
    """Predicted seconds of all that comes after the search, if it ended now.

    Of the repeats those count that would fit behind the search's own share: the time for others
    is better spent on searching. Where there are none, it is known who would win. A soup is counted
    where it may be made, a student is not.
    """
    if not session.complete_trials():
        return math.inf
    finalists = finalists_of_search(session)
    groups = of_one_start(session, {each.trial.id for each in finalists})
    mixed = groups[0][:MOST] if groups else []
    soup, every = soup_seconds(mixed), with_others(finalists, mixed)
    fits = soup + fit_all_seconds(session, every)
    a_round = _RESERVE * _round_seconds(session, every)
    room = (FIT_SHARE - SEARCH_SHARE) * session.deadline.seconds - fits
    most = N_REPEATS if len(session.plan.folds) > 1 else 0
    rounds = min(most, max(0, int(room // max(a_round, 1e-9))))
    if rounds:
        return fits + rounds * a_round
    winners = [each for each, _ in members(session, finalists)]
    return soup + fit_all_seconds(session, with_others(winners, mixed))


def with_others(finalists: list[Finalist], trials: Sequence[TrialRecord]) -> list[Finalist]:
    """The finalists, and those trials that are none."""
    known = {each.trial.id for each in finalists}
    return finalists + [Finalist(trial) for trial in trials if trial.id not in known]


def soup_seconds(ingredients: Sequence[TrialRecord]) -> float:
    """Predicted seconds of a trial that averages what others trained; of none, none.

    It trains nothing, and predicts no longer than they did.
    """
    if not ingredients:
        return 0.0
    return _START + _RESERVE * max(trial.timings.get("predict", 0.0) for trial in ingredients)


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
