"""Augmentation: shapes, bounds, one draw per image, labels that follow the pixels."""

import pytest
import torch
from automl_xfer_plugins.augmentation.aug_mix import AugMix
from automl_xfer_plugins.augmentation.colour_jitter import ColourJitter
from automl_xfer_plugins.augmentation.fgsm import FastGradientSign
from automl_xfer_plugins.augmentation.flip_crop import FlipCrop, flip_crop
from automl_xfer_plugins.augmentation.mix_style import MixStyle
from automl_xfer_plugins.augmentation.mixup_cutmix import MixupCutMix
from automl_xfer_plugins.augmentation.none import NoAugmentation
from automl_xfer_plugins.augmentation.progressive_resizing import ProgressiveResizing
from automl_xfer_plugins.augmentation.rand_augment import RandAugment
from automl_xfer_plugins.augmentation.trivial_augment import TrivialAugment
from automl_xfer_plugins.augmentation.weak_strong import WeakStrong

POLICIES = [
    FlipCrop(),
    TrivialAugment(),
    RandAugment(),
    MixupCutMix(),
    AugMix(),
    ColourJitter(),
    MixStyle(),
    FastGradientSign(),
    WeakStrong(),
    ProgressiveResizing(),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_image_gets_its_own_draw_and_the_seed_decides(policy):
    image = torch.randint(0, 256, (1, 3, 40, 48), dtype=torch.uint8)
    transform = policy.transform(32)
    torch.manual_seed(3)
    once = transform(image.expand(8, -1, -1, -1))
    torch.manual_seed(3)
    again = transform(image.expand(8, -1, -1, -1))
    assert once.shape == (8, 3, 32, 32)
    assert once.dtype == torch.uint8
    assert torch.equal(once, again)
    assert len({tuple(x.flatten().tolist()) for x in once}) == 8


def test_no_augmentation_is_the_identity():
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(NoAugmentation().transform(8)(images), images)


@pytest.mark.parametrize("image_size", [100, 160, 224, 225, 384])
@pytest.mark.parametrize("smallest", [0.45, 0.6, 0.75])
def test_images_grow_to_their_size_before_the_end(image_size, smallest):
    policy = ProgressiveResizing(smallest=smallest)
    sides = [policy.training_size(image_size, epoch / 20) for epoch in range(20)]
    assert sides == sorted(sides)
    assert sides[0] == pytest.approx(smallest * image_size, abs=8)
    assert len(set(sides)) >= 3
    assert sides[14:] == [image_size] * 6
    assert {policy.training_size(24, epoch / 20) for epoch in range(20)} == {24}
    assert {FlipCrop().training_size(224, epoch / 20) for epoch in range(20)} == {224}


def test_a_full_box_only_flips():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 9, 9), dtype=torch.uint8)
    out = flip_crop(images, 9, scale_min=1.0)
    kept = (out == images).flatten(1).all(1)
    flipped = (out == images.flip(3)).flatten(1).all(1)
    assert (kept | flipped).all()
    assert 8 < kept.sum() < 32


def test_boxes_have_the_area_and_ratio_they_promise():
    """On a ramp, the range of the values left is the side of the box."""
    torch.manual_seed(0)
    size, n = 100, 300
    ramp = torch.linspace(0, 250, size).expand(n, 1, size, size)
    images = torch.cat([ramp, ramp.transpose(2, 3), ramp], 1).to(torch.uint8)
    out = flip_crop(images, size, scale_min=0.25).float()
    width, height = ((x.amax((1, 2)) - x.amin((1, 2))) / 250 for x in (out[:, 0], out[:, 1]))
    area, ratio = width * height, width / height
    assert 0.23 < area.min() < 0.33 and 0.9 < area.max() <= 1.01
    assert area.mean().item() == pytest.approx(0.625, abs=0.04)
    assert ratio.min() > 0.72 and ratio.max() < 1.37
    corners = out[:, 1, 0, 0] / 250
    assert (corners > 0.3).any() and (corners < 0.05).any()  # boxes move about


def one_hot_images(n):
    """Image i is the constant i in a plane of its own channel; label i."""
    images = torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 16, 16)
    return images, torch.eye(n)


def test_mixed_labels_say_what_is_in_the_pixels():
    """Class i has value i, so the mean pixel of a mixture is the mean label."""
    images, labels = one_hot_images(6)
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        mixed, shares = MixupCutMix(alpha=1.0, probability=1.0).mix(images, labels, generator)
        assert torch.allclose(shares.sum(1), torch.ones(6))
        assert (shares >= 0).all()
        expected = shares @ torch.arange(6).float()
        assert torch.allclose(mixed.mean((1, 2, 3)), expected, atol=1e-4)


def test_both_kinds_of_mixing_happen_and_some_batches_stay():
    images, labels = one_hot_images(6)
    kinds = {"kept": 0, "mixup": 0, "cutmix": 0}
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        mixed, _ = MixupCutMix(alpha=1.0, probability=0.5).mix(images, labels, generator)
        if torch.equal(mixed, images):
            kinds["kept"] += 1
        else:
            kinds["mixup" if (mixed % 1 != 0).any() else "cutmix"] += 1
    assert 70 < kinds["kept"] < 130
    assert kinds["mixup"] > 25 and kinds["cutmix"] > 25


def test_mixing_follows_the_generator():
    images, labels = torch.randn(4, 3, 8, 8), torch.eye(4)
    policy = MixupCutMix(probability=1.0)
    first, second = (policy.mix(images, labels, torch.Generator().manual_seed(5)) for _ in "ab")
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
