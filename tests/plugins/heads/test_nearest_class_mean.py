"""The nearest-class-mean head against numpy, and its parts that train."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.heads.linear import LinearHead
from automl_xfer_plugins.heads.nearest_class_mean import NearestClassMean


@pytest.mark.parametrize("temperature", [0.03, 0.3])
def test_logits_are_cosines_to_weighted_class_means(temperature):
    random = np.random.default_rng(0)
    x, y, weight = random.normal(size=(30, 6)), random.integers(3, size=30), random.uniform(size=30)
    centred = x - np.average(x, axis=0, weights=weight)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    means = np.stack(
        [np.average(directions[y == k], axis=0, weights=weight[y == k]) for k in range(3)]
    )
    cosines = directions @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    head = NearestClassMean(temperature).fit(
        torch.from_numpy(x), torch.from_numpy(y), 3, torch.from_numpy(weight)
    )
    with torch.no_grad():
        logits = head(torch.from_numpy(x).float())
    assert np.allclose(logits.numpy(), cosines / temperature, atol=1e-4)


def test_scale_of_a_feature_vector_about_the_centre_does_not_matter():
    x, y = torch.randn(20, 4), torch.arange(20) % 2
    head = NearestClassMean().fit(x, y, 2)
    far = head.centre + 7 * (x - head.centre)
    assert torch.allclose(head(far), head(x), atol=1e-4)


def test_a_class_without_a_sample_gets_the_lowest_score():
    head = NearestClassMean().fit(torch.randn(8, 4), torch.tensor([0, 0, 0, 2, 2, 2, 0, 2]), 4)
    scores = head(torch.randn(100, 4))
    assert (scores[:, [1, 3]].amax(1) < scores[:, [0, 2]].amin(1)).all()


def test_one_sample_per_class_and_one_sample_at_all():
    x = torch.eye(3)
    assert NearestClassMean().fit(x, torch.arange(3), 3)(x).argmax(1).tolist() == [0, 1, 2]
    assert NearestClassMean().fit(x[:1], torch.tensor([1]), 3)(x).isfinite().all()


def test_the_means_train_and_centre_and_offset_do_not():
    for head in (NearestClassMean().build(4, 3), LinearHead().build(4, 3)):
        head(torch.randn(5, 4)).logsumexp(1).sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
    assert [name for name, _ in NearestClassMean().build(4, 3).named_parameters()] == ["means"]
