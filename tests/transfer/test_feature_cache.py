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


def test_many_small_files_do_not_have_the_folder_listed_for_each(tmp_path, monkeypatch):
    listed = []
    entries = FeatureCache.entries
    monkeypatch.setattr(FeatureCache, "entries", lambda self: listed.append(1) or entries(self))
    monkeypatch.setattr(cache_folder, "_MOST_BYTES", 100_000)
    cache = FeatureCache(tmp_path)
    for number in range(100):
        cache.write(tmp_path / f"features-{number}.npy", lambda path: path.write_bytes(bytes(3000)))
    assert sum(path.stat().st_size for path in tmp_path.glob("features-*")) <= 101_000
    listed.clear()
    for number in range(100):
        cache.write(tmp_path / f"features-{number}.bin", lambda path: path.write_bytes(bytes(100)))
    assert len(listed) == 10  # every hundredth of the limit


def test_another_network_with_the_same_weights_has_features_of_its_own(tmp_path):
    from torch import nn

    images = tmp_path / "images.npy"
    np.save(images, np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3))
    cache, found = FeatureCache(tmp_path / "c"), []
    first = nn.Conv2d(3, 4, 3)
    for activation in (nn.Sigmoid(), nn.Tanh()):
        stages = [nn.Sequential(first, activation)]
        model = StagedModel(stages, nn.Flatten(), 144, mean=(0.5,) * 3, std=(0.5,) * 3)
        found.append(cache.features(model, ImageSet(images, "images", None), "cpu"))
    assert not np.allclose(*found, atol=1e-2)
