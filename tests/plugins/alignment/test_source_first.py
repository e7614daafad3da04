"""Source first: one domain at a time."""

import pytest
from automl_xfer_plugins.alignment.source_first import SourceFirst

from automl_xfer.errors import ComponentError


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_source_alone_then_the_target_alone(share):
    method = SourceFirst(share)
    assert method.task_weights(0.0) == (1, 0)
    assert method.task_weights(share - 1e-6) == (1, 0)
    assert method.task_weights(share) == (0, 1)
    assert method.task_weights(1.0) == (0, 1)


def test_it_needs_and_reads_the_labels_of_both():
    assert SourceFirst.requires == {"source", "target_labels", "trainable"}
    assert SourceFirst.trains_on == {"source", "target"}
    with pytest.raises(ComponentError, match="share must be between"):
        SourceFirst(1.0)
