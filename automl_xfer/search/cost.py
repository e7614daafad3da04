"""Cost: predicted seconds of a trial from the measured speed of its backbone."""

from automl_xfer.components import AlignmentMethod, Strategy
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.transfer.closed_form import domains_used
from automl_xfer.transfer.finishing import finish_key

_STEP = 3.0
"""A training step costs about three forward passes of its images."""


def predicted_seconds(session: Session, strategy: Strategy) -> float:
    """Seconds of all folds of a trial; 0 where the speed of the backbone is not known.

    Frozen features are paid for by the first trial that needs them; later ones count nothing.
    """
    speeds = [session.seconds_per_image.get(part) for part in strategy.backbone.parts]
    speed = sum(each for each in speeds if each is not None)
    if None in speeds:
        return 0.0
    data = session.prepared.data
    if strategy.frozen:
        images = sum(len(each) for each in (data.target, data.unlabelled, data.source) if each)
        return 0.0 if _has_features(session, strategy) else speed * images
    parts = training_parts(data)
    use_source, use_target = domains_used(strategy.alignment, parts)
    per_step = int(use_source) + int(use_target)
    if type(strategy.alignment).build is not AlignmentMethod.build and parts.source is not None:
        per_step += 1  # the unlabelled target batch of an alignment loss
    images = sum(len(train) for train, _ in session.plan.folds)
    if not use_target and parts.target is not None and parts.source is not None:
        images = len(session.plan.folds) * len(parts.source)  # an epoch passes over the source
    return _STEP * speed * images * per_step * strategy.optimization.epochs


def _has_features(session: Session, strategy: Strategy) -> bool:
    """Whether a finished trial read the same backbone's features, adapted the same way."""
    done = (
        Strategy.from_dict(record.strategy, session.catalog.classes)
        for record in session.complete_trials()
        if record.strategy["backbone"] == strategy.backbone.to_dict()
    )
    finish = finish_key(strategy.alignment)
    return any(finish_key(other.alignment) == finish for other in done)
