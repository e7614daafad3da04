"""What holds for every loss of features and predictions together."""

import pytest
import torch
from automl_xfer_plugins.alignment.afn import AdaptiveFeatureNorm
from automl_xfer_plugins.alignment.bnm import BatchNuclearNorm
from automl_xfer_plugins.alignment.cdan import CDAN
from automl_xfer_plugins.alignment.deep_jdot import DeepJDOT
from automl_xfer_plugins.alignment.jan import JAN
from automl_xfer_plugins.alignment.mcc import MinimumClassConfusion
from automl_xfer_plugins.alignment.mdd import MarginDisparity

from automl_xfer.components import Batch

LOSSES = [
    JAN(),
    CDAN(),
    MinimumClassConfusion(),
    BatchNuclearNorm(),
    MarginDisparity(),
    AdaptiveFeatureNorm(),
    DeepJDOT(),
]


def pair(*sizes):
    torch.manual_seed(0)
    source, target = (
        (torch.randn(n, 5, requires_grad=True), torch.randn(n, 3, requires_grad=True))
        for n in sizes
    )
    return Batch(*source, torch.eye(3)[torch.arange(sizes[0]) % 3]), Batch(*target)


def sixteen_bit(batch):
    return Batch(batch.features.bfloat16(), batch.logits.bfloat16(), batch.labels)


def widened(batch):
    return Batch(batch.features.float(), batch.logits.float(), batch.labels)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
@pytest.mark.parametrize("sizes", [(1, 1), (1, 6), (6, 1)])
def test_tiny_batches_stay_finite(method, sizes):
    batches = pair(*sizes)
    value = method.build(5, 3)(*batches, 0.5)
    value.backward()
    assert value.isfinite() and value.shape == ()
    reached = [x.grad for b in batches for x in (b.features, b.logits) if x.grad is not None]
    assert reached
    assert all(gradient.isfinite().all() for gradient in reached)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_sixteen_bit_batches_are_computed_in_32_bits(method):
    narrow = [sixteen_bit(batch) for batch in pair(16, 8)]
    loss = method.build(5, 3)
    exact = loss(*map(widened, narrow), 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*narrow, 0.5)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_order_of_the_images_does_not_matter(method):
    source, target = pair(12, 8)
    loss, order = method.build(5, 3), torch.randperm(12)
    shuffled = Batch(source.features[order], source.logits[order], source.labels[order])
    turned = Batch(target.features.flip(0), target.logits.flip(0))
    expected = loss(source, target, 0.5).item()
    assert loss(shuffled, turned, 0.5).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.name)
def test_only_the_losses_of_whole_batches_of_predictions_ask_for_few_classes(method):
    on_target_alone = method.name in ("mcc", "bnm")
    needs = {"unlabelled", "few_classes"} if on_target_alone else {"source"}
    assert method.requires == {"trainable"} | needs
