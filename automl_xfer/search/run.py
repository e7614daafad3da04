"""The whole road: data, a look at the backbones, search, finalists, final fit, bundle, report."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import optuna

import automl_xfer
from automl_xfer.components import Backbone, BackboneRequest
from automl_xfer.errors import BackboneUnavailableError, ConfigError, StudyError
from automl_xfer.evaluation.metrics import METRICS
from automl_xfer.plugin.catalog import Catalog, check_same
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import ChildFailure, StopRequested, run_in_child
from automl_xfer.search.deadline import SEARCH_SHARE, Deadline
from automl_xfer.search.ending import end
from automl_xfer.search.events import Listener, Note
from automl_xfer.search.look import BackboneLook, LookRequest, look_at_backbone
from automl_xfer.search.objective import TrialFailedError, execute, new_record, objective
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.plan import make_plan
from automl_xfer.search.portfolio import baselines_outside, enqueue_again, enqueue_start
from automl_xfer.search.prepare import PreparedData, prepare
from automl_xfer.search.session import Session
from automl_xfer.space.compose import Space
from automl_xfer.space.facts import data_facts
from automl_xfer.study.address import normalise_url
from automl_xfer.study.records import FailureKind, Role, StudyRecord
from automl_xfer.study.storage import open_optuna_storage
from automl_xfer.study.store import StudyStore
from automl_xfer.transfer.device import resolve_device

_MOST_SKIPPED = 100
"""So many draws in a row that cannot be run, and the search has nothing left to try."""

_CPU_IMAGE_SIZE, _GPU_IMAGE_SIZE = 160, 224


def run_search(
    options: SearchOptions,
    listener: Listener = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> StudyRecord:
    """Run or continue a study until its time or its trials are spent; the finished record.

    `should_stop` is asked several times a second: once it is true the best so far is fitted,
    bundled and reported. Raises AutomlXferError for whatever the user can mend.
    """
    session = open_session(options, listener, should_stop)
    try:
        _look(session)
        _requeue_interrupted(session)
        _search(session)
        end(session)
    finally:
        session.book_time()
    return session.store.get_study(session.name)


def open_session(
    options: SearchOptions, listener: Listener, should_stop: Callable[[], bool]
) -> Session:
    """Check the options, read the data, and create the study or go on with it."""
    deadline = Deadline(options.time_limit)
    if options.metric not in METRICS:
        raise ConfigError(f"--metric must be one of {', '.join(METRICS)}, not {options.metric!r}")
    device = resolve_device(options.device)
    plugins = PluginSource(
        Path(options.plugins_dir) if options.plugins_dir else None, options.disabled_plugins
    )
    loaded, catalog = plugins.load()
    for problem in loaded.problems:
        listener(Note(problem.message, warning=True))
    cache = Path(options.studies_dir) / ".cache"
    size = options.image_size or (_CPU_IMAGE_SIZE if device == "cpu" else _GPU_IMAGE_SIZE)
    url = normalise_url(options.storage, Path(options.studies_dir))
    store = StudyStore(url)
    prepared = prepare(options, cache, size)
    space = _space(options, catalog, prepared, device)
    session = Session(
        options=options,
        plugins=plugins,
        loaded=loaded,
        catalog=catalog,
        store=store,
        optuna_study=_open_study(options, store, url, catalog, prepared),
        prepared=prepared,
        plan=make_plan(prepared.data, options.metric, options.seed, prepared.validation_rows),
        space=space,
        device=device,
        cache_directory=cache,
        deadline=deadline,
        listener=listener,
        should_stop=should_stop,
    )
    _say_what_was_found(session)
    return session


def _space(options: SearchOptions, catalog: Catalog, prepared: PreparedData, device: str) -> Space:
    weights = Path(options.weights_dir) if options.weights_dir else None
    if weights is not None and not weights.is_dir():
        raise ConfigError(
            f"--weights-dir {weights} is not a folder; give the folder that holds one folder per "
            "model in timm's local layout (config.json and model.safetensors)"
        )
    request = BackboneRequest(
        patterns=options.backbone,
        weights_dir=weights,
        accelerator=device != "cpu",
        has_source=prepared.data.source is not None,
    )
    backbones = catalog.backbones(request)
    facts = data_facts(prepared.manifest)
    return Space(catalog.classes, backbones, facts, options.choices)


def _open_study(
    options: SearchOptions,
    store: StudyStore,
    url: str,
    catalog: Catalog,
    prepared: PreparedData,
) -> optuna.Study:
    """Optuna's study and ours, created together or found together."""
    name = options.study_name
    if not store.study_exists(name):
        with suppress(StudyError):  # another process may have been faster
            store.create_study(_new_record(options, catalog, prepared))
    _check_same_study(options, store.get_study(name), catalog, prepared)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # records say what failed
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(
        storage=open_optuna_storage(url),
        study_name=name,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=options.seed + len(store.trials(name))),
        load_if_exists=True,
    )


def _new_record(options: SearchOptions, catalog: Catalog, prepared: PreparedData) -> StudyRecord:
    return StudyRecord(
        name=options.study_name,
        created=datetime.now(UTC),
        seed=options.seed,
        metric=options.metric,
        options=options.to_dict(),
        facts=prepared.facts(),
        manifest_hash=prepared.manifest.hash,
        catalog=catalog.to_dict(),
        health=prepared.health.to_dict(),
        version=automl_xfer.__version__,
    )


