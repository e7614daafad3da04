"""Class shares of the target: label-shift correction and the mixture's estimated prior."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment import target_mixture
from automl_xfer_plugins.alignment.label_shift import LabelShift, log_share_ratio
from automl_xfer_plugins.alignment.target_mixture import (
    AdaptedTargetMixture,
    TargetMixture,
    _mixture,
    class_shares,
)
from scipy.optimize import minimize
from torch import nn

from automl_xfer.errors import ComponentError

K, D = 5, 32
EQUAL = torch.full((K,), 1 / K)
MANY = torch.tensor([5.0, 1.0, 1.0, 1.0, 1.0]) / 9


def draw(shares, n, seed, separation=0.35):
    """Gaussian classes: features (n, D), labels (n,), means (K, D)."""
    random = torch.Generator().manual_seed(seed)
    means = separation * torch.randn(K, D, generator=random)
    labels = torch.multinomial(shares, n, replacement=True, generator=random)
    return means[labels] + torch.randn(n, D, generator=random), labels, means


def exact_head(means, shares):
    """The posterior's logits for unit-variance Gaussians with these class shares."""
    head = nn.Linear(D, K).requires_grad_(False)
    head.weight.copy_(means)
    head.bias.copy_(-0.5 * means.square().sum(1) + shares.log())
    return head


def none_of(features):
    return torch.zeros(len(features), dtype=torch.bool)


def corrected(method, head, features, prior):
    module = method.target_head(D, K, head)
    with torch.no_grad():
        method.refine(module, features, head(features).softmax(1), prior, none_of(features))
    return module


def empirical(labels):
    return torch.bincount(labels, minlength=K) / len(labels)


@pytest.mark.parametrize("trained_on", [EQUAL, MANY.flip(0)], ids=["equal", "other"])
def test_shift_correction_finds_the_shares_and_the_bayes_rule(trained_on):
    features, labels, means = draw(MANY, 3000, 0)
    head = exact_head(means, trained_on)
    module = corrected(LabelShift(0.0), head, features, trained_on)
    found = module.log_ratio.exp() * trained_on
    assert found.sum().item() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(found, empirical(labels), atol=0.02)
    best = exact_head(means, MANY)(features)
    before, after, bayes = (
        (z.argmax(1) == labels).float().mean().item()
        for z in (head(features), module(features), best)
    )
    assert after > before + 0.01
    assert after == pytest.approx(bayes, abs=0.005)
    assert torch.allclose(module(features).softmax(1), best.softmax(1), atol=0.1)


def test_em_reaches_the_maximum_of_the_likelihood():
    torch.manual_seed(0)
    probabilities = (2 * torch.randn(200, 3).double()).softmax(1)
    prior = torch.tensor([0.5, 0.3, 0.2]).double()
    ratios = (probabilities / prior).numpy()

    def loss(free):
        q = np.exp(free) / np.exp(free).sum()
        return -np.log(ratios @ q).sum()

    free = minimize(loss, np.zeros(3), method="BFGS", tol=1e-10).x
    expected = np.exp(free) / np.exp(free).sum()
    found = log_share_ratio(probabilities, prior, 0.0).exp() * prior
    assert np.allclose(found.numpy(), expected, atol=1e-4)


def test_without_a_shift_next_to_nothing_changes():
    features, _, means = draw(EQUAL, 3000, 1)
    module = corrected(LabelShift(), exact_head(means, EQUAL), features, EQUAL)
    assert module.log_ratio.abs().max() < 0.15


def test_the_prior_strength_holds_the_shares_back():
    features, _, means = draw(MANY, 1000, 2)
    head = exact_head(means, EQUAL)
    moves = [
        corrected(LabelShift(strength), head, features, EQUAL).log_ratio.abs().max().item()
        for strength in (0.0, 0.1, 1.0)
    ]
    assert moves[0] > moves[1] > moves[2] > 0


def test_classes_without_a_label_or_an_image_stay_finite():
    probabilities = torch.tensor([[0.99, 0.0, 0.01], [0.98, 0.0, 0.02]])
    ratio = log_share_ratio(probabilities, torch.tensor([0.5, 0.0, 0.5]), 0.0)
    assert ratio.isfinite().all()
    assert ratio[1] == 0 and ratio[0] == pytest.approx(np.log(2), abs=1e-3) and ratio[2] < -5
    assert (log_share_ratio(torch.zeros(0, 3), torch.ones(3), 0.0) == 0).all()


