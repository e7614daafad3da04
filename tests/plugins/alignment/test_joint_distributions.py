"""JAN and DeepJDOT: features together with predictions, against independent implementations."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.deep_jdot import DeepJDOT, joint_cost, transport_plan
from automl_xfer_plugins.alignment.jan import JAN, joint_mmd
from automl_xfer_plugins.alignment.mk_mmd import SCALES, mean_squared_distance, multi_kernel_mmd
from scipy.optimize import linear_sum_assignment, linprog
from scipy.special import log_softmax
from scipy.special import softmax as numpy_softmax
from sklearn.metrics.pairwise import rbf_kernel
from torch.autograd import gradcheck

from automl_xfer.components import Batch


def labelled(features, logits):
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(len(features)) % 3]
    return Batch(features, logits, labels)


def domains(*sizes):
    """Batches in float64 with these sizes, five features and three classes."""
    torch.manual_seed(0)
    made = []
    for shift, n in enumerate(sizes):
        features = torch.randn(n, 5, dtype=torch.float64) + shift
        made.append(features.requires_grad_())
        made.append(torch.randn(n, 3, dtype=torch.float64, requires_grad=True))
    return labelled(*made[:2]), Batch(*made[2:])


def as_numpy(batch):
    return batch.features.detach().numpy(), batch.logits.detach().numpy()


def product_kernel(one, other, mean):
    (f, z), (f2, z2) = one, other
    on_features = sum(rbf_kernel(f, f2, gamma=1 / (2 * scale * mean)) for scale in SCALES)
    p, p2 = numpy_softmax(z, axis=1), numpy_softmax(z2, axis=1)
    return on_features * rbf_kernel(p, p2, gamma=1 / (2 * 0.92**2))


def test_jan_against_products_of_scikit_learns_kernels():
    pair = domains(7, 4)
    source, target = map(as_numpy, pair)
    both = np.concatenate([source[0], target[0]])
    mean = ((both[:, None] - both[None]) ** 2).sum(2).sum() / (11 * 10)
    k_s, k_t = product_kernel(source, source, mean), product_kernel(target, target, mean)
    expected = (k_s.sum() - np.trace(k_s)) / 42 + (k_t.sum() - np.trace(k_t)) / 12
    expected -= 2 * product_kernel(source, target, mean).mean()
    assert JAN(weight=3.0).build(5, 3)(*pair, 0.5).item() == pytest.approx(3 * expected)


def test_jan_is_mk_mmd_where_all_predictions_are_alike():
    source, target = domains(7, 4)
    pair = [Batch(batch.features, torch.ones_like(batch.logits)) for batch in (source, target)]
    expected = multi_kernel_mmd(source.features, target.features)
    assert JAN().build(5, 3)(*pair, 0.5).item() == pytest.approx(expected.item())


def test_jan_gradient_with_bandwidths_held():
    pair = domains(6, 4)
    mean = mean_squared_distance(*(batch.features.detach() for batch in pair))
    variances = [scale * mean for scale in SCALES]

    def held(f_s, z_s, f_t, z_t):
        return joint_mmd(Batch(f_s, z_s), Batch(f_t, z_t), variances)

    inputs = [values for batch in pair for values in (batch.features, batch.logits)]
    assert gradcheck(held, inputs)
    ours = torch.autograd.grad(JAN().build(5, 3)(*pair, 0.5), inputs)
    expected = torch.autograd.grad(held(*inputs), inputs)
    assert all(torch.allclose(a, b) for a, b in zip(ours, expected, strict=True))


def test_jan_sees_classes_that_changed_places():
    torch.manual_seed(0)
    features = torch.randn(40, 5) + 6 * torch.arange(2).repeat(20)[:, None]
    logits = 10 * torch.eye(2)[torch.arange(2).repeat(20)]
    loss, source = JAN().build(5, 2), Batch(features, logits)
    same = loss(source, Batch(features, logits), 0.5).item()
    swapped = loss(source, Batch(features, logits.flip(1)), 0.5).item()
    assert multi_kernel_mmd(features, features) <= 0
    assert same <= 0
    assert swapped > 1


def cost_by_hand(source, target, alpha):
    (f_s, _), (f_t, z_t) = as_numpy(source), as_numpy(target)
    distances = np.array([[((x - y) ** 2).sum() for y in f_t] for x in f_s])
    classes, logs = source.labels.argmax(1).numpy(), log_softmax(z_t, axis=1)
    return alpha * distances / distances.mean() - np.array([logs[:, label] for label in classes])


def test_deep_jdot_of_equal_batches_against_scipys_assignment():
    pair = domains(8, 8)
    cost = cost_by_hand(*pair, 0.3)
    expected = cost[linear_sum_assignment(cost)].mean()
    value = DeepJDOT(weight=2.0, alpha=0.3).build(5, 3)(*pair, 0.5)
    assert value.item() == pytest.approx(2 * expected)


def test_deep_jdot_of_unequal_batches_against_a_linear_program():
    pair = domains(6, 4)
    cost = cost_by_hand(*pair, 1.0)
    rows, columns = np.kron(np.eye(6), np.ones(4)), np.kron(np.ones(6), np.eye(4))
    marginals = np.concatenate([np.full(6, 1 / 6), np.full(4, 1 / 4)])
    solved = linprog(cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=marginals)
    assert DeepJDOT(weight=1.0).build(5, 3)(*pair, 0.5).item() == pytest.approx(solved.fun)


def test_deep_jdot_gradient_by_the_predictions_is_that_of_the_least_cost():
    """Where the best plan is unique, holding it constant changes no gradient."""
    source, target = domains(6, 4)
    loss = DeepJDOT().build(5, 3)
    assert gradcheck(lambda z: loss(source, Batch(target.features, z), 0.5), [target.logits])


def test_deep_jdot_pulls_the_features_along_the_plan():
    source, target = domains(6, 4)
    gaps = (source.features[:, None] - target.features[None]).detach()
    alpha = 0.7 / gaps.square().sum(2).mean()
    plan = transport_plan(joint_cost(source, target, alpha))
    pulled = 2 * alpha * plan[:, :, None] * gaps
    value = DeepJDOT(weight=1.0, alpha=0.7).build(5, 3)(source, target, 0.5)
    inputs = [source.features, target.features, source.logits]
    on_source, on_target, on_logits = torch.autograd.grad(value, inputs, allow_unused=True)
    assert torch.allclose(on_source, pulled.sum(1))
    assert torch.allclose(on_target, -pulled.sum(0))
    assert on_logits is None


def scaled(batch, factor):
    return Batch(factor * batch.features, batch.logits, batch.labels)


def test_deep_jdot_means_the_same_for_features_of_every_scale():
    pair = domains(6, 4)
    larger = DeepJDOT().build(5, 3)(*(scaled(batch, 50) for batch in pair), 0.5)
    assert larger.item() == pytest.approx(DeepJDOT().build(5, 3)(*pair, 0.5).item())


def test_deep_jdot_pulls_less_as_the_features_shrink():
    """Measured anew in every batch, the scale would let the pull grow until all collapse."""
    source, target = (Batch(b.features, 0 * b.logits, b.labels) for b in domains(6, 4))
    loss = DeepJDOT().build(5, 3)
    pulls = []
    for factor in (1, 0.1):
        small = torch.nn.Parameter(factor * source.features.detach())
        value = loss(Batch(small, source.logits, source.labels), scaled(target, factor), 0.5)
        pulls.append(torch.autograd.grad(value, small)[0])
    assert torch.allclose(pulls[1], 0.1 * pulls[0])


def test_deep_jdot_takes_mixed_labels():
    source, target = domains(6, 4)
    halves = (source.labels + source.labels.roll(1, 1)) / 2
    mixed = joint_cost(Batch(source.features, source.logits, halves), target, 1.0)
    ends = [
        joint_cost(Batch(source.features, source.logits, labels), target, 1.0)
        for labels in (source.labels, source.labels.roll(1, 1))
    ]
    assert torch.allclose(mixed, (ends[0] + ends[1]) / 2)


@pytest.mark.filterwarnings("ignore:Problem infeasible", "ignore:Problem unbounded")
def test_deep_jdot_of_diverged_predictions_is_nan():
    source, target = domains(6, 4)
    logits = target.logits.detach().clone()
    logits[1] = torch.nan
    assert DeepJDOT().build(5, 3)(source, Batch(target.features, logits), 0.5).isnan()
