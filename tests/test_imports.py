"""What must not be loaded: torch costs seconds, and `--help` and a report need none of it."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm")
COMMANDS = (
    "search",
    "inspect",
    "leaderboard",
    "studies",
    "plugins",
    "predict",
    "dashboard",
    "demo",
)


def heavy_modules_after(code: str) -> set[str]:
    """Run `code` in a fresh interpreter and return which heavy packages it loaded."""
    script = f"import sys\n{code}\nprint('loaded', *(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()) - {"loaded"}


def test_heavy_modules_are_noticed() -> None:
    assert "torch" in heavy_modules_after("import torch")


def test_importing_the_package_loads_no_torch() -> None:
    assert heavy_modules_after("import automl_xfer") == set()


@pytest.mark.parametrize("package", ["study", "report"])
def test_reading_a_study_loads_no_torch(package: str) -> None:
    code = f"""
import importlib, pkgutil
import automl_xfer.{package} as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""
    assert heavy_modules_after(code) == set()


def test_no_help_loads_torch() -> None:
    code = f"""
from automl_xfer.cli import main
for command in ([], *([name] for name in {COMMANDS})):
    sys.argv = ["automl-xfer", *command, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
    assert "torch" not in sys.modules, command
"""
    assert heavy_modules_after(code) == set()
