"""What is tried first: baselines, the proven strategies of the plugins, their defaults."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from automl_xfer.components import Backbone, Strategy, StrategySketch
from automl_xfer.components.base import IntRange
from automl_xfer.errors import AutomlXferError
from automl_xfer.search.cost import predicted_seconds
from automl_xfer.search.deadline import TRIAL_SHARE
from automl_xfer.search.session import Session
from automl_xfer.search.teacher import without_teacher
from automl_xfer.search.warmstart import proven_elsewhere
from automl_xfer.study.records import FailureKind, Role, TrialRecord

_BASELINE_SHARE = 0.08
"""A baseline that trains by gradient gets this share of the whole time, and epochs to match."""

_PATIENCE = 1.5
"""One that takes so many times its share, however short its training, waits."""

_BEFORE_BASELINES = 8

_Start = tuple[Strategy, dict[str, Any]]

QUEUED = "queued"
"""User attribute of an enqueued trial: its strategy as JSON."""

DESCRIPTION = "strategy"
"""User attribute of every trial: its strategy for people."""


_NOT_TRIED = (FailureKind.INTERRUPTED, FailureKind.TIMEOUT)


def enqueue_start(session: Session) -> None:
    """Queue every baseline and portfolio strategy that was not tried and does not wait already."""
    known = tried(session) | waiting(session)
    studies: dict[str, None] = {}
    for strategy, attributes in starting_strategies(session):
        if strategy.to_json() not in known and session.space.is_admissible(strategy):
            enqueue(session, strategy, attributes)
            if study := attributes.get("from"):
                studies[study] = None
    if studies:
        session.note(
            "The search tries early what was best in earlier studies on similar images: "
            f"{', '.join(studies)}."
        )


def enqueue(session: Session, strategy: Strategy, attributes: dict[str, Any]) -> None:
    """Put one strategy in Optuna's queue; it travels along, to be told from another draw."""
    strategy = without_teacher(strategy)
    session.optuna_study.enqueue_trial(
        session.space.parameters_of(strategy),
        user_attrs={
            **attributes,
            QUEUED: strategy.to_json(),
            DESCRIPTION: strategy.describe(),
        },
    )


def tried(session: Session) -> set[str]:
    """The strategies that run, or ended otherwise than by the clock or the user, as JSON.

    One that had a teacher is there with it and, as it was queued, without.
    """
    known: set[str] = set()
    for record in session.trials():
        if record.repeats is None and record.failure_kind not in _NOT_TRIED:
            known |= session.history.texts(record)
    return known


def waiting(session: Session) -> set[str]:
    """The strategies in Optuna's queue, as JSON."""
    return {t.user_attrs[QUEUED] for t in _queue(session) if QUEUED in t.user_attrs}


def _queue(session: Session) -> list[FrozenTrial]:
    return session.optuna_study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def baselines_outside(session: Session) -> list[tuple[Strategy, str]]:
    """(strategy, name) of the baselines that the user's choices keep out of the space.

    They run all the same, beside the search: every study says what it beat.
    """
    done = tried(session)
    return [
        (strategy, attributes["baseline"])
        for strategy, attributes in starting_strategies(session)
        if attributes["baseline"] is not None
        and strategy.to_json() not in done
        and not session.space.is_admissible(strategy)
    ]


def enqueue_again(session: Session, record: TrialRecord) -> None:
    """Queue the strategy of an interrupted trial once more."""
    try:
        made = Strategy.from_dict(record.strategy, session.catalog.classes)
        enqueue(session, made, {"role": record.role.value, "baseline": record.baseline})
    except AutomlXferError:
        return  # it used something that is no longer in the space


def starting_strategies(session: Session) -> Iterator[tuple[Strategy, dict[str, Any]]]:
    """(strategy, user attributes) in the order of the start, each strategy once.

    Frozen baselines, which cost little; what proved itself on similar data; the start of the
    portfolio; the baselines that train, which take longer than most of it; and its rest, what is
    frozen before what trains. A baseline that takes much of the time comes between these two.
    """
    made = list(_of_sketches(session))
    baselines = [each for each in made if each[1]["baseline"]]
    portfolio = [each for each in made if not each[1]["baseline"]]
    cheap = [each for each in baselines if each[0].frozen]
    others, dear = _by_cost(session, [each for each in baselines if not each[0].frozen])
    elsewhere = [
        (strategy, {"role": Role.PORTFOLIO.value, "baseline": None, "from": study})
        for strategy, study in proven_elsewhere(session)
    ]
    early = _before_baselines(session, baselines, [*elsewhere, *portfolio])
    rest = sorted([*dear, *portfolio], key=lambda each: not each[0].frozen)
    seen: set[str] = set()
    for strategy, told in (*cheap, *early, *others, *rest):
        if (key := strategy.to_json()) not in seen:
            seen.add(key)
            yield strategy, told


