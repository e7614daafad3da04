"""Pixel methods against numpy written out, closed forms and invariances."""

import numpy as np
import pytest
import torch
from automl_xfer_plugins.alignment.colour_transfer import ColourTransfer, match_moments
from automl_xfer_plugins.alignment.domain_randomisation import DomainRandomisation
from automl_xfer_plugins.alignment.fda import FourierDomainAdaptation, swap_amplitudes
from automl_xfer_plugins.alignment.histogram_matching import HistogramMatching, match_histograms
from automl_xfer_plugins.alignment.pixels import random_partners, to_pixels

SOMETIMES = [ColourTransfer(0.3), HistogramMatching(0.3)]
PAIRED = [FourierDomainAdaptation(0.05), ColourTransfer(1.0), HistogramMatching(1.0)]
METHODS = [*PAIRED, *SOMETIMES, DomainRandomisation()]


@pytest.fixture
def images():
    """(6, 3, 24, 33) source and (4, 3, 24, 33) target, smooth and of other colours."""
    torch.manual_seed(0)
    coarse = torch.rand(10, 3, 6, 8) * (0.3 + 0.7 * torch.rand(10, 3, 1, 1)) * 255
    fine = torch.nn.functional.interpolate(coarse, (24, 33), mode="bilinear")
    return fine[:6].to(torch.uint8), (255 - fine[6:]).to(torch.uint8)


def by_name(method):
    return method.name


def shifted_swap(source, target, beta):
    """The paper's way: centred spectra, a square of amplitudes, one channel."""
    height, width = source.shape
    first, second = (np.fft.fftshift(np.fft.fft2(x)) for x in (source, target))
    amplitude = np.abs(first)
    b, y, x = int(np.floor(beta * min(height, width))), height // 2, width // 2
    amplitude[y - b : y + b + 1, x - b : x + b + 1] = np.abs(second)[
        y - b : y + b + 1, x - b : x + b + 1
    ]
    back = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * np.angle(first))))
    assert np.abs(back.imag).max() < 1e-9
    return back.real


@pytest.mark.parametrize("beta", [0.01, 0.05, 0.09])
@pytest.mark.parametrize("size", [(24, 24), (25, 40), (40, 25)])
def test_fda_is_the_papers_swap_of_the_centred_square(size, beta):
    torch.manual_seed(0)
    source, target = (torch.rand(2, 3, *size, dtype=torch.float64) * 255 for _ in range(2))
    ours = swap_amplitudes(source, target, beta).numpy()
    for n, channel in np.ndindex(2, 3):
        expected = shifted_swap(source[n, channel].numpy(), target[n, channel].numpy(), beta)
        assert np.allclose(ours[n, channel], expected, atol=1e-8)


def test_fda_of_a_small_window_moves_the_mean_only(images):
    source, target = images[0][:4].float(), images[1].float()
    means = [x.mean((2, 3), keepdim=True) for x in (source, target)]
    moved = swap_amplitudes(source, target, 0.01)  # 0.01 * 24 < 1: the constant part alone
    assert torch.allclose(moved, source - means[0] + means[1], atol=1e-2)


@pytest.mark.parametrize("method", PAIRED, ids=by_name)
def test_images_of_the_same_look_stay_as_they_are(method, images):
    one = images[0][:1]
    assert torch.equal(method.transform_source(one, one), one)


def test_moments_become_the_partners(images):
    source, target = images[0][:4].float(), images[1].float()
    matched = match_moments(source, target).numpy()
    for n, channel in np.ndindex(4, 3):
        x, goal = source[n, channel].numpy(), target[n, channel].numpy()
        expected = goal.std() * (x - x.mean()) / x.std() + goal.mean()
        assert np.allclose(matched[n, channel], expected, atol=1e-2)


def test_a_flat_image_takes_the_partners_mean_colour(images):
    flat = torch.full((1, 3, 24, 33), 9, dtype=torch.uint8)
    changed = ColourTransfer(1.0).transform_source(flat, images[1][:1])
    means = images[1][:1].float().mean((2, 3), keepdim=True).round()
    assert torch.equal(changed, means.expand_as(changed).to(torch.uint8))


def test_values_outside_the_range_are_cut_and_not_wrapped():
    values = torch.tensor([-3.0, 0.4, 254.6, 300.0])
    assert to_pixels(values).tolist() == [0, 0, 255, 255]


