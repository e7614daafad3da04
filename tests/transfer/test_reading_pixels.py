"""Reading decoded images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer import loader as loader_module
from automl_xfer.transfer.loader import BatchLoader
from automl_xfer.transfer.parts import Part
from automl_xfer.transfer.pixels import read_pixels, stays_on_device

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


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=_NEEDS_GPU)])
def test_images_that_stay_on_the_device_are_the_same_and_read_once(
    images: ImageSet, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    train = Part(images, np.array([5, 3, 0, 2]), labels[[5, 3, 0, 2]])
    others = Part(images, np.array([1, 4]))

    def epoch() -> list[torch.Tensor]:
        loader = BatchLoader({"target": train}, (others,), 2, 0, device)
        batches = [each for number in range(2) for each in loader.epoch(number)]
        return [
            each.values.cpu() for step, rest in batches for each in (step["target"].images, rest)
        ]

    monkeypatch.setattr(loader_module, "stays_on_device", lambda *_: False)
    read_anew = epoch()
    reads = []
    plain = loader_module.read_pixels
    monkeypatch.setattr(
        loader_module, "read_pixels", lambda *told: reads.append(told[1]) or plain(*told)
    )
    monkeypatch.setattr(loader_module, "stays_on_device", lambda *_: True)
    resident = epoch()
    assert [rows.tolist() for rows in reads] == [[0, 1, 2, 3, 4, 5]]
    assert len(resident) == len(read_anew) == 8
    for ours, theirs in zip(resident, read_anew, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("free", "stays"), [(3600, True), (3599, False)])
def test_images_stay_on_a_gpu_with_room_for_ten_times_as_many(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, free: int, stays: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    assert images.images.nbytes == 360
    assert stays_on_device(images, "cuda:0") is stays
    assert not stays_on_device(images, "cpu")
