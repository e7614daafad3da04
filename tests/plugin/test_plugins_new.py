"""`plugins new` for every axis: what it writes is registered and passes the checks."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from automl_xfer.cli.plugin_templates import KINDS
from automl_xfer.cli.plugins import plugins_group
from automl_xfer.cli.plugins_new import package_files
from automl_xfer.errors import ConfigError
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.testing import check_component


def write(kind: str, name: str, folder: Path) -> None:
    for path, text in package_files(kind, name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_new_plugin_registers_a_component_that_passes_the_checks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"brand-new-{kind}"
    write(kind, name, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    [(plugin, module)] = project["entry-points"]["automl_xfer"].items()
    loaded = make_manager(entry_points=False)
    loaded.register(importlib.import_module(module), plugin, project["version"])
    made = build_catalog(loaded).get(kind, name)
    assert loaded.problems == []
    check_component(made)


def test_registering_a_new_plugin_imports_no_torch(tmp_path: Path) -> None:
    write("head", "brand-new", tmp_path)
    code = "import sys, automl_xfer_brand_new; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_written_is_formatted(kind: str, tmp_path: Path) -> None:
    write(kind, "brand-new", tmp_path)
    for command in (["check", "--select", "E,F,I,UP"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--line-length", "100", "--no-cache"]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def new(*arguments: str, folder: Path) -> Result:
    return CliRunner().invoke(plugins_group, ["new", *arguments, "--directory", str(folder)])


def test_the_command_writes_the_package_and_says_what_is_next(tmp_path: Path) -> None:
    result = new("head", "brand-new", folder=tmp_path / "made")
    assert result.exit_code == 0, result.output
    package = tmp_path / "made" / "automl-xfer-brand-new"
    written = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert written == set(package_files("head", "brand-new"))
    assert f"pip install -e {package}" in result.output
    assert "automl-xfer plugins check head/brand-new" in result.output


@pytest.mark.parametrize("name", ["Brand-New", "brand_new", "3d", "brand--new", "../brand", ""])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    result = new("head", name, folder=tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert repr(name) in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "automl-xfer-brand-new").mkdir()
    result = new("head", "brand-new", folder=tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert "exists already" in str(result.exception)
    assert list((tmp_path / "automl-xfer-brand-new").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [("alignment", "dann", "'dann' is taken by plugin 'builtin'"), ("head", "plugins", "module")],
)
def test_a_name_that_is_taken_is_refused(kind: str, name: str, words: str, tmp_path: Path) -> None:
    result = new(kind, name, folder=tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = new("head", "brand-new", folder=tmp_path / "file")
    assert isinstance(result.exception, ConfigError)
    assert "--directory" in str(result.exception)
