import numpy as np
import pytest
from click.testing import CliRunner

from automl_xfer.cli.cache import cache_group
from automl_xfer.errors import ConfigError
from automl_xfer.transfer.cache_folder import CacheFolder


@pytest.fixture
def studies_dir(tmp_path):
    """A folder of studies whose cache holds an image file, features, activations and a leftover."""
    folder = CacheFolder(tmp_path / "studies" / ".cache")
    folder.directory.mkdir(parents=True)
    np.save(folder.directory / "0123abcd.npy", np.zeros((5, 8, 8, 3), np.uint8))
    for name in ("features-a.npy", "features-b.npy", "stages-a.npy"):
        folder.write_rows(folder.directory / name, 4, np.float16, [np.ones((4, 250))])
    (folder.directory / "features-x.part").write_bytes(b"being written")
    return tmp_path / "studies"


def run(*arguments):
    result = CliRunner().invoke(cache_group, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def names(studies_dir):
    return {path.name for path in (studies_dir / ".cache").iterdir()}


def test_show_counts_each_kind(studies_dir):
    told = run("show", "--studies-dir", studies_dir)
    rows = {line.split("  ")[0].strip(): line for line in told.splitlines()}
    assert " 1 " in rows["Decoded images"]
    assert " 2 " in rows["Features of backbones"] and "4.3 kB" in rows["Features of backbones"]
    assert " 1 " in rows["Activations of frozen stages"]
    assert "may take" in told


def test_clear_leaves_images_and_what_is_being_written(studies_dir):
    told = run("clear", "--studies-dir", studies_dir)
    assert "Deleted 3 files, 6.4 kB" in told
    assert names(studies_dir) == {"0123abcd.npy", "features-x.part"}
    assert "Deleted 0 files" in run("clear", "--studies-dir", studies_dir)
    run("clear", "--images", "--studies-dir", studies_dir)
    assert names(studies_dir) == {"features-x.part"}


def test_without_a_cache_it_says_where_to_look(tmp_path):
    result = CliRunner().invoke(cache_group, ["show", "--studies-dir", str(tmp_path)])
    assert isinstance(result.exception, ConfigError)
    assert "--studies-dir" in str(result.exception)
    assert not (tmp_path / ".cache").exists()
