"""Load timm weights: from a folder, from the hub's cache, or from the hub if it answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session
from safetensors import SafetensorError
from torch import nn

from automl_xfer.errors import BackboneUnavailableError

_LOADING_ERRORS = (OSError, RuntimeError, ValueError, HfHubHTTPError, SafetensorError)
_PROBE_SECONDS = 5


@contextmanager
def _offline() -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@lru_cache(maxsize=1)
def _is_reachable() -> bool:
    """Ask once: the hub's client itself retries a dead line for most of a minute per file."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_PROBE_SECONDS)
    except Exception:  # requests and httpx, either of which the session may be, share no root
        return False
    return True


def load_from_hub(name: str, *, num_classes: int = 0, **options: Any) -> nn.Module:
    """The timm model `name` with its pretrained weights.

    `num_classes` is 0 for no classifier, or the checkpoint's own number for its own classifier.
    Raises BackboneUnavailableError when there are no such weights or the hub is not reachable.
    """
    try:
        with _offline():
            return timm.create_model(name, pretrained=True, num_classes=num_classes, **options)
    except _LOADING_ERRORS:
        if not _is_reachable():
            raise BackboneUnavailableError(
                f"the hub {constants.ENDPOINT} is not reachable and the weights are not in the "
                "local cache: give a folder of weights with --weights-dir, or connect to the "
                "internet"
            ) from None
    try:
        return timm.create_model(name, pretrained=True, num_classes=num_classes, **options)
    except _LOADING_ERRORS as error:
        raise BackboneUnavailableError(
            f"The weights of {name} cannot be had from the hub {constants.ENDPOINT} "
            f"({_first_line(error)}): choose another --backbone, or give a folder of weights "
            "with --weights-dir."
        ) from error


def load_from_folder(folder: Path, *, num_classes: int = 0, **options: Any) -> nn.Module:
    """The timm model in `folder` (timm's local layout) with its weights.

    `num_classes` is as for `load_from_hub`. Raises BackboneUnavailableError when the files cannot
    be read as such.
    """
    try:
        return timm.create_model(
            f"local-dir:{folder}", pretrained=True, num_classes=num_classes, **options
        )
    except _LOADING_ERRORS as error:
        raise BackboneUnavailableError(
            f"The weights in {folder} cannot be loaded ({_first_line(error)}): "
            "repair or remove the folder, or give another --weights-dir."
        ) from error


def hub_classes(name: str) -> int:
    """How many classes the checkpoint `name` classifies, by timm's list; 0 for none."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return 0 if config is None else config.num_classes


@lru_cache(maxsize=256)
def folder_classes(folder: Path) -> int:
    """How many classes the checkpoint in `folder` classifies, by its config.json; 0 for none."""
    try:
        classes = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_classes"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return classes if isinstance(classes, int) else 0


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
