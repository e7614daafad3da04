import copy

import numpy as np
import pytest
import torch
from torch import nn

from automl_xfer.components import FusedModel, StagedModel, StageFeatures
from automl_xfer.data.image_set import ImageSet
from automl_xfer.transfer import cache_folder, feature_cache
from automl_xfer.transfer.feature_cache import FeatureCache, model_keys
from automl_xfer.transfer.model import will_not_change
from automl_xfer.transfer.pixels import read_pixels


@pytest.fixture
def model():
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


class LengthOne(StagedModel):
    """A plugin's own: more happens after the pooling."""

    def forward(self, images, start=0, stop=None):
        found = super().forward(images, start, stop)
        return found if stop is not None else nn.functional.normalize(found)


def staged(kind=StagedModel, crossing=None):
    torch.manual_seed(0)
    stages = [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.ReLU(), nn.Conv2d(4, 6, 3)),
        *([] if crossing is None else [crossing]),
        nn.ReLU(inplace=True),
    ]
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    mean = std = (0.5, 0.5, 0.5)
    return kind(stages, pool, 6, mean=mean, std=std).eval()


@pytest.fixture
def image_set(tmp_path):
    """Enough images for batch norms to be folded."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), np.uint8))
    return ImageSet(path, "images", None)


@pytest.mark.parametrize("kind", [StagedModel, LengthOne])
def test_one_pass_serves_every_reading_of_the_stages(tmp_path, image_set, monkeypatch, kind):
    model, passes, read = staged(kind), [], feature_cache.extract

    def counted(*given, **named):
        passes.append(given)
        return read(*given, **named)

    monkeypatch.setattr(feature_cache, "extract", counted)
    cache, pixels = FeatureCache(tmp_path / "c"), read_pixels(image_set, np.arange(70), "cpu")
    rows = np.array([3, 69, 5])
    readings = [StageFeatures(model, n) for n in (2, 3)] if kind is StagedModel else []
    for reading in (model, *readings, FusedModel([model, model])):
        found = np.asarray(cache.features(reading, image_set, "cpu"), np.float32)
        with torch.no_grad():
            expected = reading(reading.normalise(pixels)).numpy()
        np.testing.assert_allclose(found, expected, atol=4e-3, rtol=4e-3)
        some = cache.features(reading, image_set, "cpu", rows=rows)
        np.testing.assert_array_equal(some, found[rows].astype(np.float16))
    assert len(passes) == 1
    cache.features(StageFeatures(staged(crossing=nn.ReLU()), 9), image_set, "cpu")
    assert len(passes) == 2


def test_a_stage_that_puts_out_something_else_than_its_images_is_not_read(tmp_path, image_set):
    class Even(nn.Module):
        def forward(self, maps):
            return nn.functional.pad(maps, (0, 0, 0, 0, 0, 2))

    torch.manual_seed(0)
    stages = [nn.Conv2d(3, 6, 3), nn.Sequential(Even(), _Split(4)), _Join(4), nn.ReLU()]
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    mean = std = (0.5, 0.5, 0.5)
    model = StagedModel(stages, pool, 8, mean=mean, std=std).eval()
    assert StageFeatures(model, 4).widths == (6, 8, 8)
    found = FeatureCache(tmp_path / "c").features(StageFeatures(model, 4), image_set, "cpu")
    assert found.shape == (70, 22)


def test_a_kept_backbone_is_digested_once(model, monkeypatch):
    key = model_keys(model)
    will_not_change(model)
    with monkeypatch.context() as patch:
        patch.setattr(model, "state_dict", None)  # not asked for
        assert model_keys(model) == key
    changed = copy.deepcopy(model)
    for one in (changed, model):
        with torch.no_grad():
            one.stages[0].weight.add_(1.0)
        assert model_keys(one) != key  # noticed all the same


class _Split(nn.Module):
    """Parts of the channels as images of their own."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, maps):
        return maps.reshape(self.n * len(maps), -1, *maps.shape[2:])


class _Join(_Split):
    def forward(self, maps):
        return maps.reshape(len(maps) // self.n, -1, *maps.shape[2:])
