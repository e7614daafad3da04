"""Opening a session: options checked, data read, the study created or found."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import optuna

import automl_xfer
from automl_xfer.components import BackboneRequest
from automl_xfer.data.manifest import ScannedData
from automl_xfer.errors import ConfigError, LeftOutWarning, StudyError
from automl_xfer.evaluation.metrics import METRICS
from automl_xfer.plugin.catalog import Catalog, check_same
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import StopRequested
from automl_xfer.search.deadline import Deadline
from automl_xfer.search.events import Listener, Note, Progress, guarded
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.plan import make_plan
from automl_xfer.search.prepare import PreparedData, prepare
from automl_xfer.search.sampling import SMALL, size_within_reach, within_reach
from automl_xfer.search.session import Session
from automl_xfer.space.compose import Space
from automl_xfer.space.facts import data_facts
from automl_xfer.study.address import masked, normalise_url
from automl_xfer.study.records import StudyRecord
from automl_xfer.study.storage import open_optuna_storage
from automl_xfer.study.store import StudyStore
from automl_xfer.transfer.device import resolve_device

logger = logging.getLogger(__name__)


def open_session(
    options: SearchOptions, listener: Listener, should_stop: Callable[[], bool]
) -> Session:
    """Check the options, read the data, and create the study or go on with it."""
    deadline, listener = Deadline(options.time_limit), guarded(listener)
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
    url = normalise_url(options.storage, Path(options.studies_dir))
    store = StudyStore(url)

    def progress(done: int, total: int) -> None:
        if should_stop():
            raise StopRequested("stopped while the images were read: the same command starts again")
        listener(Progress(done, total))

    limit, begun_at = _begun_with(options, store)

    def use(found: ScannedData) -> tuple[ScannedData, int]:
        size = options.image_size or begun_at or _size(options, found, limit, device, store)
        return within_reach(found, limit, size, device), size

    prepared = prepare(options, cache, use, progress)
    with _warnings_told(listener):
        space = _space(options, catalog, prepared, device)
    optuna_study = _open_study(options, store, url, catalog, prepared)
    session = Session(
        options=options,
        plugins=plugins,
        loaded=loaded,
        catalog=catalog,
        store=store,
        optuna_study=optuna_study,
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


def _size(
    options: SearchOptions, found: ScannedData, limit: float, device: str, store: StudyStore
) -> int:
    """The side of a new study's images in pixels: the smaller one for who wants a fast model.

    Images that an earlier study searched are read at its size where time allows: their features may
    be kept.
    """
    if device == "cpu" and (options.prefer == "speed" or options.max_latency_ms is not None):
        return SMALL
    for study in reversed(store.list_studies()):
        size = study.facts.get("image_size")
        if study.manifest_hash == found.manifest.hash and isinstance(size, int):
            whole = within_reach(found, limit, size, device).manifest.samples
            if len(whole) == len(found.manifest.samples):
                return size
    return size_within_reach(found, limit, device)


@contextmanager
def _warnings_told(listener: Listener) -> Iterator[None]:
    """Tell what a component warns that it leaves out, once each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOutWarning)
        try:
            yield
        finally:
            messages = {str(each.message): each for each in caught}
            for text, each in messages.items():
                if issubclass(each.category, LeftOutWarning):
                    listener(Note(text, warning=True))
                else:
                    logger.warning("%s: %s", each.category.__name__, text)


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


def _begun_with(options: SearchOptions, store: StudyStore) -> tuple[float, int | None]:
    """What decides which images are read, as in the study's first run: time limit, image size."""
    if not store.study_exists(options.study_name):
        return options.time_limit, None
    begun = store.get_study(options.study_name)
    size: int | None = begun.facts.get("image_size")  # type: ignore[assignment]
    return float(begun.options.get("time_limit", options.time_limit)), size


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
        sampler=optuna.samplers.RandomSampler(seed=options.seed),  # all is drawn on a copy
        # Asked after epochs only, which are reported where there is a single fold.
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        load_if_exists=True,
    )


def _new_record(options: SearchOptions, catalog: Catalog, prepared: PreparedData) -> StudyRecord:
    return StudyRecord(
        name=options.study_name,
        created=datetime.now(UTC),
        seed=options.seed,
        metric=options.metric,
        options=options.to_dict() | _without_password(options),
        facts=prepared.facts(),
        manifest_hash=prepared.found,
        catalog=catalog.to_dict(),
        health=prepared.health.to_dict(),
        version=automl_xfer.__version__,
    )


def _without_password(options: SearchOptions) -> dict[str, object]:
    is_url = options.storage is not None and "://" in options.storage
    return {"storage": masked(options.storage)} if options.storage and is_url else {}


def _check_same_study(
    options: SearchOptions, stored: StudyRecord, catalog: Catalog, prepared: PreparedData
) -> None:
    """A study goes on only with the data, metric, image size, seed and catalog it began with."""
    check_same(stored.catalog, catalog)
    now = {
        "data": prepared.found,
        "choice of its images": prepared.manifest.hash,
        "metric": options.metric,
        "seed": options.seed,
        "image size": prepared.data.image_size,
    }
    then = {
        "data": stored.manifest_hash,
        "choice of its images": stored.facts.get("used"),
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
    if session.options.compile and session.device == "cpu":
        session.note("--compile is for a GPU: on a CPU nothing is compiled.")
    _say_what_is_read(session)
    session.phase(
        "data",
        f"{facts['n_train']} labelled, {facts['n_unlabelled']} unlabelled target"
        f" images, {sum(facts['sources'].values())} source images, "  # type: ignore[attr-defined]
        f"{len(session.prepared.data.classes)} classes, {session.prepared.data.image_size} px, "
        f"{session.device}",
    )


def _say_what_is_read(session: Session) -> None:
    """Tell where the time limit does not suffice for all images."""
    for role, (chosen, found) in session.prepared.shares.items():
        if chosen < found:
            session.note(
                f"To fit the time, {chosen:,} of the {found:,} {role} images are used; a new "
                "study with a longer --time-limit uses more."
            )
