"""Final fit: train the winner on all rows, write the bundle, score the test split once."""

import logging
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import automl_xfer
from automl_xfer.bundle import BundleDescription, Member, load_bundle, save_member
from automl_xfer.bundle.model_card import write_model_card
from automl_xfer.components import Strategy
from automl_xfer.data.manifest import TestSplit
from automl_xfer.plugin.source import PluginSource
from automl_xfer.search.child import Channel, ChildFailure, run_in_child
from automl_xfer.search.cost import fit_seconds
from automl_xfer.search.deadline import FIT_SHARE
from automl_xfer.search.finalist import Finalist
from automl_xfer.search.fitting import fit_strategy
from automl_xfer.search.judging import log_loss
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.search.source_results import source_results
from automl_xfer.search.source_use import NEAR_ZERO
from automl_xfer.search.winner import Winner
from automl_xfer.study.records import FailureKind, SourceResult, StudyResult
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.head_fit import domains_used
from automl_xfer.transfer.parts import StudyData

logger = logging.getLogger(__name__)

_LEAST_SHARE = 0.03
"""What a last step gets when no time is left: better a little late than without a model."""

_PACKAGES = ("torch", "torchvision", "timm", "optuna", "scikit-learn", "numpy")


@dataclass(frozen=True)
class FinalFitRequest:
    """One member to train on everything."""

    strategy: dict[str, dict[str, object]]
    data: StudyData
    seed: int
    device: str
    cache_directory: Path
    plugins: PluginSource
    directory: Path
    measure_sources: bool = False
    micro_batches: int = 1
    compiler: str | None = None


@dataclass(frozen=True)
class FittedMember:
    """What is told of a member beside its weights; `sources` where they were to be measured."""

    weights: tuple[float, ...] | None  # of an image of each source; None: no source is read
    sources: tuple[SourceResult, ...] = ()


def fit_member(request: FinalFitRequest, channel: Channel) -> FittedMember:
    """Train on every labelled row and save the weights."""
    classes = request.plugins.catalog().classes
    strategy = Strategy.from_dict(request.strategy, classes)
    context = FitContext(
        request.device,
        request.seed,
        FeatureCache(request.cache_directory),
        micro_batches=request.micro_batches,
        compiler=request.compiler,
    )
    names, every = request.data.source_names, training_parts(request.data)
    done = fit_strategy(strategy, every, names, context, classes)
    fitted, parts, uses = done.fitted, done.parts, done.uses
    save_member(fitted.model, request.directory)
    reads = request.data.source is not None and domains_used(strategy.alignment, parts)[0]
    weights = tuple(use.weight for use in uses) or (1.0,) * len(names) if reads else None
    sources: tuple[SourceResult, ...] = ()
    if request.measure_sources and request.data.source is not None:
        try:
            sources = tuple(source_results(request.data, fitted, strategy, context, parts))
        except Exception:  # a table of the report is not worth a model
            logger.warning("the sources could not be measured", exc_info=True)
    return FittedMember(weights, sources)


def fit_members(
    session: Session,
    winner: Winner,
    building: Path,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    measure_sources: bool = False,
) -> Winner:
    """Train every member into `building`; the winner as it could be trained.

    The heaviest first, of equal ones the cheapest. One that cannot be trained in the time left is
    left out; of a soup its best ingredient takes the place. Raises ChildFailure when not even one
    can be trained.
    """
    waiting = sorted(
        winner.members, key=lambda each: (-each[1], fit_seconds(session, each[0].trial))
    )
    several = len(waiting) > 1
    fitted: list[tuple[Finalist, float]] = []
    found: list[FittedMember] = []
    failure: ChildFailure | None = None
    while waiting:
        finalist, weight = waiting.pop(0)
        others = [(each, weight) for each in instead_of(session, finalist)[:1]] if several else []
        left = session.deadline.left(FIT_SHARE)
        if several and fit_seconds(session, finalist.trial) > left:
            session.note(f"{finalist.trial.description} is not in the ensemble: no time was left")
            waiting = [*others, *waiting]
            continue
        directory = building / f"member-{len(fitted)}"
        measures = measure_sources and not fitted
        request = _request(session, finalist, directory, measure_sources=measures)
        timeout = max(left, _LEAST_SHARE * session.deadline.seconds)
        try:
            done = run_in_child(fit_member, request, timeout=timeout, should_stop=should_stop)
        except ChildFailure as fault:
            failure = fault
            waiting = [*others, *waiting]
            if several:
                told = f"{finalist.trial.description} is not in the ensemble: {failure}"
                session.note(told, warning=True)
            continue
        fitted.append((finalist, weight))
        found.append(done)
    if not fitted:
        raise failure or ChildFailure(FailureKind.TIMEOUT, "no time was left")
    total = sum(weight for _, weight in fitted)
    shares = [weight / total for _, weight in fitted]
    kept = tuple((finalist, share) for (finalist, _), share in zip(fitted, shares, strict=True))
    return Winner(kept, _weighed(found, shares))


