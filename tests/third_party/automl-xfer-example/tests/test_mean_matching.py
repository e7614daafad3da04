"""It conforms, and its loss is the formula of its docstring."""

import torch
from automl_xfer_example.mean_matching import MeanMatching

from automl_xfer.testing import parametrize_with_checks, toy_batches


@parametrize_with_checks([MeanMatching, MeanMatching(weight=0.1)])
def test_it_conforms(component, check):
    check(component)


def test_the_loss_is_the_squared_distance_of_the_means():
    source, target = toy_batches()
    means = [batch.features.detach().double().mean(0) for batch in (source, target)]
    wanted = 3.0 * float((means[0] - means[1]).square().mean())
    loss = MeanMatching(weight=3.0).build(16, 3)(source, target, 0.5)
    assert torch.isclose(loss, torch.tensor(wanted), rtol=1e-5)
