"""Co-Tuning against loops in numpy, and its own parameters."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.regularizers.co_tuning import CoTuning, category_relation
from torch import nn
from torch.autograd import gradcheck

from automl_xfer.components import Batch, StagedModel
from automl_xfer.errors import ComponentError

DIM, SOURCE, TARGET = 6, 5, 3
WEIGHT = torch.randn(SOURCE, DIM, generator=torch.Generator().manual_seed(1)).double()


def pretraining_classifier():
    layer = nn.Linear(DIM, SOURCE).double()
    with torch.no_grad():
        layer.weight.copy_(WEIGHT)
        layer.bias.zero_()
    return layer


def backbone(classifier=pretraining_classifier):
    ends = [nn.Identity()], nn.Identity(), DIM
    return StagedModel(*ends, mean=(0, 0, 0), std=(1, 1, 1), classifier=classifier).double()


def starting_features(labels=(0, 0, 1, 2, 1, 0)):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(len(labels), DIM, generator=generator).double(), torch.tensor(labels)


def loss(labelled=starting_features, weight=1.0):
    return CoTuning(weight=weight).build(backbone(), nn.Linear(DIM, TARGET).double(), labelled)


def softmax(rows):
    shares = np.exp(rows)
    return shares / shares.sum(1, keepdims=True)


def numpy_relation(features, labels):
    said = softmax(features.numpy() @ WEIGHT.numpy().T)
    return np.stack([said[labels.numpy() == k].mean(0) for k in range(TARGET)])


def test_the_relation_is_the_mean_of_what_the_classifier_says_of_each_class():
    features, labels = starting_features()
    ours = category_relation(pretraining_classifier(), features, labels, TARGET)
    assert np.allclose(ours.numpy(), numpy_relation(features, labels), atol=1e-12)


def test_a_class_without_an_image_gets_the_mean_over_all():
    features, labels = starting_features((0, 0, 2, 2, 0, 0))
    ours = category_relation(pretraining_classifier(), features, labels, 4)
    said = softmax(features.numpy() @ WEIGHT.numpy().T).mean(0)
    assert np.allclose(ours[[1, 3]].numpy(), said, atol=1e-12)


def test_the_term_is_the_cross_entropy_to_the_translated_labels():
    batch_features = torch.randn(4, DIM).double()
    labels = torch.rand(4, TARGET).double().softmax(1)  # mixed ones
    expected = labels.numpy() @ numpy_relation(*starting_features())
    said = np.log(softmax(batch_features.numpy() @ WEIGHT.numpy().T))
    ours = loss(weight=0.3)(Batch(batch_features, torch.zeros(4, TARGET), labels))
    assert ours.item() == pytest.approx(-0.3 * (expected * said).sum(1).mean(), rel=1e-9)


def test_gradient():
    labels = torch.eye(TARGET).double()
    made = loss()
    features = torch.randn(TARGET, DIM).double().requires_grad_()
    assert gradcheck(lambda f: made(Batch(f, torch.zeros(TARGET, TARGET), labels)), features)


def test_the_classifier_trains_and_the_relation_does_not():
    made = loss()
    assert isinstance(made, nn.Module)
    assert {name for name, _ in made.named_parameters()} == {"classifier.weight", "classifier.bias"}
    batch = Batch(torch.randn(3, DIM).double(), torch.zeros(3, TARGET), torch.eye(TARGET).double())
    made(batch).backward()
    assert made.classifier.weight.grad.abs().sum() > 0
    assert not made.relation.requires_grad


def test_two_trainings_start_from_classifiers_of_their_own():
    first, second = loss(), loss()
    with torch.no_grad():
        first.classifier.weight.zero_()
    assert torch.equal(second.classifier.weight, WEIGHT)


def test_a_backbone_without_a_classifier_is_refused():
    with pytest.raises(ComponentError, match="needs a backbone with the classifier"):
        CoTuning().build(backbone(None), nn.Linear(DIM, TARGET), starting_features)
