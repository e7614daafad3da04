"""Reading decoded images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer import pixels
from automl_xfer.transfer.pixels import read_pixels, resident_images


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    made = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", made)
    return ImageSet(tmp_path / "images.npy", "key")


def test_rows_are_read_in_their_order_in_channels_last_memory(images: ImageSet) -> None:
    rows = np.array([4, 0, 4])
    read = read_pixels(images, rows, "cpu")
    assert read.shape == (3, 3, 5, 4)
    assert read.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(read.permute(0, 2, 3, 1), torch.from_numpy(images.images[rows]))


def test_a_set_that_fits_stays_on_the_device(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_resident", {})
    held = resident_images(images.path, "cpu", free=4 * 6 * 5 * 4 * 3)
    assert held is not None
    assert torch.equal(held, torch.from_numpy(np.array(images.images)))
    assert resident_images(images.path, "cpu", free=0) is held


def test_a_set_that_does_not_fit_is_read_batch_by_batch(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_resident", {})
    assert resident_images(images.path, "cpu", free=4 * 6 * 5 * 4 * 3 - 1) is None
