"""automl-xfer: find the best way to transfer a pretrained model to a new image domain."""

import pluggy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("automl_xfer")
"""Marks a plugin's hook implementations."""

__all__ = ["__version__", "hookimpl"]
