import numpy as np
import pytest

from automl_xfer.components import StagedModel
from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer import cache_folder
from automl_xfer.transfer.feature_cache import FeatureCache


@pytest.fixture
def model():
    from torch import nn

    mean = std = (0.5, 0.5, 0.5)
    return StagedModel([nn.Conv2d(3, 4, 3)], nn.Flatten(), 4 * 36, mean=mean, std=std)


def test_making_room_deletes_old_features_and_never_the_decoded_images(
    tmp_path, model, monkeypatch
):
    monkeypatch.setattr(cache_folder, "_MOST_BYTES", 1000)  # one file has 992
    images = tmp_path / "images.npy"  # beside the features, as in a study
    np.save(images, np.zeros((3, 8, 8, 3), np.uint8))
    cache = FeatureCache(tmp_path)
    cache.features(model, ImageSet(images, "images", None), "cpu")
    first = set(tmp_path.glob("*.npy")) - {images}
    cache.features(model, ImageSet(images, "images", None), "cpu", flip=True)
    left = set(tmp_path.glob("*.npy"))
    assert images in left
    assert len(first) == 1
    assert not first & left


def test_a_file_larger_than_the_folder_may_hold_is_used_and_not_kept(tmp_path, model, monkeypatch):
    monkeypatch.setattr(cache_folder, "_MOST_BYTES", 10)
    images = tmp_path / "images.npy"
    np.save(images, np.ones((3, 8, 8, 3), np.uint8))
    found = FeatureCache(tmp_path / "c").features(model, ImageSet(images, "images", None), "cpu")
    assert found.shape == (3, 144)
    assert not list((tmp_path / "c").iterdir())


def test_a_full_disk_costs_the_cache_and_not_the_features(tmp_path, model, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    images = tmp_path / "images.npy"
    np.save(images, np.ones((3, 8, 8, 3), np.uint8))
    cache = FeatureCache(tmp_path / "c")
    monkeypatch.setattr(cache_folder.os, "fsync", full)
    assert cache.features(model, ImageSet(images, "images", None), "cpu").shape == (3, 144)
    assert not list((tmp_path / "c").iterdir())
