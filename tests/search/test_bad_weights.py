"""Weights that cannot be had: one sentence, and no search on untrained networks alone."""

import shutil

import pytest

from automl_xfer.errors import BackboneUnavailableError, ConfigError
from automl_xfer.search.options import SearchOptions
from automl_xfer.search.run import run_search


def options(tmp_path, labelled, weights):
    return SearchOptions(
        target=str(labelled),
        studies_dir=str(tmp_path / "studies"),
        weights_dir=str(weights),
        image_size=32,
        time_limit=60.0,
        device="cpu",
    )


def test_a_folder_without_weights_is_named(tmp_path, labelled):
    with pytest.raises(ConfigError, match=f"{tmp_path} holds no model in timm's local layout"):
        run_search(options(tmp_path, labelled, tmp_path))


def test_no_search_begins_when_no_pretrained_backbone_can_be_loaded(
    tmp_path, labelled, weights_dir
):
    weights = tmp_path / "weights"
    shutil.copytree(weights_dir, weights)
    file = weights / "toy" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BackboneUnavailableError, match="no pretrained backbone is left") as raised:
        run_search(options(tmp_path, labelled, weights))
    assert f"{weights / 'toy'} cannot be loaded" in str(raised.value)
