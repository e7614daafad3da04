"""Folded batch norms compute the same; where they would not, nothing is folded."""

import pytest
import timm
import torch
from torch import nn

from automl_xfer.transfer.folding import fold_batch_norms


def trained(model: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights of their own, in evaluation mode."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("name", ["mobilenetv1_100", "resnet10t", "efficientnet_b0"])
def test_a_folded_network_computes_the_same_without_batch_norms(name):
    model = trained(timm.create_model(name, num_classes=0))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randn(3, 3, 64, 64)
    folded = fold_batch_norms(model, images[:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-3, atol=1e-3)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_convolution_that_is_used_twice_is_left_alone():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, images):
            return self.convolution(self.norm(self.convolution(images))).mean((2, 3))

    model = trained(Twice())
    assert fold_batch_norms(model, torch.randn(2, 3, 8, 8)) is model
