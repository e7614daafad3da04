"""Which plugins a study uses, in a form that travels to its child processes."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from automl_xfer.plugin.catalog import Catalog, build_catalog
from automl_xfer.plugin.manager import LoadedPlugins, make_manager


@dataclass(frozen=True)
class PluginSource:
    """Where plugins come from, beside the installed ones, and which are switched off."""

    plugins_dir: Path | None = None
    disabled: tuple[str, ...] = ()

    def load(self) -> tuple[LoadedPlugins, Catalog]:
        """Load the plugins and collect their components."""
        loaded = make_manager(plugins_dir=self.plugins_dir, disabled=self.disabled)
        return loaded, build_catalog(loaded)

    def catalog(self) -> Catalog:
        """The components as this process first found them, for who asks again and again."""
        return _found(self)


@cache
def _found(source: PluginSource) -> Catalog:
    return source.load()[1]
