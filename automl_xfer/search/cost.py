"""Cost: predicted seconds of a trial from the measured speed of its backbone."""

from automl_xfer.components import AlignmentMethod, Strategy
from automl_xfer.search.plan import training_parts
from automl_xfer.search.session import Session
from automl_xfer.transfer.closed_form import domains_used

_STEP = 3.0
"""A training step costs about three forward passes of its images."""


def predicted_seconds(session: Session, strategy: Strategy) -> float:
    """Seconds of all folds of a trial that trains by gradient.

    0 where features are cached, or the speed of the backbone is not known.
    """
    speed = session.seconds_per_image.get(strategy.backbone.label)
    if strategy.frozen or speed is None:
        return 0.0
    data = session.prepared.data
    parts = training_parts(data)
    per_step = sum(domains_used(strategy.alignment, parts))
    if type(strategy.alignment).build is not AlignmentMethod.build and parts.source is not None:
        per_step += 1  # the unlabelled target batch of an alignment loss
    images = sum(len(train) for train, _ in session.plan.folds)
    return _STEP * speed * images * per_step * strategy.optimization.epochs
