"""Which features the trials of a study have read, which later ones find made."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from automl_xfer.components import AlignmentMethod, Strategy
from automl_xfer.search.plan import training_parts
from automl_xfer.study.records import TrialRecord, TrialState
from automl_xfer.transfer.closed_form import reads_unlabelled
from automl_xfer.transfer.feature_cache import stages_kept
from automl_xfer.transfer.finishing import finish_key
from automl_xfer.transfer.head_fit import domains_used

if TYPE_CHECKING:
    from automl_xfer.search.session import Session

_SAME_PIXELS = ("used", "image_size")


@dataclass(frozen=True)
class Reading:
    """What a frozen strategy reads: image sets, through backbones changed and cut in one way."""

    sets: frozenset[str]
    backbones: tuple[str, ...]
    kind: tuple[str, int]

    @classmethod
    def of(cls, session: "Session", strategy: Strategy) -> "Reading":
        """That of a strategy in this study."""
        stages = stages_kept(strategy.head.stages_read)
        kind = finish_key(strategy.alignment), stages
        return cls(_sets_read(session, strategy.alignment), strategy.backbone.parts, kind)


def readings(session: "Session") -> Iterator[Reading]:
    """Those of the frozen trials so far; all folds read what the first has read."""
    for record in chain(session.trials_before, session.trials()):
        if record.state not in {TrialState.COMPLETE, TrialState.PRUNED}:
            continue
        if record.id not in session.readings:
            made = session.history.strategy(record, session.catalog.classes)
            session.readings[record.id] = Reading.of(session, made) if made.frozen else None
        if (reading := session.readings[record.id]) is not None:
            yield reading


def trials_before(session: "Session") -> list[TrialRecord]:
    """Trials of earlier studies that read the very same images at the same size.

    Their features are kept, unless somebody cleared the cache; a trial that finds them gone takes
    longer than foreseen.
    """
    mine = session.store.get_study(session.name)
    same = [
        study
        for study in session.store.list_studies()
        if study.name != mine.name
        and study.catalog == mine.catalog
        and all(study.facts.get(key) == mine.facts.get(key) for key in _SAME_PIXELS)
    ]
    return [trial for study in same for trial in session.store.trials(study.name)]


def _sets_read(session: "Session", method: AlignmentMethod) -> frozenset[str]:
    """Which of the study's image sets a frozen strategy reads."""
    has_labels = session.prepared.data.target is not None
    use_source, use_target = domains_used(method, training_parts(session.prepared.data))
    read = {"target"} if use_target else set()
    if use_source or not has_labels:
        read.add("source")
    if not has_labels or reads_unlabelled(method):
        read |= {"target", "unlabelled"}
    return frozenset(read)
