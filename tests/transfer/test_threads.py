"""Heads are fitted by one thread where the features are few, by all where they are many."""

import pytest
import torch
from torch import nn

from automl_xfer.transfer import threads
from automl_xfer.transfer.head_fit import Samples, fit_samples


class Watching:
    """A head that notes how many threads its fit may use."""

    def fit(self, features, labels, num_classes, weight, groups):
        self.seen = torch.get_num_threads()
        return nn.Linear(features.shape[1], num_classes)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("limit", "expected"), [(1000, 1), (10, 2)])
def test_a_small_fit_has_one_thread_and_gives_the_others_back(
    limit, expected, monkeypatch, two_threads
):
    monkeypatch.setattr(threads, "_ONE_THREAD_SIZE", limit)
    labels, head = torch.arange(6) % 2, Watching()
    samples = [Samples(torch.randn(6, 4), labels, torch.arange(6), torch.ones(6))]
    fit_samples(head, samples, 2, balance=False)
    assert head.seen == expected
    assert torch.get_num_threads() == 2
