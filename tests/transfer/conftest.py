"""Toy domains: bright and dark squares, small enough to train in a second."""

import json

import numpy as np
import pytest

from automl_xfer.components import BackboneRequest
from automl_xfer.data.image_set import ImageSet
from automl_xfer.plugin.source import PluginSource
from automl_xfer.space.compose import Space
from automl_xfer.transfer import finishing
from automl_xfer.transfer.context import FitContext
from automl_xfer.transfer.feature_cache import FeatureCache
from automl_xfer.transfer.model import KeptModels
from automl_xfer.transfer.parts import Part, TrainingParts

SIZE = 24


def toy_images(n: int, seed: int, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class 0 has a bright left half, class 1 a bright top; `shift` changes the domain's colour."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = random.integers(0, 60, (n, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        half = (slice(None), slice(0, SIZE // 2)) if label == 0 else (slice(0, SIZE // 2),)
        image[half] += 120
    images[..., 0] += shift
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """Each test begins as a process does, without networks that another one adapted."""
    monkeypatch.setattr(finishing, "_finished", KeptModels())


@pytest.fixture
def make_part(tmp_path):
    """A part with labels, stored as a real image set."""

    def make(n: int, seed: int, shift: int = 0, labelled: bool = True) -> Part:
        images, labels = toy_images(n, seed, shift)
        path = tmp_path / f"{n}-{seed}-{shift}.npy"
        np.save(path, images)
        part = Part.whole(ImageSet(path, path.stem, labels))
        return part if labelled else part.without_labels()

    return make


@pytest.fixture
def context(tmp_path):
    return FitContext("cpu", 0, FeatureCache(tmp_path / "cache"))


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory):
    """A folder in timm's local layout with an untrained small ResNet, as a pretrained model."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "toy"
    folder.mkdir()
    model = timm.create_model("resnet10t", num_classes=0)
    config = {
        "architecture": "resnet10t",
        "num_classes": 0,
        "pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.25] * 3},
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder.parent


@pytest.fixture(scope="session")
def catalog():
    return PluginSource().load()[1]


@pytest.fixture
def space(catalog, weights_dir):
    """A space over the toy backbone for a labelled target with a source and unlabelled images."""
    backbones = catalog.backbones(BackboneRequest(weights_dir=weights_dir))
    facts = frozenset({"target_labels", "source", "unlabelled"})
    return Space(catalog.classes, backbones, facts)


@pytest.fixture
def parts(make_part):
    target = make_part(16, 1)
    return TrainingParts(
        2, target, make_part(24, 2, 80), (target.without_labels(), make_part(20, 3, 0, False))
    )
