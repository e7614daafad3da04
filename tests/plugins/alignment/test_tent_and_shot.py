"""TENT and SHOT: what they minimise, what they leave alone, and what a single image gets after."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.entropy import entropy
from automl_xfer_plugins.alignment.shot import Shot
from automl_xfer_plugins.alignment.tent import Tent
from automl_xfer_plugins.backbones.small_convnet import small_convnet
from torch import nn
from torch.nn.functional import cross_entropy

from automl_xfer.components import StagedModel
from automl_xfer.transfer.model import TransferModel

K = 3
FITTED = [Tent(epochs=2), Shot(epochs=2, learning_rate=1e-2), Shot(diversity=False)]


def images(n, seed, shift=0.0, scale=1.0):
    """Images (n, 3, 16, 16) of three classes, each with a colour of its own, and their labels."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % K
    colours = torch.eye(3)[labels][:, :, None, None]
    noise = torch.randn(n, 3, 16, 16, generator=random)
    return scale * (0.5 * colours + noise) + shift, labels


@pytest.fixture(scope="module")
def trained():
    """The small convnet and a head, trained on unshifted images; in evaluation mode."""
    torch.manual_seed(0)
    model = TransferModel(small_convnet(), nn.Linear(256, K))
    x, y = images(192, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(30):
        rows = torch.arange(32) + 32 * (step % 6)
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


@pytest.fixture
def model(trained):
    made = TransferModel(small_convnet(), nn.Linear(256, K))
    made.load_state_dict(trained.state_dict())
    return made.eval().requires_grad_(False)


def passes(batches, random=None):
    """Passes over the batches, in a new order each time."""
    random = random or np.random.default_rng(0)
    return lambda: (batches[i] for i in random.permutation(len(batches)))


@pytest.fixture
def target():
    """Darker, paler images in four batches, and their labels."""
    x, y = images(96, 2, shift=-1.0, scale=0.5)
    return list(x.split(24)), y


@torch.no_grad()
def accuracy(model, x, y):
    return (model(x).argmax(1) == y).float().mean().item()


def changed(model, before):
    return {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}


@pytest.mark.parametrize("method", FITTED, ids=str)
def test_a_shifted_target_is_predicted_better(method, model, target):
    batches, y = target
    before = accuracy(model, torch.cat(batches), y)
    method.adapt(model, passes(batches))
    assert accuracy(model, torch.cat(batches), y) > before + 0.15


@pytest.mark.parametrize("method", FITTED, ids=str)
def test_a_single_image_is_predicted_as_among_others(method, model, target):
    batches, _ = target
    method.adapt(model, passes(batches))
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in batches[0]])
        assert torch.allclose(alone, model(batches[0]), atol=1e-4)
        norm = model.backbone.stages[0][1]
        inputs = [model.backbone.stages[0][0](batch) for batch in batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in inputs]).mean(0)
    assert torch.allclose(norm.running_mean, mean, atol=1e-4)
    assert torch.allclose(norm.running_var, variance, rtol=1e-2)


def test_tent_changes_batch_norms_and_nothing_else(model, target):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Tent().adapt(model, passes(target[0]))
    norms = {f"backbone.stages.{stage}.1." for stage in range(4)}
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {norm + kind for norm in norms for kind in kinds}
    assert changed(model, before) - {n + "num_batches_tracked" for n in norms} == {
        name for name in expected if not name.endswith("tracked")
    }


def test_tents_first_step_is_adams_on_the_mean_entropy(model, target):
    batch = target[0][0]
    twin = TransferModel(small_convnet(), nn.Linear(256, K))
    twin.load_state_dict(model.state_dict())
    Tent().adapt(model, lambda: [batch])
    probabilities = twin.train()(batch).softmax(1)
    (-(probabilities * probabilities.log()).sum() / len(batch)).backward()
    old, new = twin.backbone.stages[2][1], model.backbone.stages[2][1]
    step = 1e-3 * old.weight.grad / (old.weight.grad.abs() + 1e-8)
    assert torch.allclose(new.weight, old.weight - step, atol=1e-5)


def test_more_epochs_of_tent_lower_the_entropy(model, target):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    values = []
    for epochs in (1, 2, 3):
        model.load_state_dict(state)
        Tent(epochs).adapt(model, passes(target[0]))
        with torch.no_grad():
            values.append(entropy(model(torch.cat(target[0]))).mean().item())
    assert values[0] > values[1] > values[2]


def test_shot_trains_the_backbone_and_leaves_the_head(model, target):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Shot(epochs=1).adapt(model, passes(target[0]))
    moved = changed(model, before)
    assert moved >= {name for name, _ in model.named_parameters() if "backbone" in name}
    assert not any(name.startswith("head") for name in moved)


def test_without_the_diversity_term_a_missing_class_stays_missing(model):
    x, y = images(96, 3, shift=-1.0, scale=0.5)
    batches = list(x[y < 2].split(16))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    shares = {}
    for diversity in (True, False):
        model.load_state_dict(state)
        method = Shot(learning_rate=1e-2, epochs=3, beta=0.0, diversity=diversity)
        method.adapt(model, passes(batches))
        with torch.no_grad():
            shares[diversity] = model(torch.cat(batches)).softmax(1).mean(0)[2].item()
    assert shares[False] < 0.1 < shares[True]


@pytest.mark.parametrize("method", FITTED, ids=str)
@pytest.mark.parametrize("batches", [[], [torch.randn(1, 3, 16, 16)]], ids=["none", "one image"])
def test_too_few_images_change_nothing(method, batches, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    method.adapt(model, lambda: batches)
    assert all(name.endswith("tracked") for name in changed(model, before))
    assert not any(module.training for module in model.modules())


def test_a_lone_last_image_does_no_harm(model):
    x, _ = images(17, 4)
    for method in FITTED:
        method.adapt(model, lambda: x.split(8))
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_shot_needs_no_batch_norm():
    torch.manual_seed(0)
    stage = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.GELU())
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    backbone = StagedModel([stage], pool, 8, mean=(0,) * 3, std=(1,) * 3)
    model = TransferModel(backbone, nn.Linear(8, K)).eval().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # as an engine may call it
        Shot().adapt(model, lambda: images(30, 5)[0].split(10))
    assert changed(model, before) == {"backbone.stages.0.0.weight", "backbone.stages.0.0.bias"}
