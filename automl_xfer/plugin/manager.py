"""Load plugins one by one, so that a broken one costs only itself."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from automl_xfer.errors import PluginError
from automl_xfer.plugin import hookspecs
from automl_xfer.plugin.names import suggestion

GROUP = "automl_xfer"
"""The entry point group of plugins, and the project name of the hook markers."""


@dataclass(frozen=True)
class PluginProblem:
    """Why the plugin called `name` was left out."""

    name: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class LoadedPlugins:
    """The plugins that work, their versions, and what is wrong with those left out."""

    manager: pluggy.PluginManager
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[PluginProblem] = field(default_factory=list)

    def register(self, plugin: object, name: str, version: str) -> None:
        """Add a plugin object; one whose hooks do not fit is left out and reported.

        Raises PluginError when the name or the object is registered already.
        """
        if self.manager.has_plugin(name) or self.manager.is_registered(plugin):
            raise PluginError(f"plugin {name!r} is registered twice; register it once")
        try:
            self.manager.register(plugin, name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            self.leave_out(name, self._misfit(plugin, error), error)
            return
        if self.manager.get_hookcallers(plugin):
            self.versions[name] = version
        else:
            message = "implements no hook; mark its hook functions with @automl_xfer.hookimpl"
            self.leave_out(name, message)

    def leave_out(self, name: str, message: str, error: BaseException | None = None) -> None:
        """Take the plugin `name` out, every hook of it, and remember why."""
        if self.manager.has_plugin(name):
            self.manager.unregister(name=name)
        self.versions.pop(name, None)
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self.problems.append(PluginProblem(name, f"plugin {name!r} {message}", trace))

    def call(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Call one hook plugin by plugin -> (plugin name, result) each, in order of name.

        A plugin that raises is left out and reported; the others go on.
        """
        results = []
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda item: item.plugin_name):
            name, given = implementation.plugin_name, implementation.argnames
            try:
                result = implementation.function(*(arguments[argument] for argument in given))
            except Exception as error:
                self.leave_out(name, f"failed in its hook {hook}: {_sentence(error)}", error)
            else:
                results.append((name, result))
        return results

    def _misfit(self, plugin: object, error: pluggy.PluginValidationError) -> str:
        """Words for a hook that does not exist or asks for arguments it does not get."""
        unknown = [
            caller.name
            for caller in self.manager.get_hookcallers(plugin) or ()
            if not caller.has_spec()
        ]
        if not unknown:
            return f"does not fit: {' '.join(str(error).split())}"
        known = [name for name in vars(hookspecs) if name.startswith(("register_", "after_"))]
        return f"has an unknown hook {unknown[0]!r}; {suggestion(unknown[0], known)}"


@dataclass(frozen=True)
class _Found:
    """A plugin that was found and not yet imported."""

    name: str
    origin: str
    load: Callable[[], tuple[object, str]]  # -> plugin, version


def make_manager(
    *,
    plugins_dir: Path | None = None,
    disabled: Sequence[str] = (),
    entry_points: bool = True,
) -> LoadedPlugins:
    """Load every plugin: installed ones by entry point, then the files of `plugins_dir`.

    Raises PluginError when `plugins_dir` cannot be read, when a name in `disabled` does not exist
    and when two plugins share a name. Anything wrong inside a plugin is a problem, not an error.
    """
    found = [*(_installed() if entry_points else ()), *(_local(plugins_dir) if plugins_dir else ())]
    _check_names(found, disabled)
    loaded = LoadedPlugins(pluggy.PluginManager(GROUP))
    loaded.manager.add_hookspecs(hookspecs)
    for name in disabled:
        loaded.manager.set_blocked(name)
    for plugin in found:
        if not loaded.manager.is_blocked(plugin.name):
            _load(plugin, loaded)
    return loaded


def load_file(path: Path) -> LoadedPlugins:
    """This one file as a plugin: neither its neighbours nor what is installed matter."""
    loaded = make_manager(entry_points=False)
    _load(_local_file(path), loaded)
    return loaded


def _load(found: _Found, loaded: LoadedPlugins) -> None:
    try:
        plugin, version = found.load()
    except (Exception, SystemExit) as error:
        loaded.leave_out(found.name, f"cannot be imported: {_sentence(error)}", error)
    else:
        loaded.register(plugin, found.name, version)


def _check_names(found: Sequence[_Found], disabled: Sequence[str]) -> None:
    origins: dict[str, str] = {}
    for plugin in found:
        if plugin.name in origins:
            raise PluginError(
                f"two plugins are called {plugin.name!r}: one from {origins[plugin.name]}, one "
                f"from {plugin.origin}; uninstall one of them"
            )
        origins[plugin.name] = plugin.origin
    for name in disabled:
        if name not in origins:
            raise PluginError(f"no plugin {name!r} to disable; {suggestion(name, origins)}")


def _installed() -> Iterator[_Found]:
    """The entry points of installed distributions, in order of name."""
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        origin = entry.dist.name if entry.dist else entry.value
        yield _Found(entry.name, origin, partial(_import_entry, entry))


def _local(folder: Path) -> Iterator[_Found]:
    """The `.py` files of a folder, in order of name; names that begin with `_` are not plugins."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".py")
    except OSError as error:
        raise PluginError(
            f"cannot read the plugins folder {folder}: {error.strerror}; "
            "give --plugins-dir a folder of .py files"
        ) from error
    for path in paths:
        if not path.stem.startswith("_"):
            yield _local_file(path)


def _local_file(path: Path) -> _Found:
    return _Found(f"local:{path.stem}", str(path), partial(_import_file, path))


def _import_entry(entry: metadata.EntryPoint) -> tuple[object, str]:
    return entry.load(), entry.dist.version if entry.dist else "unknown"


def _import_file(path: Path) -> tuple[ModuleType, str]:
    name = f"automl_xfer_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while its body runs
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module, _file_version(module, path)


def _file_version(module: ModuleType, path: Path) -> str:
    """`__version__`, or a digest of the file, so that a study notices when it was edited."""
    declared = getattr(module, "__version__", None)
    return str(declared) if declared else hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def _sentence(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
