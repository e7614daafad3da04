"""automl-xfer: find the best way to transfer a pretrained model to a new image domain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from automl_xfer.bundle import Bundle
    from automl_xfer.search.events import Listener
    from automl_xfer.search.finished_study import FinishedStudy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("automl_xfer")
"""Marks a plugin's hook implementations."""

__all__ = ["__version__", "hookimpl", "load", "search"]


def search(
    target: str | Path,
    source: str | Path | Sequence[str | Path] = (),
    *,
    time_limit: float | str = 600.0,
    choices: Mapping[str, Sequence[str]] | None = None,
    listener: "Listener | None" = None,
    **options: Any,
) -> "FinishedStudy":
    """Search as `automl-xfer search` does; `options` are its options with underscores.

    `time_limit` is in seconds or text such as `10m`; `choices` is axis -> allowed names;
    `listener` is called with every event. Scripts need the `if __name__ == "__main__":` guard,
    because trials run in processes of their own. Raises AutomlXferError.
    """
    from automl_xfer.search.finished_study import FinishedStudy
    from automl_xfer.search.options import SearchOptions
    from automl_xfer.search.run import run_search

    sources = [source] if isinstance(source, str | Path) else list(source)
    made = SearchOptions.from_dict(
        {
            **{key: _plain(value) for key, value in options.items()},
            "target": str(target),
            "source": [str(path) for path in sources],
            "time_limit": time_limit,
            "choices": dict(choices or {}),
        }
    )
    record = run_search(made, listener or (lambda event: None))
    return FinishedStudy(record, made)


def load(bundle: str | Path, *, device: str = "auto") -> "Bundle":
    """The model in a bundle folder, ready to predict. Raises BundleError."""
    from automl_xfer.bundle import load_bundle

    return load_bundle(Path(bundle), device=device)


def _plain(value: Any) -> Any:
    """Options as a study file holds them: paths as text, one pattern as a list of one."""
    if isinstance(value, Path):
        return str(value)
    return [value] if isinstance(value, str) and "*" in value else value
