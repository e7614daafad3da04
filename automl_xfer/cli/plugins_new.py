"""`automl-xfer plugins new`: a folder with a small working plugin, its test and its packaging."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from string import Template

import click

from automl_xfer.cli import plugin_templates
from automl_xfer.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command("new")
@click.argument("kind", type=click.Choice(sorted(plugin_templates.KINDS)), metavar="KIND")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where to make the folder automl-xfer-NAME; here by default.",
)
def new_plugin(kind: str, name: str, directory: Path) -> None:
    """Begin a plugin package with one working component NAME of the axis KIND.

    KIND is an axis: alignment, augmentation, backbone, freezing, head, optimization, regularizer,
    sources, transferability or validator. NAME is in small letters, words joined by '-'.
    """
    folder = directory / f"automl-xfer-{name}"
    _check_name(kind, name, folder)
    try:
        for path, text in package_files(kind, name).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror}; give another --directory"
        ) from error
    click.echo(f"{folder} holds a plugin with the {kind} {name!r}. Next:")
    click.echo(f"  pip install -e {folder}\n  automl-xfer plugins check {kind}/{name}")


def package_files(kind: str, name: str) -> dict[str, str]:
    """Path in the package's folder -> text."""
    template = plugin_templates.KINDS[kind]
    words = {
        "kind": kind,
        "name": name,
        "module": module_name(name),
        "made": _class_name(kind, name),
        "hook": template.hook,
        "base": template.base,
    }
    texts = {
        "pyproject.toml": plugin_templates.PYPROJECT,
        "README.md": plugin_templates.README,
        f"{words['module']}/__init__.py": plugin_templates.HOOKS,
        f"{words['module']}/component.py": template.component,
        "tests/test_component.py": plugin_templates.TEST,
    }
    return {path: Template(text).substitute(words) for path, text in texts.items()}


def module_name(name: str) -> str:
    """The package's import name; the prefix keeps it apart from other people's modules."""
    return f"automl_xfer_{name.replace('-', '_')}"


def _class_name(kind: str, name: str) -> str:
    words = name.removesuffix(f"-{kind}").split("-")
    return "".join(word.capitalize() for word in [*words, kind])


def _check_name(kind: str, name: str, folder: Path) -> None:
    """Raise ConfigError where the name is unfit or taken, or the folder is there already."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a plugin's name is in small letters, words joined by '-', not {name!r}; "
            "mean-matching would do"
        )
    if folder.exists():
        raise ConfigError(f"{folder} exists already; give another name or --directory")
    if find_spec(module_name(name)) is not None:
        raise ConfigError(f"a module {module_name(name)} is installed already; give another name")
    from automl_xfer.plugin.source import PluginSource  # imports torch

    _, catalog = PluginSource().load()
    if name in catalog.entries[kind]:
        entry = catalog.entries[kind][name]
        raise ConfigError(
            f"the {kind} {name!r} is taken by plugin {entry.plugin!r}; give another name"
        )
