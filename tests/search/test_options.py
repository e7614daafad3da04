"""What a study file holds is what it gives back."""

import pytest

from automl_xfer.errors import ConfigError
from automl_xfer.search.options import SearchOptions, read_study_file, write_study_file


@pytest.mark.parametrize("compiles", [True, False])
def test_a_study_file_gives_back_the_options(tmp_path, compiles):
    options = SearchOptions(
        target='a "b"\\c',
        source=("s1", "s2"),
        time_limit=90.0,
        trials=3,
        max_latency_ms=20.5,
        compile=compiles,
        choices={"head": ("linear", "mlp")},
    )
    write_study_file(options, tmp_path / "study.toml")
    assert SearchOptions.from_dict(read_study_file(tmp_path / "study.toml")) == options


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"compile": 1}, "compile must be true or false, not 1"),
        ({"compile": "yes"}, "compile must be true or false, not 'yes'"),
        ({"seed": True}, "seed must be a whole number, not True"),
        ({"time_limit": True}, "time_limit must be a time such as '10m', not True"),
    ],
)
def test_a_value_of_another_type_is_one_sentence(data, words):
    with pytest.raises(ConfigError, match=words):
        SearchOptions.from_dict({"target": "x", **data})