def _by_cost(session: Session, baselines: list[_Start]) -> tuple[list[_Start], list[_Start]]:
    """Those that about keep to their share of the time, and those that take more at the least.

    Of a given number of trials each baseline has its own, whatever it takes.
    """
    if session.options.trials is not None:
        return baselines, []
    most = _PATIENCE * _BASELINE_SHARE * session.options.time_limit
    dear = [each for each in baselines if predicted_seconds(session, each[0]) > most]
    return [each for each in baselines if each not in dear], dear


def _before_baselines(
    session: Session, baselines: list[_Start], others: list[_Start]
) -> list[_Start]:
    """What comes before the baselines that train: few, none of them a baseline, none in its place.

    `others` are the strategies that come next, best guess first.
    """
    limit, taken = session.options.trials, {strategy.to_json() for strategy, _ in baselines}
    room = _BEFORE_BASELINES if limit is None else limit - len(baselines)
    free = []
    for strategy, told in others:
        if (key := strategy.to_json()) not in taken:
            taken.add(key)
            free.append((strategy, told))
    return free[: max(0, min(_BEFORE_BASELINES, room))]


def _of_sketches(session: Session) -> Iterator[tuple[Strategy, dict[str, Any]]]:
    """Baselines without a score, unless they wait, and the portfolio, on their best backbones."""
    sketches = [
        sketch
        for _, found in session.loaded.call("register_strategies")
        for sketch in found
        if sketch.requires <= session.space.facts
    ]
    known = {trial.baseline for trial in session.complete_trials()}
    known |= {t.user_attrs.get("baseline") for t in _queue(session) if _will_run(session, t)}
    for sketch in sketches:
        if sketch.baseline and sketch.baseline in known:
            continue
        role = Role.BASELINE if sketch.baseline else Role.PORTFOLIO
        for complete in _complete(session, sketch):
            strategy = _affordable(session, complete) if sketch.baseline else complete
            yield strategy, {"role": role.value, "baseline": sketch.baseline}


def _will_run(session: Session, queued: FrozenTrial) -> bool:
    """Whether what waits is still in the space."""
    try:
        data = json.loads(queued.user_attrs.get(QUEUED, "{}"))
        made = Strategy.from_dict(data, session.catalog.classes)
    except AutomlXferError:
        return False
    return session.space.is_admissible(made)


def _affordable(session: Session, strategy: Strategy) -> Strategy:
    """A baseline with so few epochs that it takes no more than its share of the time."""
    allowed = _BASELINE_SHARE * session.options.time_limit
    seconds = predicted_seconds(session, strategy)
    epochs = type(strategy.optimization).parameter_ranges().get("epochs")
    if seconds <= allowed or not isinstance(epochs, IntRange):
        return strategy
    fewer = max(epochs.low, int(strategy.optimization.epochs * allowed / seconds))
    shorter = replace(strategy, optimization=replace(strategy.optimization, epochs=fewer))
    allowed = min(session.trial_left(), TRIAL_SHARE * session.options.time_limit)
    if predicted_seconds(session, shorter) <= allowed:
        session.note(
            f"The baseline {strategy.describe()} trains for {fewer} epochs in place of "
            f"{strategy.optimization.epochs}, to fit the time."
        )
    return shorter


def _complete(session: Session, sketch: StrategySketch) -> Iterator[Strategy]:
    """The sketch on its best backbones; nothing where it does not fit the study."""
    names = {axis: data["name"] for axis, data in sketch.components.items()}
    values = {
        f"{axis}.{data['name']}.{key}": value
        for axis, data in sketch.components.items()
        for key, value in data.items()
        if key != "name"
    }
    space = replace(session.space, choices={}) if sketch.baseline else session.space
    made = 0
    for backbone in _backbones(session, sketch):
        if made == sketch.top:
            return
        try:
            yield space.strategy(backbone.label, names, values)
        except AutomlXferError:
            continue  # needs a source, batch norm, ...: not for this study
        made += 1


def _backbones(session: Session, sketch: StrategySketch) -> list[Backbone]:
    order = {label: place for place, label in enumerate(session.backbone_order)}
    fitting = [
        backbone
        for backbone in session.space.backbones
        if (backbone.initialisation == "random") == (sketch.initialisation == "random")
    ]
    if sketch.baseline:  # a baseline is what one would do by hand: one plain backbone
        simplest = min((backbone.complexity for backbone in fitting), default=0)
        fitting = [backbone for backbone in fitting if backbone.complexity == simplest]
    return sorted(fitting, key=lambda backbone: order.get(backbone.label, len(order)))
