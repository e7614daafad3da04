"""Neighbours: what comes next where a draw was run before."""

from collections.abc import Callable
from random import Random

import optuna

from automl_xfer.components import Strategy
from automl_xfer.search.portfolio import enqueue
from automl_xfer.search.session import Session

_MOST_TRIED = 20


def enqueue_neighbour(
    session: Session, strategy: Strategy, may_run: Callable[[Strategy], bool]
) -> None:
    """Queue a strategy that differs from `strategy` in a few answers and may run, if one is found.

    Late in a search the sampler draws what it has drawn before more and more often, and each draw
    takes about as long as a short trial.
    """
    seed = session.options.seed + len(session.trials())
    random, sampler = Random(seed), optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(sampler=sampler)
    for _ in range(_MOST_TRIED):
        found = session.space.neighbour(strategy, study.ask(), random)
        if may_run(found):
            enqueue(session, found, {})
            return
