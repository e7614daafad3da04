"""The terms of TENT's and SHOT's losses, and SHOT's centroids, against independent ones."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.centroids import class_centroids, nearest_centroid
from automl_xfer_plugins.alignment.entropy import entropy, entropy_of_mean
from automl_xfer_plugins.alignment.shot import shot_loss
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics.pairwise import cosine_distances


def test_entropies_against_scipy():
    logits = 3 * torch.randn(9, 4, dtype=torch.float64)
    p = logits.softmax(1).numpy()
    assert np.allclose(entropy(logits), scipy_entropy(p, axis=1))
    assert entropy_of_mean(logits).item() == pytest.approx(scipy_entropy(p.mean(0)))
    assert entropy(torch.zeros(1, 5)).item() == pytest.approx(np.log(5))


def test_gradients_are_right_and_finite_for_a_class_that_nobody_predicts():
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 1, 0])
    assert torch.autograd.gradcheck(lambda z: shot_loss(z, labels, 0.3, diversity=True), logits)
    far = torch.tensor([[0.0, 1.0, -1e4], [2.0, 0.0, -1e4]], requires_grad=True)
    shot_loss(far, torch.tensor([1, 0]), 0.3, diversity=True).backward()
    assert far.grad.isfinite().all()


def test_shot_loss_is_its_three_terms():
    logits = torch.randn(6, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    p = logits.softmax(1).numpy()
    sure = scipy_entropy(p, axis=1).mean()
    pseudo = -np.log(p[np.arange(6), labels.numpy()]).mean()
    without = shot_loss(logits, labels, 0.3, diversity=False).item()
    assert without == pytest.approx(sure + 0.3 * pseudo)
    whole = shot_loss(logits, labels, 0.3, diversity=True).item()
    assert whole == pytest.approx(without - scipy_entropy(p.mean(0)))


def test_sixteen_bit_logits_give_32_bit_entropies():
    logits = torch.randn(8, 3).bfloat16()
    assert entropy(logits).dtype == entropy_of_mean(logits).dtype == torch.float32


def test_centroids_against_a_loop_over_images():
    torch.manual_seed(1)
    features, p = torch.randn(40, 6), (2 * torch.randn(40, 4)).softmax(1)
    f, q = features.numpy(), p.numpy()
    unit = f / np.linalg.norm(f, axis=1, keepdims=True)
    first = np.stack([sum(q[i, k] * unit[i] for i in range(40)) / q[:, k].sum() for k in range(4)])
    labels = cosine_distances(f, first).argmin(1)
    second = np.stack([unit[labels == k].mean(0) for k in range(4)])
    expected = cosine_distances(f, second).argmin(1)
    assert len(set(labels)) == 4
    ours = nearest_centroid(features, class_centroids(features, p))
    assert (ours.numpy() == expected).all()
    assert (labels != expected).any()  # the second round matters here


def test_lengths_of_features_do_not_matter():
    torch.manual_seed(2)
    features, p = torch.randn(30, 5), torch.randn(30, 3).softmax(1)
    scaled = features * torch.rand(30, 1).add(0.1)
    assert torch.allclose(class_centroids(features, p), class_centroids(scaled, p), atol=1e-5)


def test_a_class_that_is_nobodys_likeliest_gets_no_image():
    torch.manual_seed(3)
    features = torch.randn(20, 5)
    p = torch.tensor([[0.4, 0.25, 0.35], [0.3, 0.25, 0.45]]).repeat(10, 1)
    centroids = class_centroids(features, p)
    assert not centroids[1].any()
    assert 1 not in nearest_centroid(-features, centroids)