def matched_by_rank(source, target):
    """One channel: a pixel takes the target's value of the same rank, ties the last of them."""
    goal = np.sort(target.ravel())
    ranks = np.array([(source <= value).sum() for value in source.ravel()])
    positions = -(-ranks * goal.size // source.size) - 1  # ceiling, from 0
    return goal[positions].reshape(source.shape)


@pytest.mark.parametrize("size", [(12, 10), (7, 9)])
def test_histograms_are_matched_by_rank(size):
    random = np.random.default_rng(0)
    source = (random.beta(2, 5, size=(3, 3, 12, 10)) * 60).astype(np.uint8)  # many ties
    target = (random.beta(5, 1, size=(3, 3, *size)) * 255).astype(np.uint8)
    ours = match_histograms(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    for n, channel in np.ndindex(3, 3):
        expected = matched_by_rank(source[n, channel], target[n, channel])
        assert np.array_equal(ours[n, channel], expected)


def test_image_of_distinct_values_takes_the_targets_histogram_exactly():
    torch.manual_seed(0)
    source = torch.stack([torch.randperm(256) for _ in range(3)]).view(1, 3, 16, 16).byte()
    target = (torch.rand(1, 3, 16, 16).square() * 255).byte()
    matched = match_histograms(source, target).flatten(2)
    assert torch.equal(matched.sort(2).values, target.flatten(2).sort(2).values)


def test_histogram_matching_sees_the_order_of_the_levels_only(images):
    source, target = images[0][:4], images[1]
    darker = (source.float() / 255).mul(120).add(3).to(torch.uint8)
    curved = (darker.float() * 2).to(torch.uint8)  # strictly rising in darker
    assert torch.equal(match_histograms(darker, target), match_histograms(curved, target))


def test_partners_are_drawn_for_each_image_from_all_targets():
    torch.manual_seed(0)
    target = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    drawn = random_partners(torch.zeros(500, 3, 2, 2), target)[:, 0, 0, 0]
    counts = torch.bincount(drawn.long(), minlength=5)
    assert counts.min() > 70 and counts.max() < 130


@pytest.mark.parametrize("method", SOMETIMES, ids=by_name)
def test_images_change_as_often_as_asked(method, images):
    torch.manual_seed(0)
    many = images[0][:1].expand(600, -1, -1, -1)
    changed = method.transform_source(many, images[1])
    share = (changed != many).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_source_images_keep_kind_and_shape_and_follow_the_global_seed(method, images):
    source, target = images
    before, results = source.clone(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(method.transform_source(source, target))
    assert results[0].dtype == torch.uint8 and results[0].shape == source.shape
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert torch.equal(source, before)


def test_flat_grey_image_only_changes_brightness_within_the_jitter(images):
    torch.manual_seed(0)
    grey = torch.full((200, 3, 8, 8), 100, dtype=torch.uint8)
    values = DomainRandomisation(0.3).transform_source(grey, images[1]).flatten(1).float()
    assert torch.equal(values.min(1).values, values.max(1).values)
    assert 69 <= values.min() < 75 and 125 < values.max() <= 130


def test_each_image_draws_its_own_mirror_and_box(images):
    torch.manual_seed(0)
    ramp = torch.linspace(60, 160, 32).byte().expand(200, 3, 32, 32)
    changed = DomainRandomisation(0.1, 0.0).transform_source(ramp, images[1]).float()
    slope = (changed[..., -1] - changed[..., 0]).mean((1, 2))
    assert 0.35 < (slope < 0).float().mean() < 0.65
    # Of 100 levels a box shows between sqrt(0.7 * 3/4) and all; brightness, contrast move 10 %.
    assert 0.72 * 100 * 0.9**2 - 5 < slope.abs().min() < 85
    assert 95 < slope.abs().max() < 100 * 1.1**2 + 1


def test_grey_images_come_as_often_as_asked():
    torch.manual_seed(0)
    red = torch.tensor([200, 30, 60]).byte().view(1, 3, 1, 1).expand(400, 3, 6, 6)
    changed = DomainRandomisation(0.1, 0.4).transform_source(red, red[:1]).int()
    share = ((changed - changed[:, :1]) == 0).flatten(1).all(1).float().mean().item()
    assert share == pytest.approx(0.4, abs=0.08)
