"""The MLP head: what it can separate, its dropout, and its fit on features that stay."""

import pytest
import torch
from automl_xfer_plugins.heads.logistic_regression import LogisticRegressionHead
from automl_xfer_plugins.heads.mlp import MLPHead
from torch import nn


def rings(n=300, seed=0):
    """Two classes by their distance to the origin: no line parts them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    directions = nn.functional.normalize(torch.randn(n, 2, generator=generator))
    return directions * (1 + 2 * labels[:, None]), labels


def accuracy(head, x, y):
    return (head(x).argmax(1) == y).float().mean().item()


def test_it_separates_what_no_line_does():
    torch.manual_seed(0)
    x, y = rings()
    head = MLPHead(dropout=0.0).fit(x, y, 2)
    assert accuracy(head, *rings(seed=1)) > 0.97
    assert accuracy(LogisticRegressionHead(strength=0.01).fit(x, y, 2), x, y) < 0.7


def test_offset_and_scale_of_the_features_do_not_matter():
    x, y = rings()
    torch.manual_seed(0)
    expected = MLPHead(width=64).fit(x, y, 2)(x)
    torch.manual_seed(0)
    moved = 100 * x + 500
    assert torch.allclose(MLPHead(width=64).fit(moved, y, 2)(moved), expected, atol=0.02)


def test_the_seed_decides_the_fit_and_dropout_is_off_after_it():
    x, y = rings(60)
    torch.manual_seed(0)
    head = MLPHead(dropout=0.6).fit(x, y, 2)
    assert torch.equal(head(x), head(x))
    torch.manual_seed(0)
    assert torch.equal(MLPHead(dropout=0.6).fit(x, y, 2)(x), head(x))
    torch.manual_seed(1)
    assert not torch.equal(MLPHead(dropout=0.6).fit(x, y, 2)(x), head(x))
    assert not torch.equal(head.train()(x), head(x))


def test_fits_under_no_grad():
    x, y = rings()
    with torch.no_grad():
        assert accuracy(MLPHead().fit(x, y, 2), x, y) > 0.9


def test_weights_decide_between_labels_that_contradict_each_other():
    torch.manual_seed(0)
    x, _ = rings(100)
    both, labels = torch.cat([x, x]), torch.arange(200) // 100
    weight = torch.where(labels == 1, 3.0, 1.0)
    shares = MLPHead().fit(both, labels, 2, weight)(x).softmax(1).mean(0)
    assert shares[1].item() == pytest.approx(0.75, abs=0.1)


def test_a_class_without_a_sample_gets_the_lowest_score():
    head = MLPHead().fit(torch.randn(8, 4), torch.tensor([0, 0, 0, 2, 2, 2, 0, 2]), 4)
    scores = head(10 * torch.randn(100, 4))
    assert (scores[:, [1, 3]].amax(1) < scores[:, [0, 2]].amin(1)).all()


def test_what_build_makes_takes_what_fit_has_learnt():
    x, y = rings(40)
    fitted, built = MLPHead(width=64).fit(x, y, 2), MLPHead(width=64).build(2, 2)
    built.load_state_dict(fitted.state_dict())
    assert torch.equal(built.eval()(x), fitted(x))


@pytest.mark.parametrize("n", [20, 200])
def test_few_samples_in_many_dimensions_are_told_apart_as_many_are(n):
    """40 dimensions, of which one tells the classes apart: fewer samples than that, and more."""
    torch.manual_seed(0)
    labels = torch.arange(n) % 2
    x = 0.3 * torch.randn(n, 40)
    x[:, 3] += 4.0 * labels
    head = MLPHead(dropout=0.0).fit(x, labels, 2)
    assert head[0].weight.shape == (256, 40)
    outside = torch.linalg.svd(x - x.mean(0))[2][n:].T  # directions without any difference
    assert torch.allclose(head[0].weight @ outside, torch.zeros(256, outside.shape[1]), atol=1e-4)
    fresh = 0.3 * torch.randn(100, 40)
    fresh[:, 3] += 4.0 * (torch.arange(100) % 2)
    assert accuracy(head, fresh, torch.arange(100) % 2) > 0.95