def _check_same_study(
    options: SearchOptions, stored: StudyRecord, catalog: Catalog, prepared: PreparedData
) -> None:
    """A study goes on only with the data, metric, image size, seed and catalog it began with."""
    check_same(stored.catalog, catalog)
    now = {
        "data": prepared.manifest.hash,
        "metric": options.metric,
        "seed": options.seed,
        "image size": prepared.data.image_size,
    }
    then = {
        "data": stored.manifest_hash,
        "metric": stored.metric,
        "seed": stored.seed,
        "image size": stored.facts.get("image_size"),
    }
    changed = [key for key, value in now.items() if then[key] != value]
    if changed:
        raise StudyError(
            f"study {stored.name!r} was begun with another {' and '.join(changed)}; "
            "give a new name with --study, or delete it with `automl-xfer studies delete`"
        )


def _say_what_was_found(session: Session) -> None:
    facts = session.prepared.facts()
    for finding in session.prepared.health.findings:
        if finding.severity != "info":
            session.tell(Note(finding.message, warning=True))
    session.phase(
        "data",
        f"{facts['n_train']} labelled, {facts['n_unlabelled']} unlabelled target"
        f" images, {sum(facts['sources'].values())} source images, "  # type: ignore[attr-defined]
        f"{len(session.prepared.data.classes)} classes, {session.device}",
    )


def _requeue_interrupted(session: Session) -> None:
    """Record what a killed process left as interrupted, and queue it once more."""
    interrupted = session.store.mark_interrupted(session.name)
    for record in interrupted:
        session.note(f"trial {record.number} was interrupted: {record.description}")
        if record.number is not None:
            enqueue_again(session, record)


def _look(session: Session) -> None:
    """Load every backbone once; those that cannot be had are left out with a sentence."""
    session.phase("look", f"{len(session.space.backbones)} backbones")
    looks: list[BackboneLook] = []
    for backbone in session.space.backbones:
        alone = backbone.parts == (backbone.label,)
        if backbone.initialisation == "random" or not alone or session.should_stop():
            continue
        request = LookRequest(
            backbone, session.prepared.data, session.device, session.cache_directory
        )
        try:
            looks.append(
                run_in_child(
                    look_at_backbone,
                    request,
                    timeout=session.deadline.left(SEARCH_SHARE / 2),
                    should_stop=session.should_stop,
                )
            )
        except ChildFailure as failure:
            if failure.kind is not FailureKind.TIMEOUT:  # slow is no fault: it only ranks last
                session.note(f"backbone {backbone.label} is left out: {failure}", warning=True)
                _without_backbone(session, backbone.label, str(failure))
        except StopRequested:
            return
    session.backbone_order = _order(session, {k.label: k.neighbour_accuracy for k in looks})
    session.seconds_per_image = {look.label: look.seconds_per_image for look in looks}
    _time_untrained(session)


def _order(session: Session, scores: dict[str, float]) -> list[str]:
    """Labels, best first; a fusion by the mean of its members, after a single one as good.

    On few images the fusion's own score would be the best of many noisy ones.
    """
    known = [b for b in session.space.backbones if all(part in scores for part in b.parts)]
    known.sort(key=lambda b: (-sum(scores[part] for part in b.parts) / len(b.parts), b.complexity))
    return [backbone.label for backbone in known]


def _time_untrained(session: Session) -> None:
    """An untrained backbone is as fast as the pretrained one of its architecture: the first."""
    speeds = session.seconds_per_image
    known = [backbone.label for backbone in session.space.backbones if backbone.label in speeds]
    for backbone in session.space.backbones:
        if known and backbone.initialisation == "random":
            speeds[backbone.label] = speeds[known[0]]


def _without_backbone(session: Session, label: str, reason: str) -> None:
    """Take a backbone and what is made of it out; nothing but untrained ones left is an error."""
    error = BackboneUnavailableError(f"no pretrained backbone is left; the last: {reason}")
    try:
        for backbone in session.space.backbones:
            if label in backbone.parts:
                session.space = session.space.without_backbone(backbone.label)
    except ConfigError:
        raise error from None
    left = session.space.admissible("backbone", session.space.facts).values()
    if all(isinstance(each, Backbone) and each.initialisation == "random" for each in left):
        raise error


def _search(session: Session) -> None:
    """Baselines, portfolio, then the sampler, until the search's share of the time is spent."""
    enqueue_start(session)
    _run_baselines_outside(session)
    limit = session.options.trials
    session.phase("search", session.plan.describe(_n_labelled(session)))
    while not _search_is_over(session, limit):
        try:
            session.optuna_study.optimize(
                lambda trial: objective(session, trial), n_trials=1, catch=(TrialFailedError,)
            )
        except StopRequested:
            break


def _run_baselines_outside(session: Session) -> None:
    for strategy, name in baselines_outside(session):
        record = new_record(session, strategy, Role.BASELINE, session.options.seed)
        if session.deadline.left(SEARCH_SHARE) > 1.0 and not session.should_stop():
            with suppress(StopRequested):
                execute(
                    session,
                    strategy,
                    replace(record, baseline=name),
                    session.plan,
                    session.deadline.left(SEARCH_SHARE),
                )


def _search_is_over(session: Session, limit: int | None) -> bool:
    spent = limit is not None and session.trials_run >= limit
    spent = spent or session.draws_skipped >= _MOST_SKIPPED
    return spent or session.should_stop() or session.deadline.left(SEARCH_SHARE) < 1.0


def _n_labelled(session: Session) -> int:
    return len(session.prepared.data.target or ())
