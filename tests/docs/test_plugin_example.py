"""docs/plugins.md: its example works as printed, and its tables name what exists."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from automl_xfer.cli.plugins import plugins_group
from automl_xfer.components import FreezingPolicy, ParameterInfo
from automl_xfer.plugin import hookspecs
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.space.facts import FACTS

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    """A folder with the example as the page prints it."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "biases_only.py").write_text(code, encoding="utf-8")
    return tmp_path


def example(plugins_dir: Path) -> type[FreezingPolicy]:
    loaded = make_manager(plugins_dir=plugins_dir, entry_points=False)
    catalog = build_catalog(loaded)
    assert loaded.problems == []
    return catalog.get("freezing", "biases-only")


def parameter(*, is_norm: bool = False, is_bias: bool = False) -> ParameterInfo:
    return ParameterInfo("weight", stage=0, n_stages=4, is_norm=is_norm, is_bias=is_bias)


def test_the_example_freezes_what_it_says(plugins_dir: Path) -> None:
    made = example(plugins_dir)
    assert made().is_trainable(parameter(is_bias=True), epoch=0)
    assert made().is_trainable(parameter(is_norm=True), epoch=0)
    assert not made().is_trainable(parameter(), epoch=0)
    without = made.from_dict({"name": "biases-only", "norm_layers": False})
    assert not without.is_trainable(parameter(is_norm=True), epoch=0)


def test_the_command_line_shows_the_example(plugins_dir: Path) -> None:
    shown = CliRunner().invoke(
        plugins_group, ["show", "biases-only", "--plugins-dir", str(plugins_dir)]
    )
    assert shown.exit_code == 0, shown.output
    assert "freezing/biases-only" in shown.output
    assert "norm_layers = True" in shown.output


def test_every_hook_is_on_the_page_and_no_other() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith(("register_", "after_"))}
    assert set(re.findall(r"`((?:register|after)_\w+)", PAGE)) == hooks


def test_every_fact_is_on_the_page_and_no_other() -> None:
    table = PAGE.split("| fact |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([\w-]+)`", table)) == set(FACTS)
