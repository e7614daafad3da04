import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import automl_xfer

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {"automl_xfer": "automl_xfer", "plugins": "automl_xfer_plugins"}


def sources() -> list[str]:
    """Every file of the packages, by the name it has once installed."""
    return sorted(
        "/".join((FOLDERS[path.relative_to(ROOT).parts[0]], *path.relative_to(ROOT).parts[1:]))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def test_the_package_list_names_every_folder_that_holds_python() -> None:
    folders = {
        name.rpartition("/")[0].replace("/", ".") for name in sources() if name.endswith(".py")
    }
    assert folders == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_every_package_has_an_init_file() -> None:
    names = set(sources())
    for package in PYPROJECT["tool"]["setuptools"]["packages"]:
        assert package.replace(".", "/") + "/__init__.py" in names


def test_the_version_is_the_same_in_both_places() -> None:
    assert PYPROJECT["project"]["version"] == automl_xfer.__version__


def test_first_party_plugins_come_through_the_public_entry_point() -> None:
    (builtin,) = (e for e in metadata.entry_points(group="automl_xfer") if e.name == "builtin")
    assert builtin.load().__name__ == "automl_xfer_plugins"


def test_the_command_is_installed() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="automl-xfer")
    assert callable(command.load())


@pytest.mark.slow
def test_the_wheel_holds_every_source_file(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, checkout / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    build = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet")
    subprocess.run([*build, "--wheel-dir", tmp_path, checkout], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == set(sources())
