"""Every hook is documented, typed, collected and exercised by a test."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from automl_xfer import hookimpl
from automl_xfer.cli import plugin_templates
from automl_xfer.cli.main import cli
from automl_xfer.components import StrategySketch
from automl_xfer.plugin import hookspecs
from automl_xfer.plugin.catalog import HOOKS
from automl_xfer.plugin.manager import make_manager

TESTS = Path(__file__).parents[1]
SPECS: dict[str, Callable[..., object]] = {
    name: made for name, made in vars(hookspecs).items() if name.startswith(("register_", "after_"))
}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_hook_is_documented_and_typed(name: str) -> None:
    signature = inspect.signature(SPECS[name])
    assert (SPECS[name].__doc__ or "").strip().endswith(".")
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_hook_is_exercised_by_a_test(name: str) -> None:
    by_axis = {hook for hook, _ in HOOKS.values()}  # tests/plugin/test_plugins_new.py: each axis
    files = (path for path in TESTS.rglob("test_*.py") if "third_party" not in path.parts)
    named = [path.name for path in files if name in path.read_text(encoding="utf-8")]
    assert named or name in by_axis


def test_plugins_new_has_a_template_for_every_hook_that_registers_a_component() -> None:
    templates = {
        axis: (template.hook, template.base) for axis, template in plugin_templates.KINDS.items()
    }
    assert templates == {axis: (hook, base.__name__) for axis, (hook, base) in HOOKS.items()}


def test_a_plugin_adds_a_command_and_strategies() -> None:
    sketch = StrategySketch({"head": {"name": "linear"}})

    def add(cli: click.Group) -> None:
        cli.add_command(click.Command("greet"))

    plugin = SimpleNamespace(
        register_commands=hookimpl(add), register_strategies=hookimpl(lambda: [sketch])
    )
    loaded, group = make_manager(entry_points=False), click.Group()
    loaded.register(plugin, "mine", "1.0")
    assert loaded.call("register_strategies") == [("mine", [sketch])]
    loaded.call("register_commands", cli=group)
    assert list(group.commands) == ["greet"]
    assert "greet" not in cli.commands
    assert loaded.problems == []