def test_a_corrected_head_is_loaded_into_an_empty_one():
    features, _, means = draw(MANY, 500, 3)
    module = corrected(LabelShift(), exact_head(means, EQUAL), features, EQUAL)
    empty = LabelShift().target_head(D, K, nn.Linear(D, K))
    empty.load_state_dict(module.state_dict())
    assert torch.equal(empty(features), module(features))


def mixture(method, features, probabilities, known=None):
    """The refined head's logits."""
    head = method.target_head(D, K, nn.Identity())
    known = none_of(features) if known is None else known
    method.refine(head, features, probabilities, EQUAL, known)
    return head(features)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", [TargetMixture, AdaptedTargetMixture])
def test_the_mixture_estimates_a_class_of_five_times_the_share(seed, method):
    features, labels, means = draw(MANY, 600, seed, separation=0.6)
    moved = means + 0.3 * torch.randn(K, D, generator=torch.Generator().manual_seed(99))
    start = exact_head(moved, EQUAL)(features).softmax(1)
    accuracy, share = {}, {}
    for prior in ("equal", "estimated"):
        logits = mixture(method(dims=32, prior=prior), features, start)
        accuracy[prior] = (logits.argmax(1) == labels).float().mean().item()
        share[prior] = logits.softmax(1).mean(0)
    assert (share["estimated"] - empirical(labels)).abs().max() < 0.05
    assert accuracy["estimated"] >= accuracy["equal"] - 0.001


def test_the_estimated_prior_helps_where_classes_overlap():
    gains = []
    for seed in range(6):
        features, labels, means = draw(MANY, 600, seed)
        start = exact_head(means, EQUAL)(features).softmax(1)
        hits = [
            (mixture(TargetMixture(dims=32, prior=prior), features, start).argmax(1) == labels)
            for prior in ("equal", "estimated")
        ]
        gains.append((hits[1].float().mean() - hits[0].float().mean()).item())
    assert min(gains) > 0.05


def test_equal_shares_are_estimated_as_equal():
    features, labels, means = draw(EQUAL, 600, 7, separation=0.6)
    start = exact_head(means, EQUAL)(features).softmax(1)
    logits = [
        mixture(TargetMixture(dims=32, prior=p), features, start) for p in ("equal", "estimated")
    ]
    assert (logits[1].softmax(1).mean(0) - empirical(labels)).abs().max() < 0.03
    assert (logits[0].argmax(1) == logits[1].argmax(1)).float().mean() > 0.98


def test_a_few_labels_put_swapped_clusters_right():
    features, labels, means = draw(EQUAL, 600, 4, separation=0.6)
    swapped = torch.tensor([1, 0, 2, 3, 4])
    start = exact_head(means[swapped], EQUAL)(features).softmax(1)
    known = none_of(features)
    known[torch.cat([torch.nonzero(labels == k).flatten()[:16] for k in range(K)])] = True
    told = start.clone()
    told[known] = nn.functional.one_hot(labels[known], K).float()
    method = TargetMixture(dims=32, prior="equal")
    right = [
        (mixture(method, features, *given).argmax(1) == labels)[~known].float().mean()
        for given in ((start,), (told, none_of(features)), (told, known))
    ]
    assert right[0] < 0.7
    assert right[1] < 0.7
    assert right[2] > 0.9


@pytest.mark.parametrize(("n_known", "each"), [(5, 3.0), (60, 2.25), (300, 1.0)])
def test_labelled_images_count_as_a_quarter_of_the_others_at_most(n_known, each, monkeypatch):
    features, labels, means = draw(EQUAL, 600, 7)
    start = exact_head(means, EQUAL)(features).softmax(1).double()
    known = torch.arange(len(features)) < n_known
    start[known] = nn.functional.one_hot(labels[known], K).double()
    bounded = _mixture(features.double(), start, known, 0.3, estimated=False)
    monkeypatch.setattr(target_mixture, "_LABELLED", each)
    monkeypatch.setattr(target_mixture, "_LABELLED_SHARE", 1e9)
    set_so = _mixture(features.double(), start, known, 0.3, estimated=False)
    torch.testing.assert_close(bounded.weight, set_so.weight)


