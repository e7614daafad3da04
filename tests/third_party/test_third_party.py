"""Other people's plugins: installed, found, checked; and what is said about broken ones."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from automl_xfer.cli.plugins import plugins_group
from automl_xfer.errors import ConformanceError

HERE = Path(__file__).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A fresh virtual environment with the example and a package that `plugins new` wrote.

    What is installed here is seen there too, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("third-party")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    (site,) = (folder / "venv").rglob("site-packages")
    seen = sysconfig.get_path("purelib")
    (site / "current.pth").write_text(f"import site; site.addsitedir({seen!r})\n")

    def run(*arguments: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [python, "-m", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=check, timeout=240, cwd=folder
        )

    # A copy: building leaves files beside the sources.
    shutil.copytree(HERE / "automl-xfer-example", folder / "automl-xfer-example")
    new = ["new", "head", "third-party-head", "--directory", str(folder)]
    assert CliRunner().invoke(plugins_group, new).exit_code == 0
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    packages = [folder / "automl-xfer-example", folder / "automl-xfer-third-party-head"]
    subprocess.run([*pip, *offline, *packages], check=True, timeout=240)
    return folder, run


@pytest.mark.slow
def test_an_installed_plugin_is_found_by_its_entry_point(environment: tuple[Path, Run]) -> None:
    _, run = environment
    shown = run("automl_xfer", "plugins", "show", "mean-matching").stdout
    assert "alignment/mean-matching  (example 2.5.0)" in shown
    assert "weight = 1.0  0.1 to 10.0, logarithmic" in shown


@pytest.mark.slow
def test_an_installed_plugin_passes_the_checks(environment: tuple[Path, Run]) -> None:
    _, run = environment
    checked = run("automl_xfer", "plugins", "check", "alignment/mean-matching", check=False)
    assert checked.returncode == 0, checked.stderr
    lines = checked.stdout.splitlines()
    assert len(lines) > 10
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.slow
def test_a_plugins_own_tests_pass_where_it_is_installed(environment: tuple[Path, Run]) -> None:
    folder, run = environment
    packages = [folder / "automl-xfer-example", folder / "automl-xfer-third-party-head"]
    tests = [package / "tests" for package in packages]
    done = run("pytest", "-q", "-p", "no:cacheprovider", *tests, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "sentences"),
    [
        (
            "vector_loss",
            [
                "alignment 'vector-loss' fails 'loss is a finite scalar for unequal batches': "
                "the loss of 12 source and 7 target images has shape (16,)",
            ],
        ),
        (
            "default_out_of_range",
            ["'local:default_out_of_range'", "threshold must be between 0.5 and 1.0, not 1.5"],
        ),
        (
            "wrong_logits",
            [
                "head 'with-background' fails 'docstring begins with a summary': write a docstring",
                "head 'with-background' fails 'built module gives logits': "
                "the built module's output has shape (45, 4); it must be (45, 3)",
            ],
        ),
    ],
)
def test_a_broken_plugin_fails_with_what_is_wrong(file: str, sentences: list[str]) -> None:
    result = CliRunner().invoke(plugins_group, ["check", str(HERE / "broken" / f"{file}.py")])
    assert result.exit_code == 1
    assert isinstance(result.exception, ConformanceError)
    for sentence in sentences:
        assert sentence in str(result.exception)
