"""The manager: what loads, what is left out, and what it says about it."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from automl_xfer import hookimpl
from automl_xfer.errors import PluginError
from automl_xfer.plugin.manager import LoadedPlugins, make_manager

HEADER = "from automl_xfer import hookimpl\n"
GOOD = HEADER + "@hookimpl\ndef register_heads():\n    return []\n"


def load(folder: Path, **files: str) -> LoadedPlugins:
    """Load the given files as local plugins, and no installed ones."""
    for stem, text in files.items():
        (folder / f"{stem}.py").write_text(text)
    return make_manager(plugins_dir=folder, entry_points=False)


def test_a_local_file_is_registered_under_its_stem(tmp_path):
    loaded = load(tmp_path, good=GOOD)
    assert loaded.problems == []
    assert list(loaded.versions) == ["local:good"]
    assert loaded.call("register_heads") == [("local:good", [])]


def test_a_local_version_is_declared_or_changes_with_the_file(tmp_path):
    assert load(tmp_path, good=GOOD + "__version__ = '2.1'\n").versions == {"local:good": "2.1"}
    first = load(tmp_path, good=GOOD).versions
    assert load(tmp_path, good=GOOD).versions == first
    assert load(tmp_path, good=GOOD + "# edited\n").versions != first


def test_a_file_that_begins_with_an_underscore_is_no_plugin(tmp_path):
    loaded = load(tmp_path, _shared="raise RuntimeError('never imported')")
    assert (loaded.versions, loaded.problems) == ({}, [])


def test_a_local_file_may_hold_dataclasses(tmp_path):
    # dataclasses with postponed annotations look their module up in sys.modules
    body = (
        "from __future__ import annotations\nfrom typing import ClassVar\n"
        "from dataclasses import dataclass\n" + GOOD + "@dataclass\n"
        "class Kept:\n    name: ClassVar[str] = 'kept'\n    size: int = 1\n"
    )
    assert load(tmp_path, data=body).problems == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module_anywhere\n", "ModuleNotFoundError"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        (
            HEADER + "@hookimpl\ndef register_backbone():\n    return []\n",
            "unknown hook 'register_backbone'; did you mean 'register_backbones'",
        ),
        (HEADER + "@hookimpl\ndef register_heads(catalog):\n    return []\n", "register_heads"),
        ("def register_heads():\n    return []\n", "@automl_xfer.hookimpl"),
    ],
)
def test_a_broken_plugin_is_left_out_by_name_and_the_next_one_loads(tmp_path, body, words):
    loaded = load(tmp_path, broken=body, good=GOOD)
    assert list(loaded.versions) == ["local:good"]
    assert loaded.manager.list_name_plugin()[0][0] == "local:good"
    [problem] = loaded.problems
    assert problem.name == "local:broken"
    assert "local:broken" in problem.message
    assert words in problem.message
    assert "\n" not in problem.message


def test_a_wrong_argument_is_named(tmp_path):
    body = HEADER + "@hookimpl\ndef after_trial(trial):\n    pass\n"
    [problem] = load(tmp_path, broken=body).problems
    assert "after_trial" in problem.message
    assert "trial" in problem.message.split("Argument(s)")[1]


def test_a_failed_import_keeps_its_traceback_and_leaves_no_module(tmp_path):
    [problem] = load(tmp_path, broken="1 / 0\n").problems
    assert "ZeroDivisionError" in problem.traceback
    assert "automl_xfer_local_broken" not in sys.modules


@pytest.mark.parametrize("name", ["missing", "file"])
def test_an_unreadable_plugins_folder_is_an_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(PluginError, match=f"{name}.*--plugins-dir"):
        make_manager(plugins_dir=tmp_path / name)


def test_a_disabled_plugin_is_never_imported(tmp_path):
    (tmp_path / "loud.py").write_text("raise RuntimeError('imported')")
    loaded = make_manager(plugins_dir=tmp_path, disabled=["local:loud", "builtin"])
    assert loaded.problems == []
    assert "builtin" not in loaded.versions
    assert loaded.manager.is_blocked("local:loud")


def test_disabling_a_name_that_does_not_exist_names_the_nearest(tmp_path):
    with pytest.raises(PluginError, match=r"'buildin'.*'builtin'"):
        make_manager(disabled=["buildin"])


def install(folder: Path, package: str, entry: str) -> None:
    """Lay down an installed distribution with one entry point."""
    info = folder / f"{package.replace('-', '_')}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[automl_xfer]\n{entry}\n")


def test_an_installed_plugin_that_fails_leaves_the_others(tmp_path, monkeypatch):
    (tmp_path / "toy_installed_plugin.py").write_text(GOOD)
    install(tmp_path, "toy-good", "zeta = toy_installed_plugin")
    install(tmp_path, "toy-bad", "alpha = no_such_module_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = make_manager()
    assert [problem.name for problem in loaded.problems] == ["alpha"]
    assert loaded.versions["zeta"] == "1.5"
    assert "builtin" in loaded.versions


def test_two_distributions_with_one_plugin_name_are_both_named(tmp_path, monkeypatch):
    install(tmp_path, "toy-one", "twin = json")
    install(tmp_path, "toy-two", "twin = email")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"'twin'.*toy-one.*toy-two|'twin'.*toy-two.*toy-one"):
        make_manager()


def test_the_first_party_plugin_is_found_by_its_entry_point():
    assert make_manager().versions["builtin"] == metadata.version("automl-xfer")


def test_loading_plugins_imports_no_torch():
    code = (
        "import sys; from automl_xfer.plugin.manager import make_manager; "
        "assert not make_manager().problems; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Raising:
    """Its hooks raise."""

    @hookimpl
    def after_trial(self, record):
        raise KeyError(record.description)


class Listening:
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def after_trial(self, record):
        self.heard.append(record.description)


def test_a_hook_that_raises_costs_its_own_plugin_only():
    loaded, listening = make_manager(entry_points=False), Listening()
    loaded.register(Raising(), "raising", "1")
    loaded.register(listening, "trusty", "1")
    for description in ("first", "second"):
        loaded.call("after_trial", record=SimpleNamespace(description=description))
    assert listening.heard == ["first", "second"]
    [problem] = loaded.problems
    assert problem.message == "plugin 'raising' failed in its hook after_trial: KeyError: 'first'"
    assert list(loaded.versions) == ["trusty"]


def test_a_plugin_is_registered_once():
    loaded, plugin = make_manager(entry_points=False), Listening()
    loaded.register(plugin, "trusty", "1")
    with pytest.raises(PluginError, match="twice"):
        loaded.register(Listening(), "trusty", "1")
    with pytest.raises(PluginError, match="twice"):
        loaded.register(plugin, "other", "1")
