"""Cost: predicted seconds of a trial from the measured speed of its backbone."""

from automl_xfer.components import AlignmentMethod, Strategy
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.transfer.closed_form import domains_used

_STEP = 3.0
"""A training step costs about three forward passes of its images."""


def predicted_seconds(session: Session, strategy: Strategy) -> float:
    """Seconds of all folds of a trial that trains by gradient.

    Frozen features are paid for once and count nothing here. 0 where the speed of the backbone
    is not known.
    """
    speed = session.seconds_per_image.get(strategy.backbone.label)
    if strategy.frozen or speed is None:
        return 0.0
    data = session.prepared.data
    parts = training_parts(data)
    use_source, use_target = domains_used(strategy.alignment, parts)
    per_step = int(use_source) + int(use_target)
    if type(strategy.alignment).build is not AlignmentMethod.build and parts.source is not None:
        per_step += 1  # the unlabelled target batch of an alignment loss
    images = sum(len(train) for train, _ in session.plan.folds)
    if not use_target and parts.target is not None and parts.source is not None:
        images = len(session.plan.folds) * len(parts.source)  # an epoch passes over the source
    return _STEP * speed * images * per_step * strategy.optimization.epochs
