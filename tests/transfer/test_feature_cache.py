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
    monkeypatch.setattr(cache_folder, "_MOST_BYTES", 0)
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
