"""A device that runs out of memory gets fewer images at once, and the same training."""

import pytest
import torch

from automl_xfer.transfer import gradient
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.loader import Images, LabelledBatch, split_batch


@pytest.fixture
def small_memory(monkeypatch):
    """A device that holds so many labelled images at once; counts what it was given."""
    given = []
    plain = gradient.training_loss

    def limit(most):
        def loss(training, labelled, target, progress, first):
            given.append(max(len(batch.labels) for batch in labelled.values()))
            if given[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(training, labelled, target, progress, first)

        monkeypatch.setattr(gradient, "training_loss", loss)
        return given

    return limit


def strategy_of(space, **values):
    names = {"freezing": "full", "head": "linear", "optimization": "adamw", "augmentation": "none"}
    fixed = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": 16}
    return space.strategy("toy", names, {**fixed, **values})


def test_gradients_of_smaller_parts_add_up_to_the_same_training(
    space, parts, context, small_memory
):
    strategy = strategy_of(space)
    whole = fit(strategy, parts, context)
    given = small_memory(4)
    cut = fit(strategy, parts, context)
    assert (whole.micro_batches, cut.micro_batches) == (1, 4)
    assert given[:3] == [16, 8, 4] and max(given[2:]) == 4
    expected = whole.model.state_dict()
    for name, value in cut.model.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-3, atol=2e-4), name


def test_an_alignment_loss_gets_parts_of_both_domains(space, parts, context, small_memory):
    names = {"freezing": "full", "alignment": "deep-coral", "head": "linear"}
    values = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": 16}
    strategy = space.strategy("toy", {**names, "optimization": "adamw"}, values)
    small_memory(8)
    assert fit(strategy, parts, context).micro_batches == 2


def test_a_part_keeps_as_many_target_images_as_the_alignment_asks_for():
    images = Images(torch.zeros(64, 3, 8, 8, dtype=torch.uint8), 0)
    labelled = {"source": LabelledBatch(images, torch.zeros(64).long(), torch.arange(64))}
    sizes = [len(target.values) for _, target, _ in split_batch(labelled, images, 8, 30)]
    assert sizes == [32, 32]
    assert len(split_batch(labelled, images, 8)) == 8


def test_a_memory_too_small_for_two_images_fails_as_such(space, parts, context, small_memory):
    small_memory(0)
    with pytest.raises(torch.OutOfMemoryError):
        fit(strategy_of(space), parts, context)
