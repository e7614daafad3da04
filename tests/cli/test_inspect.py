"""`automl-xfer inspect` as a user meets it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from automl_xfer.cli.inspect import inspect_command
from automl_xfer.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for number, label in enumerate(["cat[1]", "cat[1]", "dog", "dog"]):
        path = tmp_path / "d" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.linear_gradient("L").rotate(90 * number).resize((64, 48))
        Image.merge("RGB", (image, image.rotate(90 * number + 45), image)).save(path)
    (tmp_path / "d" / "dog" / "bad.jpg").write_bytes(b"")
    return tmp_path / "d"


def run(*arguments):
    return CliRunner().invoke(inspect_command, [str(argument) for argument in arguments])


def test_table_and_findings(folder):
    result = run(folder)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert any("cat[1]" in line and "2" in line for line in lines)
    words = " ".join(result.output.split())
    assert "Target with labels, 2 classes" in words
    assert "warning: 1 image cannot be read and will not be used: d/dog/bad.jpg" in words


def test_json(folder):
    result = run(folder, "--source", folder.parent / "d" / ".." / "d2", "--json")
    assert isinstance(result.exception, DataError)
    report = json.loads(run(folder, "--json").stdout)
    assert [c["images"] for c in report["counts"]] == [2, 2]
    assert report["quarantined"] == [{"image": "d/dog/bad.jpg", "reason": "zero bytes"}]


def test_errors_travel(tmp_path):
    result = run(tmp_path / "nowhere")
    assert isinstance(result.exception, DataError)
    assert "nowhere does not exist" in str(result.exception)


def test_imports_no_torch():
    program = """
import sys
import automl_xfer.cli.inspect, automl_xfer.data
assert "torch" not in sys.modules and "sklearn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
