"""Reading decoded images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer.pixels import read_pixels

_NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    made = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", made)
    return ImageSet(tmp_path / "images.npy", "key")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=_NEEDS_GPU)])
def test_rows_are_read_in_their_order_in_channels_last_memory(
    images: ImageSet, device: str
) -> None:
    rows = np.array([4, 0, 4])
    read = read_pixels(images, rows, device)
    assert read.device.type == device
    assert read.shape == (3, 3, 5, 4)
    assert read.is_contiguous(memory_format=torch.channels_last)
    read = read.cpu()
    assert torch.equal(read.permute(0, 2, 3, 1), torch.from_numpy(images.images[rows]))
