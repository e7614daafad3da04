"""The cosine head: its formula, what it ignores, and that gradient steps fit it."""

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


def test_full_batch_lbfgs_fits_it():
    """As the engine does on frozen features: a head without a closed form, and a small ridge."""
    torch.manual_seed(0)
    centres, labels = torch.randn(4, 20), torch.arange(80) % 4
    x = centres[labels] + 0.5 * torch.randn(80, 20)
    assert CosineHead().fit(x, labels, 4) is None
    head = CosineHead().build(20, 4)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(head(x), labels) + 1e-3 * head.means.square().sum()
        loss.backward()
        return loss

    before = cross_entropy(head(x), labels).item()
    optimizer.step(closure)
    assert cross_entropy(head(x), labels).item() < 0.05 < before
    assert (head(x).argmax(1) == labels).all()


def test_it_is_the_layer_of_the_nearest_class_mean_uncentred():
    fitted = NearestClassMean().fit(torch.randn(9, 5), torch.arange(9) % 3, 3)
    head = CosineHead().build(5, 3)
    head.load_state_dict(fitted.state_dict())
    x = torch.randn(4, 5)
    assert torch.equal(head(x), fitted(x))