def _request(
    session: Session, finalist: Finalist, directory: Path, *, measure_sources: bool
) -> FinalFitRequest:
    return FinalFitRequest(
        strategy=finalist.trial.strategy,
        data=session.prepared.data,
        seed=session.options.seed,
        device=session.device,
        cache_directory=session.cache_directory,
        plugins=session.plugins,
        directory=directory,
        measure_sources=measure_sources,
        micro_batches=session.micro_batches,
        compiler=session.compiler,
    )


def instead_of(session: Session, finalist: Finalist) -> list[Finalist]:
    """What a soup replaced, the best first: each costs less than it. Nothing for all others."""
    if finalist.trial.id != session.soup:
        return []
    replaced = [trial for trial in session.complete_trials() if trial.id in session.ingredients]
    return [Finalist(trial) for trial in sorted(replaced, key=log_loss)]


def _weighed(found: list[FittedMember], shares: list[float]) -> tuple[SourceResult, ...]:
    """The sources as the first member saw them, with the weights of all members together."""
    results = []
    for place, source in enumerate(found[0].sources):
        weights = [0.0 if each.weights is None else each.weights[place] for each in found]
        unread = all(each.weights is None for each in found)
        weight = None if unread else float(np.dot(shares, weights))
        reads = [each.weights is not None for each in found]
        deaf = [r and weight < NEAR_ZERO for r, weight in zip(reads, weights, strict=True)]
        told = {**source, "weight": weight, "left_out_by": float(np.dot(shares, deaf))}
        results.append(SourceResult(**told))  # type: ignore[typeddict-item]
    return tuple(results)


@contextmanager
def building_folder(session: Session) -> Iterator[Path]:
    """A folder beside the bundle to build the new one in; gone afterwards."""
    session.directory.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=session.directory, prefix="bundle-"))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def publish(session: Session, winner: Winner, result: StudyResult, building: Path) -> Path:
    """Describe the trained members and put the folder in the place of the old bundle."""
    destination = session.directory.resolve() / "bundle"
    write_description(session, winner, result, building)
    _swap(building, destination)
    return destination


def write_description(
    session: Session, winner: Winner, result: StudyResult, directory: Path
) -> None:
    """Write `bundle.json` and the model card; once more when the test score is known."""
    description = describe(session, winner, result)
    description.write(directory)
    write_model_card(description, result, directory)


def describe(session: Session, winner: Winner, result: StudyResult) -> BundleDescription:
    """The bundle's description; scores are those of the search, on held-out images."""
    members = tuple(
        Member(f"member-{place}", weight, finalist.trial.strategy)
        for place, (finalist, weight) in enumerate(winner.members)
    )
    versions = {name: metadata.version(name) for name in _PACKAGES}
    versions |= {"automl-xfer": automl_xfer.__version__, "python": platform.python_version()}
    return BundleDescription(
        study=session.name,
        classes=session.prepared.data.classes,
        image_size=session.prepared.data.image_size,
        members=members,
        description=winner.description,
        metric=session.plan.metric,
        scores={
            "signal": result["signal"],
            **result["winner"],
            "test": result.get("test"),
        },
        versions=versions,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _swap(building: Path, destination: Path) -> None:
    """Put the finished folder in place; the old bundle stays until the new one is whole."""
    old = building.with_name(f"old-{building.name}")
    building.chmod(0o755)
    with suppress(FileNotFoundError):
        destination.rename(old)
    building.rename(destination)
    shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class TestRequest:
    """The bundle and the test images; labels stay with the parent."""

    __test__ = False  # not a pytest class
    bundle: Path
    paths: tuple[Path, ...]
    device: str
    plugins: PluginSource


def predict_test(request: TestRequest, channel: Channel) -> NDArray[np.float32]:
    """(N, K) probabilities of the test images; an unreadable one gets equal probabilities."""
    bundle = load_bundle(request.bundle, device=request.device, plugins=request.plugins)
    k = len(bundle.classes)
    rows = [p.probabilities or (1.0 / k,) * k for p in bundle.predict(request.paths)]
    return np.array(rows, np.float32)


def test_probabilities(
    session: Session,
    bundle: Path,
    test: TestSplit,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float32]:
    """The finished bundle's predictions on the test split."""
    request = TestRequest(bundle, test.paths, session.device, session.plugins)
    timeout = max(session.deadline.left(), _LEAST_SHARE * session.deadline.seconds)
    probabilities: NDArray[np.float32] = run_in_child(
        predict_test, request, timeout=timeout, should_stop=should_stop
    )
    return probabilities


test_probabilities.__test__ = False  # type: ignore[attr-defined]
