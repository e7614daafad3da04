"""AugMix, colour jitter and the strong view: what they change, and by how much."""

import torch
from automl_xfer_plugins.alignment.domain_randomisation import DomainRandomisation
from automl_xfer_plugins.augmentation.aug_mix import AugMix
from automl_xfer_plugins.augmentation.colour_jitter import ColourJitter
from automl_xfer_plugins.augmentation.weak_strong import GREY, WeakStrong

from automl_xfer.components import AugmentationPolicy
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.space.facts import objections


def pictures(n, size=32):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8)


def plain(n, value, size=16):
    """Images of one colour, which no crop or flip changes."""
    return torch.tensor(value, dtype=torch.uint8).view(1, 3, 1, 1).expand(n, 3, size, size)


def distance(policy, images):
    """Mean change of a pixel; with the whole image as the box only colours can differ."""
    torch.manual_seed(0)
    varied = policy.transform(images.shape[3])(images)
    return (varied.float() - images.float()).abs().mean().item()


def test_more_strength_moves_colours_further():
    colours = plain(150, [200, 120, 40])
    changes = [distance(ColourJitter(strength=s), colours) for s in (0.05, 0.2, 0.5)]
    assert 0 < changes[0] < changes[1] / 2 and changes[1] < changes[2]


def test_every_tenth_image_turns_grey():
    torch.manual_seed(0)
    colours = plain(400, [200, 120, 40], size=4)
    varied = ColourJitter(strength=0.05).transform(4)(colours)
    grey = (varied == varied[:, :1]).flatten(1).all(1)
    assert 20 < grey.sum() < 65


def test_brightness_stays_within_its_strength():
    torch.manual_seed(0)
    light = ColourJitter(strength=0.25).transform(4)(plain(200, [200, 200, 200], size=4)).float()
    ratios = light.mean((1, 2, 3)) / 200  # contrast, saturation and hue leave a grey plane alone
    assert 0.73 < ratios.min() < 0.8 and 1.2 < ratios.max() < 1.26  # each step rounds down


def test_severity_drives_aug_mix():
    changes = [
        distance(AugMix(severity=s, scale_min=1.0), plain(60, [200, 120, 40])) for s in (1, 8)
    ]
    assert 0 < changes[0] < changes[1]


def test_the_strong_view_differs_more_than_the_weak_one():
    torch.manual_seed(0)
    policy = WeakStrong(scale_min=1.0)
    colours = plain(60, [200, 120, 40])
    assert torch.equal(policy.transform(16)(colours), colours)
    strong = policy.strong(16)(colours)
    assert strong.dtype == torch.uint8 and strong.shape == colours.shape
    assert (strong != colours).flatten(1).any(1).all()  # each has its square at least


def test_the_square_has_the_area_it_promises():
    """RandAugment may paint grey of its own: over many images the medians tell."""
    torch.manual_seed(0)
    policy = WeakStrong(num_ops=1, magnitude=3, hole=0.25)
    strong = policy.strong(64)(plain(120, [250, 5, 5], size=64))
    areas = (strong == GREY).all(1).float().mean((1, 2))
    assert areas.min() > 0.01 and areas.max() < 0.27
    assert 0.09 < areas.median() < 0.18


def test_two_views_are_those_of_weak_strong_among_the_first_party_policies():
    policies = build_catalog(make_manager()).classes["augmentation"]
    facts = frozenset({"trainable", "stages", "maps"})
    without = {name for name, made in policies.items() if not objections(made, facts)}
    assert without == policies.keys() - {"weak-strong"}
    two = {name for name, made in policies.items() if not objections(made, facts | {"two_views"})}
    assert two == {"weak-strong"}


def test_a_third_partys_policy_may_give_two_views():
    class Theirs(AugmentationPolicy):
        name = "theirs"

    assert not objections(Theirs, frozenset({"trainable", "two_views"}))


def test_colours_are_not_jittered_twice():
    facts = frozenset({"trainable"}) | DomainRandomisation.provides
    assert objections(ColourJitter, facts) == ("excludes 'randomised'",)
