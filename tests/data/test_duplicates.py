"""Near duplicates: found after re-encoding, not among different pictures, fast."""

import io
import itertools
import time

import numpy as np
from PIL import Image

from automl_xfer.data.duplicates import (
    MAX_DIFFERENCE,
    MAX_DISTANCE,
    connected,
    near_pairs,
    perceptual_hashes,
)


def thumbnail(image):
    return np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))


def reencoded(image):
    stream = io.BytesIO()
    image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(stream, "JPEG", quality=50)
    return Image.open(stream)


def test_reencoded_copies_and_nothing_else(picture):
    originals = [picture(seed) for seed in range(60)]
    copies = [reencoded(image) for image in originals]
    pairs = near_pairs(np.stack([thumbnail(image) for image in originals + copies]))
    assert pairs == [(seed, seed + 60) for seed in range(60)]


def test_bands_find_what_comparing_all_pairs_finds():
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (40, 16, 16, 3))
    noisy = base[random.integers(0, 40, 300)] + random.integers(-6, 7, (300, 16, 16, 3))
    images = np.clip(noisy, 0, 255).astype(np.uint8)
    hashes = perceptual_hashes(images)
    flat = images.reshape(300, -1).astype(float)
    expected = [
        (i, j)
        for i, j in itertools.combinations(range(300), 2)
        if int(hashes[i] ^ hashes[j]).bit_count() <= MAX_DISTANCE
        and np.abs(flat[i] - flat[j]).mean() <= MAX_DIFFERENCE
    ]
    assert len(expected) > 100
    assert near_pairs(images) == expected


def test_different_digits_are_not_duplicates():
    from sklearn.datasets import load_digits

    digits = load_digits()
    scaled = (digits.images[:600] * 255 / 16).astype(np.uint8)
    images = np.stack([thumbnail(Image.fromarray(digit).convert("RGB")) for digit in scaled])
    assert near_pairs(images) == []


def test_ten_thousand_images_take_seconds():
    images = np.random.default_rng(0).integers(0, 256, (10_000, 16, 16, 3), dtype=np.uint8)
    images[5_000:5_500] = images[:500]
    start = time.perf_counter()
    assert len(near_pairs(images)) == 500
    assert time.perf_counter() - start < 10


def test_groups_join_through_shared_members():
    ids = connected(6, [[0, 1], [3, 4], [1, 5]])
    assert ids[0] == ids[1] == ids[5]
    assert ids[3] == ids[4]
    assert len(set(ids.tolist())) == 3
