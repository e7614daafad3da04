"""`automl-xfer plugins`: what is installed, what one component is and takes, and its own tools."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_xfer.cli.plugins_check import PLUGINS_DIR, check_plugin
from automl_xfer.cli.plugins_new import new_plugin
from automl_xfer.plugin.manager import PluginProblem, make_manager

if TYPE_CHECKING:
    from rich.console import Console

    from automl_xfer.components import Component
    from automl_xfer.plugin.catalog import Catalog, CatalogEntry

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("plugins")
def plugins_group() -> None:
    """Show the plugins found here and their components, check them, begin a new one."""


plugins_group.add_command(check_plugin)
plugins_group.add_command(new_plugin)


@plugins_group.command("list")
@PLUGINS_DIR
@_JSON
def list_plugins(plugins_dir: Path | None, as_json: bool) -> None:
    """List every component, and the plugins that were left out and why."""
    catalog, problems = _catalog(plugins_dir)
    rows = [
        _component(axis, name, entry)
        for axis, names in catalog.entries.items()
        for name, entry in names.items()
    ]
    if as_json:
        failed = [asdict(problem) for problem in problems]
        click.echo(json.dumps({"components": rows, "problems": failed}, indent=2, default=str))
        return
    _print_table(rows)
    for problem in problems:
        click.echo(f"warning: {problem.message}; it is left out", err=True)


@plugins_group.command("show")
@click.argument("name")
@PLUGINS_DIR
@_JSON
def show_plugin(name: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Show what the component NAME does, its parameters and what it requires.

    Where several axes have a component of that name, AXIS/NAME asks for one of them.
    """
    catalog, _ = _catalog(plugins_dir)
    short = name.rpartition("/")[2]
    found = [_component(axis, short, entry) for axis, entry in catalog.find(name).items()]
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    click.echo("\n\n".join(_describe(component) for component in found))


def _catalog(plugins_dir: Path | None) -> tuple[Catalog, list[PluginProblem]]:
    from automl_xfer.plugin.catalog import build_catalog  # imports torch

    loaded = make_manager(plugins_dir=plugins_dir)
    return build_catalog(loaded), loaded.problems


def _component(axis: str, name: str, entry: CatalogEntry) -> dict[str, Any]:
    """One component as plain data."""
    made = entry.component
    return {
        "axis": axis,
        "name": name,
        "plugin": entry.plugin,
        "version": entry.version,
        "description": getdoc(made) or "",
        "parameters": _parameters(made),
        "requires": sorted(made.requires),
        "excludes": sorted(made.excludes),
        "provides": sorted(made.provides),
    }


def _parameters(made: type[Component]) -> dict[str, dict[str, Any]]:
    """Parameter -> default and range; a field that is not searched has no range."""
    ranges = made.parameter_ranges()
    return {
        each.name: {
            "default": None if each.default is MISSING else each.default,
            "range": asdict(ranges[each.name]) if each.name in ranges else None,
        }
        for each in fields(made)
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("axis", "name", "plugin", "parameters", "requires", box=None)
    for row in rows:
        searched = [name for name, parameter in row["parameters"].items() if parameter["range"]]
        owner = f"{row['plugin']} {row['version']}"
        needs = ", ".join(row["requires"])
        table.add_row(row["axis"], row["name"], owner, ", ".join(searched), needs)
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)


def _describe(component: dict[str, Any]) -> str:
    """A component in words, for people."""
    lines = [
        f"{component['axis']}/{component['name']}  ({component['plugin']} {component['version']})",
        "",
        component["description"],
        "",
    ]
    for name, parameter in component["parameters"].items():
        lines.append(f"  {name} = {parameter['default']}  {_range(parameter['range'])}".rstrip())
    for words in ("requires", "excludes", "provides"):
        if component[words]:
            lines.append(f"  {words}: {', '.join(component[words])}")
    return "\n".join(lines).rstrip()


def _range(allowed: dict[str, Any] | None) -> str:
    if allowed is None:
        return "(not searched)"
    if "values" in allowed:
        return f"one of {', '.join(map(str, allowed['values']))}"
    return f"{allowed['low']} to {allowed['high']}{', logarithmic' if allowed['log'] else ''}"
