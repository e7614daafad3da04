"""`plugins check`: a line per check, sentences and exit code 1 for what fails."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from automl_xfer.cli.plugins import plugins_group
from automl_xfer.errors import ComponentError, ConformanceError

TWO = '''
from dataclasses import dataclass
from automl_xfer import hookimpl
from automl_xfer.components import Validator


@dataclass(frozen=True)
class Sure(Validator):
    """Mean probability of the predicted class."""

    name = "sure"

    def score(self, predictions):
        return float(predictions.target.max(axis=1).mean())


@dataclass(frozen=True)
class Infinite(Sure):
    """Likes everything."""

    name = "infinite"

    def score(self, predictions):
        return float("inf")


@hookimpl
def register_validators():
    return [Sure, Infinite]
'''


def check(*arguments: str) -> Result:
    return CliRunner().invoke(plugins_group, ["check", *arguments])


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file with a sound and a broken component, beside a file that cannot be imported."""
    (tmp_path / "two.py").write_text(TWO)
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    return tmp_path / "two.py"


def test_every_component_of_a_file_is_checked(two: Path) -> None:
    result = check(str(two))
    assert result.exit_code == 1
    marks = {tuple(line.split(maxsplit=2)) for line in result.stdout.splitlines()}
    assert ("ok", "validator/sure", "score is finite or nan") in marks
    assert ("FAIL", "validator/infinite", "score is finite or nan") in marks
    assert [title for mark, title, _ in marks if mark == "FAIL"] == ["validator/infinite"]
    assert str(result.exception) == (
        "validator 'infinite' fails 'score is finite or nan': with all there can be it is inf; "
        "return NaN where nothing can be said"
    )


def test_the_command_exits_with_1_and_prints_the_sentence(two: Path) -> None:
    command = [sys.executable, "-m", "automl_xfer", "plugins", "check", str(two)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: validator 'infinite' fails")
    assert "Traceback" not in done.stderr


def test_a_name_is_looked_up_in_the_catalog(two: Path) -> None:
    result = check("validator/sure", "--plugins-dir", str(two.parent))
    assert result.exit_code == 0
    assert "FAIL" not in result.stdout
    with pytest.raises(ComponentError, match="'sure'"):
        CliRunner().invoke(
            plugins_group,
            ["check", "suer", "--plugins-dir", str(two.parent)],
            catch_exceptions=False,
        )


def test_a_class_without_defaults_is_checked_as_a_class_and_says_so() -> None:
    result = check("backbone/scratch")
    assert result.exit_code == 0
    [skipped] = [line for line in result.stdout.splitlines() if line.startswith("skip")]
    assert "model has no default" in skipped


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
        ("x = 1\n", "implements no hook"),
        (TWO.replace("[Sure, Infinite]", "[]"), "registers no component"),
        (TWO.replace("frozen=True", "frozen=False"), "frozen"),
        (None, "there is no file"),
    ],
)
def test_a_file_that_offers_nothing_is_an_error(
    text: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    result = check(str(path))
    assert isinstance(result.exception, ConformanceError)
    assert words in str(result.exception)
