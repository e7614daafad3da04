"""docs/plugins.md: its examples work as printed, and its tables name what exists."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from automl_xfer.cli.plugins import plugins_group
from automl_xfer.components import AlignmentMethod, FreezingPolicy, ParameterInfo
from automl_xfer.plugin import hookspecs
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.space.facts import FACTS
from automl_xfer.testing import toy_batches

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    re.findall(
        r"`plugins/(\w+\.py)`:\n\n```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL
    )
)


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    """A folder with the examples as the page prints them."""
    for name, code in EXAMPLES.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def example(plugins_dir: Path, axis: str, name: str) -> type[Any]:
    loaded = make_manager(plugins_dir=plugins_dir, entry_points=False)
    catalog = build_catalog(loaded)
    assert loaded.problems == []
    return catalog.get(axis, name)


def parameter(*, is_norm: bool = False, is_bias: bool = False) -> ParameterInfo:
    return ParameterInfo("weight", stage=0, n_stages=4, is_norm=is_norm, is_bias=is_bias)


def test_the_example_freezes_what_it_says(plugins_dir: Path) -> None:
    made: type[FreezingPolicy] = example(plugins_dir, "freezing", "biases-only")
    assert made().is_trainable(parameter(is_bias=True), epoch=0)
    assert made().is_trainable(parameter(is_norm=True), epoch=0)
    assert not made().is_trainable(parameter(), epoch=0)
    without = made.from_dict({"name": "biases-only", "norm_layers": False})
    assert not without.is_trainable(parameter(is_norm=True), epoch=0)


def test_the_tutorial_is_short_and_its_loss_is_the_formula_of_its_docstring(
    plugins_dir: Path,
) -> None:
    assert len(EXAMPLES["mean_and_spread.py"].splitlines()) < 40
    made: type[AlignmentMethod] = example(plugins_dir, "alignment", "mean-and-spread")
    source, target = toy_batches()
    s, t = (batch.features.detach().double().numpy() for batch in (source, target))
    gaps = (s.mean(0) - t.mean(0)) ** 2 + (s.std(0) - t.std(0)) ** 2
    loss = made(weight=2.0).build(s.shape[1], 3)(source, target, 0.5)
    assert loss.item() == pytest.approx(2 * gaps.mean(), rel=1e-4)


@pytest.mark.parametrize("file", sorted(EXAMPLES))
def test_the_examples_pass_the_checks(file: str, plugins_dir: Path) -> None:
    checked = CliRunner().invoke(plugins_group, ["check", str(plugins_dir / file)])
    assert checked.exit_code == 0, checked.output
    assert set(EXAMPLES) == {"biases_only.py", "mean_and_spread.py"}


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
