"""Stage fusion: each way of combining against its parts, what is stored, and its edges."""

import json

import numpy as np
import pytest
import torch
from automl_xfer_plugins.heads.block_classifiers import BlockClassifiers, blend
from automl_xfer_plugins.heads.logistic_regression import LogisticRegressionHead
from automl_xfer_plugins.heads.stacking import learn_balance
from automl_xfer_plugins.heads.stage_fusion import StageFusionHead

WIDTHS = (4, 6, 10)
COMBINES = ("concatenate", "average", "learned")


def fusion(combine, widths=WIDTHS):
    return StageFusionHead(combine=combine).on_stages(widths)


def blocks_of_noise_and_signal(n=90, seed=0):
    """Only the last block tells the classes apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    x = torch.randn(n, sum(WIDTHS), generator=generator)
    x[:, -10:-7] += 2.5 * torch.eye(3)[labels]
    return x, labels


def test_concatenate_is_the_logistic_regression_on_all_blocks():
    x, y = blocks_of_noise_and_signal()
    ours = fusion("concatenate").fit(x, y, 3)(x)
    assert torch.equal(ours, LogisticRegressionHead().fit(x, y, 3)(x))


def test_average_is_the_mean_of_each_blocks_log_probabilities():
    x, y = blocks_of_noise_and_signal()
    weight, groups = torch.linspace(0.5, 1.5, 90), torch.arange(90) // 3 * 3 + y
    ours = fusion("average").fit(x, y, 3, weight, groups)(x)
    votes = [
        LogisticRegressionHead().fit(block, y, 3, weight, groups)(block).log_softmax(1)
        for block in x.split(WIDTHS, dim=1)
    ]
    assert torch.allclose(ours, torch.stack(votes).mean(0), atol=1e-5)


def test_learned_weights_trust_the_block_that_knows():
    x, y = blocks_of_noise_and_signal(300)
    head = fusion("learned").fit(x, y, 3)
    shares = head.balance.softmax(0)
    assert shares[2] > 0.8
    new, truth = blocks_of_noise_and_signal(300, seed=1)
    loss = torch.nn.functional.cross_entropy
    assert loss(head(new), truth) < loss(fusion("average").fit(x, y, 3)(new), truth) - 0.05


def test_learned_weights_are_the_minimum_of_their_objective():
    """Held-out votes by scikit-learn's own folds; a step in any direction costs more."""
    x, y = blocks_of_noise_and_signal(60)
    heads, blocks = [LogisticRegressionHead(0.1)] * 3, list(x.split(WIDTHS, dim=1))
    weight, groups = torch.linspace(0.5, 1.5, 60), torch.arange(60)
    balance = learn_balance(heads, blocks, y, weight, groups).double()
    votes = held_out_votes(blocks, y, weight)

    def objective(theta):
        losses = torch.nn.functional.cross_entropy(blend(votes, theta), y, reduction="none")
        return float((weight * losses).sum() + theta.square().sum() / 2)

    best = objective(balance)
    for direction in torch.eye(3).double():
        for step in (0.05, -0.05):
            assert objective(balance + step * direction) > best
    assert best < objective(torch.zeros(3).double()) - 0.1


def held_out_votes(blocks, y, weight):
    from sklearn.model_selection import StratifiedKFold

    votes = torch.zeros(3, len(y), 3, dtype=torch.float64)
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(y, y):
        for block, vote in zip(blocks, votes, strict=True):
            layer = LogisticRegressionHead(0.1).fit(block[train], y[train], 3, weight[train])
            with torch.no_grad():
                vote[test] = layer(block[test]).log_softmax(1).double()
    return votes


def test_folds_keep_an_image_and_its_mirror_image_together():
    """Noise that is there twice looks learnable to folds that part the two."""
    generator = torch.Generator().manual_seed(0)
    noise, y = torch.randn(60, 40, generator=generator), torch.arange(60) % 3
    signal = torch.eye(3)[y] + torch.randn(60, 3, generator=generator)
    blocks, labels = [noise.repeat(2, 1), signal.repeat(2, 1)], y.repeat(2)
    heads, weight = [LogisticRegressionHead(0.1)] * 2, torch.ones(120)
    parted = learn_balance(heads, blocks, labels, weight, torch.arange(120)).softmax(0)
    kept = learn_balance(heads, blocks, labels, weight, torch.arange(60).repeat(2)).softmax(0)
    assert parted[0] > 0.5 > kept[0]


def test_a_class_with_one_image_does_not_keep_the_balance_from_being_learnt():
    x, y = blocks_of_noise_and_signal(31)
    y[0] = 3
    head = fusion("learned").fit(x, y, 4)
    assert head.balance.detach().abs().max() > 0.1
    y[:] = 0
    y[:3] = torch.tensor([1, 2, 3])
    head = fusion("learned").fit(x, y, 4)
    assert torch.equal(head.balance.detach(), torch.zeros(3))


@pytest.mark.parametrize("combine", COMBINES)
def test_a_class_without_a_sample_gets_the_lowest_score(combine):
    x, y = blocks_of_noise_and_signal(40)
    scores = fusion(combine).fit(x, 2 * (y > 0), 4)(torch.randn(50, 20))
    assert scores.shape == (50, 4)
    assert (scores[:, [1, 3]].amax(1) < scores[:, [0, 2]].amin(1)).all()


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("width", [20, 11])
def test_what_build_makes_takes_what_fit_has_learnt(combine, width):
    """Also where an alignment has mapped the features to another width than the blocks'."""
    x, y = blocks_of_noise_and_signal(40)
    x = x[:, -width:]
    fitted, built = fusion(combine).fit(x, y, 3), fusion(combine).build(width, 3)
    built.load_state_dict(fitted.state_dict())
    assert torch.allclose(built(x), fitted(x))


@pytest.mark.parametrize("combine", COMBINES)
def test_fits_under_no_grad_and_trains_after(combine):
    x, y = blocks_of_noise_and_signal(40)
    with torch.no_grad():
        head = fusion(combine).fit(x, y, 3)
    head(x).square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    assert ("balance" in dict(head.named_parameters())) == (combine == "learned")


def test_plain_data_both_ways():
    for head in (StageFusionHead(), fusion("learned")):
        again = StageFusionHead.from_dict(json.loads(json.dumps(head.to_dict())))
        assert again == head
        assert isinstance(again.widths, tuple)
    assert "widths" not in StageFusionHead.parameter_ranges()
    assert StageFusionHead(stages=4).stages_read == 4


def test_blocks_are_read_from_left_to_right():
    module = BlockClassifiers((2, 3), 2, learned=False)
    x = torch.randn(5, 5)
    votes = [module.layers[0](x[:, :2]), module.layers[1](x[:, 2:])]
    expected = np.mean([vote.log_softmax(1).detach().numpy() for vote in votes], axis=0)
    assert np.allclose(module(x).detach().numpy(), expected, atol=1e-6)
