"""Weights that cannot be had: one sentence, and no search on untrained networks alone."""

import shutil

import pytest

from automl_xfer.errors import BackboneUnavailableError, ConfigError
from automl_xfer.search.child import StopRequested
from automl_xfer.search.events import Note
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


def test_a_folder_that_names_no_architecture_is_left_out_and_told(tmp_path, labelled):
    (tmp_path / "weights" / "odd").mkdir(parents=True)
    (tmp_path / "weights" / "odd" / "config.json").write_text("{}")
    told = []
    with pytest.raises(ConfigError, match="holds no model"):
        run_search(options(tmp_path, labelled, tmp_path / "weights"), told.append)
    notes = [event.message for event in told if isinstance(event, Note)]
    assert len([note for note in notes if "odd" in note and "left out" in note]) == 1


def test_a_stop_while_the_images_are_read(tmp_path, labelled, weights_dir):
    with pytest.raises(StopRequested, match="the same command starts again"):
        run_search(options(tmp_path, labelled, weights_dir), should_stop=lambda: True)


def test_no_search_begins_when_no_pretrained_backbone_can_be_loaded(
    tmp_path, labelled, weights_dir
):
    weights = tmp_path / "weights"
    shutil.copytree(weights_dir, weights)
    file = weights / "toy" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    told = []
    with pytest.raises(BackboneUnavailableError, match="no pretrained backbone is left") as raised:
        run_search(options(tmp_path, labelled, weights), told.append)
    assert f"{weights / 'toy'} cannot be loaded" in str(raised.value)
    assert not [event for event in told if isinstance(event, Note)]  # the error says it
