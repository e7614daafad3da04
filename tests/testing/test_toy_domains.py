"""The toy domains are what they say: deterministic, separable, and apart."""

import torch
from torch import nn

from automl_xfer.testing import toy_batches, toy_features, toy_images, toy_model


def nearest_mean_accuracy(x: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of the rows that lie nearest to the mean of their own label."""
    rows = x.flatten(1).float()
    means = torch.stack([rows[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    return float((torch.cdist(rows, means).argmin(1) == labels).float().mean())


def test_what_was_drawn_before_does_not_matter() -> None:
    for make in (toy_features, toy_images):
        first = make()
        torch.rand(7)
        second = make()
        assert torch.equal(first.source, second.source)
        assert torch.equal(first.target, second.target)
        assert not torch.equal(first.source, make(seed=1).source)


def test_making_them_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    toy_features(), toy_images(), toy_model(), toy_batches()
    assert torch.equal(torch.rand(3), expected)


def test_classes_are_apart_and_so_are_domains() -> None:
    for domains in (toy_features(), toy_images(60, 60)):
        assert nearest_mean_accuracy(domains.source, domains.source_labels) > 0.95
        assert nearest_mean_accuracy(domains.target, domains.target_labels) > 0.95
        both = torch.cat([domains.source, domains.target])
        domain = (torch.arange(len(both)) >= len(domains.source)).long()
        assert nearest_mean_accuracy(both, domain) > 0.8


def test_images_are_bytes_and_the_model_makes_features_of_them() -> None:
    images = toy_images().source
    assert images.dtype == torch.uint8 and images.shape[1:] == (3, 32, 32)
    model = toy_model().eval()
    assert model(model.normalise(images)).shape == (len(images), model.feature_dim)
    assert len(model.stages) == 3
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == 3


def test_batches_differ_in_size_and_the_target_has_no_labels() -> None:
    source, target = toy_batches(two_views=True)
    assert len(source.features) != len(target.features)
    assert target.labels is None and source.labels.sum(1).eq(1).all()
    assert target.strong.features.shape == target.features.shape
    assert (source.logits.softmax(1).amax(1) > 0.9).float().mean() > 0.9
    assert source.features.requires_grad and target.strong.logits.requires_grad
