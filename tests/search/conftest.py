"""A small real study: drawn images, a toy backbone in timm's local layout, a real database."""

import json

import numpy as np
import pytest
from PIL import Image

from automl_xfer.search.options import SearchOptions

CLASSES = ("left", "top")


def draw(folder, label, n, seed, colour=(0, 0, 0)):
    """Write n PNG files of one class: a bright left half or a bright top."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, CLASSES.index(label)])
    for number in range(n):
        pixels = random.integers(0, 70, (40, 40, 3)) + np.array(colour)
        half = np.s_[:, :20] if label == "left" else np.s_[:20]
        pixels[half] += 110
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")


def class_folders(root, n, seed, colour=(0, 0, 0)):
    """Draw a folder of n images for each class."""
    for label in CLASSES:
        draw(root / label, label, n, seed, colour)
    return root


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory):
    """One untrained small ResNet in timm's local layout, standing in for a pretrained model."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "toy"
    folder.mkdir()
    model = timm.create_model("test_resnet", num_classes=0)
    cfg = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.25] * 3}
    config = {"architecture": "test_resnet", "num_classes": 0, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder.parent


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Class folders, ten images each."""
    return class_folders(tmp_path_factory.mktemp("target"), 10, 0)


@pytest.fixture(scope="session")
def similar(tmp_path_factory):
    """Other images of the same domain as `labelled`."""
    return class_folders(tmp_path_factory.mktemp("similar"), 9, 5)


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """Another domain: the same shapes on a red ground."""
    return class_folders(tmp_path_factory.mktemp("source"), 15, 1, (70, 0, 0))


@pytest.fixture(scope="session")
def unlabelled(tmp_path_factory):
    """A flat folder: no target label exists."""
    root = tmp_path_factory.mktemp("flat")
    for label in CLASSES:
        draw(root / "tmp", label, 12, 2)
        for path in (root / "tmp").iterdir():
            path.rename(root / f"{label}-{path.name}")
        (root / "tmp").rmdir()
    return root


@pytest.fixture
def options(tmp_path, labelled, weights_dir):
    return SearchOptions(
        target=str(labelled),
        study="s",
        studies_dir=str(tmp_path / "studies"),
        weights_dir=str(weights_dir),
        time_limit=180.0,
        trials=5,
        image_size=32,
        choices={"optimization": ("closed-form", "adamw")},
    )