def test_labelled_images_have_no_say_in_the_class_shares():
    features, labels, means = draw(MANY, 600, 7, separation=0.6)
    start = exact_head(means, EQUAL)(features).softmax(1)
    known = none_of(features)
    known[torch.cat([torch.nonzero(labels == k).flatten()[:20] for k in range(K)])] = True
    start[known] = nn.functional.one_hot(labels[known], K).float()
    logits = mixture(TargetMixture(dims=32, prior="estimated"), features, start, known)
    found = logits[~known].softmax(1).mean(0)
    assert (found - empirical(labels[~known])).abs().max() < 0.05


def test_shift_correction_asks_only_images_that_nobody_chose():
    features, _, means = draw(MANY, 400, 2)
    start = exact_head(means, EQUAL)(features).softmax(1)
    known = torch.arange(len(features)) < 50
    told = start.clone()
    told[known] = nn.functional.one_hot(torch.arange(50) % K, K).float()
    heads = [LabelShift().target_head(D, K, nn.Linear(D, K)) for _ in range(2)]
    LabelShift().refine(heads[0], features, told, EQUAL, known)
    LabelShift().refine(heads[1], features[50:], start[50:], EQUAL, none_of(features[50:]))
    assert torch.equal(heads[0].log_ratio, heads[1].log_ratio)


def test_no_class_dies():
    shares = class_shares(torch.tensor([100.0, 50.0, 0.0]))
    assert shares.sum().item() == pytest.approx(1)
    pseudo = 0.05 * 150 / 3
    expected = (torch.tensor([100.0, 50.0, 0.0]) + pseudo) / (150 + 3 * pseudo)
    assert torch.allclose(shares, expected)


@pytest.mark.parametrize("least", [1e-7, 1e-12])
def test_a_class_of_next_to_no_responsibility_revives_where_shares_are_estimated(least):
    features, labels, means = draw(EQUAL, 600, 3, separation=0.6)
    logits = exact_head(means, EQUAL)(features)
    start = torch.cat([logits[:, :4].softmax(1), least * logits.softmax(1)[:, 4:]], 1)
    assert 0 < start[:, 4].sum() < 1e-3
    hits = {}
    for prior in ("equal", "estimated"):
        head = TargetMixture(dims=32, prior=prior).target_head(D, K, nn.Identity())
        TargetMixture(dims=32, prior=prior).refine(head, features, start, EQUAL, none_of(features))
        predicted = head(features).argmax(1)
        hits[prior] = (predicted == labels)[labels == 4].float().mean().item()
        assert (head.bias[4] == -1e4) == (prior == "equal")
    assert hits["equal"] == 0
    assert hits["estimated"] > 0.8


def test_the_likelier_prior_is_the_estimated_one_only_under_a_shift():
    for shares, expected in ((EQUAL, "equal"), (MANY, "estimated")):
        features, _, means = draw(shares, 600, 7, separation=0.6)
        start = exact_head(means, EQUAL)(features).softmax(1)
        found = {
            prior: mixture(TargetMixture(dims=32, prior=prior), features, start)
            for prior in ("equal", "estimated", "likelier")
        }
        assert torch.equal(found["likelier"], found[expected])
        assert not torch.equal(found["equal"], found["estimated"])


def test_the_likelihood_is_that_of_the_gaussians():
    z = draw(MANY, 200, 5)[0][:, :3].double()
    start = (
        (4 * torch.randn(200, 2, generator=torch.Generator().manual_seed(0))).softmax(1).double()
    )
    fit = _mixture(z, start, none_of(z), 0.3, estimated=True)
    # logits = z W + b, W = C^-1 m, b = log share - m C^-1 m / 2: solved for the means and shares
    # by the responsibilities of the last round but one, which twenty rounds leave as they are.
    share = (z @ fit.weight + fit.bias).softmax(1)
    means = share.T @ z / share.sum(0)[:, None]
    spread = (z.T @ z - means.T @ (share.sum(0)[:, None] * means)) / len(z)
    spread = 0.7 * spread + 0.3 * spread.diagonal().mean() * torch.eye(3).double()
    logs = torch.stack(
        [torch.distributions.MultivariateNormal(m, spread).log_prob(z) for m in means], 1
    )
    expected = (logs + class_shares(share.sum(0)).log()).logsumexp(1).mean()
    constant = -1.5 * np.log(2 * np.pi)
    assert fit.likelihood + constant == pytest.approx(expected.item(), abs=0.02)


def test_likelier_is_the_default_and_other_words_are_refused():
    assert TargetMixture().prior == "likelier"
    with pytest.raises(ComponentError, match="prior must be one of"):
        TargetMixture(prior="balanced")
