"""Model soup: the mean of the weights that the best strategies of one start have trained."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from automl_xfer.components import Strategy
from automl_xfer.search.child import StopRequested
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.finalist import Finalist, beats, log_score
from automl_xfer.search.finalists import (
    finalists_of_search,
    fit_all_seconds,
    soup_seconds,
    with_others,
)
from automl_xfer.search.ingredients import averaging_policy, kept_of_one_start
from automl_xfer.search.judging import log_loss
from automl_xfer.search.latency import within_limit
from automl_xfer.search.objective import execute, new_record
from automl_xfer.search.predictions import has_predictions
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import without_teacher
from automl_xfer.search.winner import members
from automl_xfer.study.descriptions import trial_name
from automl_xfer.study.records import Role, TrialRecord, TrialState

_LONGER = 3.0
"""Where weights vanished meanwhile, a soup is not to train for all the time that is left, but may
take so many times what it is expected to.
"""


def try_soup(session: Session) -> None:
    """Score a soup from weights that trials left, as one more trial that trains nothing.

    It replaces its ingredients if it is no worse than the best of them by log score and their mean
    prediction is not better than it beyond the paired interval: one model is faster than several.
    """
    finalists = {each.trial.id for each in finalists_of_search(session)}
    ranking = kept_of_one_start(session, finalists)
    with suppress(StopRequested):  # by the user: the search ends without it
        for size in range(len(ranking), 1, -1):
            ingredients = ranking[:size]
            soup = _soup(session, ingredients)
            if soup is None:
                continue
            replaces = _replaces(session, soup, ingredients)
            session.note(_told(soup, ingredients, replaces))
            if replaces:
                session.soup = soup.id
                session.ingredients = {trial.id for trial in ingredients}
                return


def _soup(session: Session, ingredients: Sequence[TrialRecord]) -> TrialRecord | None:
    """The finished trial of the soup, of an earlier end or of now; None without time."""
    best = Strategy.from_dict(ingredients[0].strategy, session.catalog.classes)
    text = json.dumps([trial.strategy for trial in ingredients], sort_keys=True)
    policy = averaging_policy(session)
    assert policy is not None  # there are no ingredients without it
    averaging = policy.from_dict({"ingredients": text})
    strategy = replace(without_teacher(best), freezing=averaging)
    record = new_record(session, strategy, Role.FINALIST, session.options.seed)
    if not within_limit(session, [record]) or session.should_stop():
        return None
    winners = [each for each, _ in members(session, finalists_of_search(session))]
    to_fit = with_others(winners, ingredients)
    left = session.deadline.left(FIT_SHARE) - fit_all_seconds(session, to_fit)
    needed = soup_seconds(ingredients)
    return run_once(session, record, min(left, _LONGER * needed)) if left >= needed else None


def run_once(session: Session, record: TrialRecord, timeout: float) -> TrialRecord | None:
    """The trial of an earlier end that ran the same strategy, or that of now; None if it failed."""
    for known in session.complete_trials():
        if known.strategy == record.strategy and has_predictions(session, known):
            return known
    strategy = Strategy.from_dict(record.strategy, session.catalog.classes)
    done = execute(session, strategy, record, session.plan, timeout)
    return done if done.state is TrialState.COMPLETE else None


def _replaces(session: Session, soup: TrialRecord, ingredients: Sequence[TrialRecord]) -> bool:
    own, *others = (Finalist(trial) for trial in (soup, *ingredients))
    best = max(log_score(session, [(each, 1.0)]) for each in others)
    as_good = log_score(session, [(own, 1.0)]) >= best
    return as_good and not beats(session, [(each, 1 / len(others)) for each in others], own)


def _told(soup: TrialRecord, ingredients: Sequence[TrialRecord], replaces: bool) -> str:
    numbers = ", ".join(trial_name(trial) for trial in ingredients)
    verdict = "one model that replaces them" if replaces else "one model, which is not used"
    best = min(map(log_loss, ingredients))
    return (
        f"The weights of trials {numbers} were averaged into {verdict}: its log-loss is "
        f"{log_loss(soup):.3f}, that of the best of them {best:.3f}."
    )
