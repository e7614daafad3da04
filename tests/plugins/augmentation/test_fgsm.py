"""FGSM: the step it takes, on which images, and what it leaves behind."""

import pytest
import torch
from automl_xfer_plugins.augmentation.fgsm import FastGradientSign
from torch import nn
from torch.nn.functional import cross_entropy


def linear_case():
    """A linear model's gradient by the pixels has a closed form."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5)).double()
    images, labels = torch.randn(6, 3, 4, 4).double(), torch.arange(6) % 5
    return model, images, labels


def test_every_pixel_moves_by_epsilon_up_the_slope():
    model, images, labels = linear_case()
    policy = FastGradientSign(epsilon=0.05, share=1.0)
    moved = policy.perturb(images, lambda x: cross_entropy(model(x), labels))
    wrong = model(images).softmax(1) - torch.eye(5).double()[labels]
    slope = (wrong @ model[1].weight).view_as(images)
    assert torch.allclose(moved - images, 0.05 * slope.sign())


def test_the_loss_rises():
    model, images, labels = linear_case()
    moved = FastGradientSign(share=1.0).perturb(images, lambda x: cross_entropy(model(x), labels))
    assert cross_entropy(model(moved), labels) > cross_entropy(model(images), labels)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_share_of_the_images_moves_and_moves_whole(share):
    torch.manual_seed(0)
    images = torch.randn(400, 3, 2, 2)
    moved = FastGradientSign(share=share).perturb(images, lambda x: x.square().sum())
    pixels = (moved != images).flatten(1)
    assert (pixels.all(1) == pixels.any(1)).all()
    assert pixels.any(1).float().mean().item() == pytest.approx(share, abs=0.08)


def test_no_gradient_is_left_in_the_model_or_the_images():
    model, images, labels = linear_case()
    moved = FastGradientSign().perturb(images, lambda x: cross_entropy(model(x), labels))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not moved.requires_grad and not images.requires_grad


def test_a_flat_loss_moves_nothing():
    images = torch.randn(3, 3, 2, 2)
    moved = FastGradientSign(share=1.0).perturb(images, lambda x: 0 * x.sum())
    assert torch.equal(moved, images)
