"""Bad input at the command line: one sentence on stderr and exit code 2."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from automl_xfer.cli import cli, main


@pytest.fixture
def error(capsys):
    """Run the command line with bad input; the sentence that it ends with."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert ended.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 'x'", "Error: seed must be a whole number, not 'x'"),
        ("trials = true", "Error: trials must be a whole number, not True"),
        ("time_limit = [1]", "Error: time_limit must be a time such as '10m', not (1,)"),
        ("weights_dir = 3", "Error: weights_dir must be a text, not 3"),
        ("backbone = [3]", "Error: backbone must be a list of texts, not (3,)"),
        ("choices = 3", "Error: choices must be a table with a list of names for each axis, not 3"),
        ("[choices]\nhead = 3", "Error: choices must be a table"),
        ("time_limit = 'soon'", "Error: --time-limit must be a number with s, m, h or d"),
    ],
)
def test_a_value_of_the_wrong_type_in_a_study_file_is_named(error, tmp_path, text, words):
    file = tmp_path / "study.toml"
    file.write_text(f"target = 'x'\n{text}\n")
    assert error("search", "--config", file).startswith(words)


def test_one_text_stands_for_a_list_of_one():
    from automl_xfer.search.options import SearchOptions

    options = SearchOptions.from_dict(
        {"target": "x", "backbone": "resnet18", "choices": {"head": "linear"}}
    )
    assert options.backbone == ("resnet18",)
    assert options.choices == {"head": ("linear",)}


def test_a_study_file_that_cannot_be_written_is_named(error, tmp_path):
    file = tmp_path / "none" / "study.toml"
    assert f"cannot write the study file {file}" in error(
        "search", "--target", "x", "--save-config", file
    )


@pytest.mark.parametrize("text", ["[]", "{}", '"bundle"'])
def test_a_description_of_something_else_is_no_bundle(error, tmp_path, text):
    (tmp_path / "bundle.json").write_text(text)
    image = tmp_path / "a.png"
    image.write_bytes(b"x")
    said = error("predict", tmp_path, image, "--out", tmp_path / "out.csv")
    assert f"{tmp_path / 'bundle.json'} does not describe a bundle" in said


def test_a_binary_csv_to_predict_is_named(error, tmp_path):
    table = tmp_path / "images.csv"
    table.write_bytes(b"image\n\xff\xfe\0\n")
    said = error("predict", tmp_path, table, "--out", tmp_path / "out.csv")
    assert f"{table} is not text in UTF-8" in said


def test_a_short_row_of_a_csv_keeps_its_place(tmp_path):
    from automl_xfer.cli.predict import expand

    table = tmp_path / "images.csv"
    table.write_text("label,image\nx\ny,b.png\n")
    assert [given for given, _ in expand([str(table)])] == ["", "b.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_is_a_sentence(error):
    @cli.command("fill")
    def fill():
        Path("/dev/full").write_bytes(bytes(100_000))

    try:
        assert error("fill") == (
            "Error: the disk is full; free some space and run the same command again"
        )
    finally:
        del cli.commands["fill"]


def test_an_unreadable_image_is_named_once(tmp_path):
    from automl_xfer.bundle import Bundle

    broken = tmp_path / "a.png"
    broken.write_bytes(b"")
    description = SimpleNamespace(image_size=32)
    prediction = next(Bundle(description, (), "cpu").predict([broken]))
    assert prediction.problem == "zero bytes"


def test_a_demo_that_cannot_be_written_says_where(error, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert f"cannot be written to {file / 'demo-data'}" in error("demo", "--studies-dir", file)
