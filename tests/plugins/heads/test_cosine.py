"""The cosine head: its formula, what it ignores, and that its fit is the best there is."""

import pytest
import torch
from automl_xfer_plugins.alignment.afn import AdaptiveFeatureNorm
from automl_xfer_plugins.heads.cosine import CosineHead
from automl_xfer_plugins.heads.linear import LinearHead
from automl_xfer_plugins.heads.nearest_class_mean import NearestClassMean
from automl_xfer_plugins.heads.stage_fusion import StageFusionHead
from torch.nn.functional import cosine_similarity, cross_entropy


@pytest.mark.parametrize("temperature", [0.03, 0.3])
def test_logits_are_cosines_over_the_temperature(temperature):
    head, x = CosineHead(temperature).build(6, 4), torch.randn(5, 6)
    expected = cosine_similarity(x[:, None], head.means[None], dim=2) / temperature
    assert torch.allclose(head(x), expected, atol=1e-4)


def test_lengths_of_features_do_not_matter():
    head, x = CosineHead().build(6, 4), torch.randn(5, 6)
    assert torch.allclose(head(9 * x), head(x), atol=1e-4)
    assert head(torch.zeros(1, 6)).isfinite().all()


@pytest.mark.parametrize("head", [CosineHead(0.03), NearestClassMean(0.03)], ids=lambda h: h.name)
def test_sixteen_bit_features_under_autocast_keep_their_logits(head):
    torch.manual_seed(0)
    module, x = head.build(64, 4), torch.randn(20, 64).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = module(x)
    exact = cosine_similarity(x.double()[:, None], module.means.double()[None], dim=2) / 0.03
    assert logits.dtype == torch.float32
    assert torch.allclose(logits.double(), exact, atol=1e-3)


def test_lengths_that_an_alignment_changes_are_for_heads_that_read_them():
    for head in (CosineHead, NearestClassMean, StageFusionHead):
        assert "feature_length" in head.excludes & AdaptiveFeatureNorm.provides
    assert "feature_length" not in LinearHead.excludes


@pytest.mark.parametrize(
    ("dimensions", "without"), [(6, ""), (200, ""), (6, "weight"), (6, "features")]
)
def test_no_direction_has_a_smaller_loss_than_the_fitted_ones(dimensions, without):
    """Of many and of few samples, and where a class has no weight or no features at all."""
    torch.manual_seed(0)
    x, labels, weight = torch.randn(60, dimensions), torch.arange(60) % 4, torch.rand(60)
    if without:
        (weight if without == "weight" else x)[labels == 1] = 0.0
    head = CosineHead(0.3).fit(x, labels, 4, weight)

    def loss_of(module):
        return (weight * cross_entropy(module(x), labels, reduction="none")).sum() / weight.sum()

    (slope,) = torch.autograd.grad(loss_of(head), head.means)
    assert slope.abs().max() < (5e-3 if without else 1e-3)
    for seed in range(5):
        torch.manual_seed(seed)
        other = CosineHead(0.3).build(dimensions, 4)
        optimizer = torch.optim.LBFGS(
            other.parameters(), max_iter=300, line_search_fn="strong_wolfe"
        )

        def closure(other=other, optimizer=optimizer):
            optimizer.zero_grad()
            loss = loss_of(other)
            loss.backward()
            return loss

        optimizer.step(closure)
        assert loss_of(head) <= loss_of(other) + 2e-3


def test_a_class_without_a_sample_is_never_predicted():
    x = torch.randn(30, 8)
    head = CosineHead().fit(x, torch.arange(30) % 3 * 2, 6)
    assert set(head(torch.randn(50, 8)).argmax(1).tolist()) <= {0, 2, 4}


def test_a_fitted_head_goes_on_training_with_the_backbone():
    head = CosineHead().fit(torch.randn(30, 8), torch.arange(30) % 3, 3)
    assert [name for name, each in head.named_parameters() if each.requires_grad] == ["means"]


def test_it_is_the_layer_of_the_nearest_class_mean_uncentred():
    fitted = NearestClassMean().fit(torch.randn(9, 5), torch.arange(9) % 3, 3)
    head = CosineHead().build(5, 3)
    head.load_state_dict(fitted.state_dict())
    x = torch.randn(4, 5)
    assert torch.equal(head(x), fitted(x))
