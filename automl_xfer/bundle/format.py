"""The bundle's description file: what a bundle is, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from automl_xfer.errors import BundleError

FORMAT_VERSION = 3
DESCRIPTION = "bundle.json"
WEIGHTS = "model.safetensors"
BACKBONES = "backbones"
MODEL_CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Member:
    """One trained model of a bundle; a single winner is a bundle of one."""

    directory: str
    weight: float  # of its probabilities in the mean
    strategy: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class BundleDescription:
    """Everything about a bundle but the weights."""

    study: str
    classes: tuple[str, ...]
    image_size: int
    members: tuple[Member, ...]
    description: str
    metric: str
    scores: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    format_version: int = FORMAT_VERSION

    def write(self, directory: Path) -> None:
        """Write `bundle.json`."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (directory / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(directory: Path) -> BundleDescription:
    """The description of the bundle in `directory`. Raises BundleError."""
    path = directory / DESCRIPTION
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"{directory} is not a bundle: it has no {DESCRIPTION}; "
            "give the bundle folder that a finished study wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(
            f"cannot read {path} ({error}); copy the bundle again from where it was made"
        ) from error
    return _from_data(path, data if isinstance(data, dict) else {})


def _from_data(path: Path, data: Mapping[str, Any]) -> BundleDescription:
    version = data.get("format_version")
    if version is None:
        raise BundleError(
            f"{path} does not describe a bundle; give the bundle folder that a finished study wrote"
        )
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path} has format version {version}; this automl-xfer reads {FORMAT_VERSION}: "
            "use the version of automl-xfer that wrote it"
        )
    try:
        members = tuple(Member(**member) for member in data["members"])
        return BundleDescription(**{**data, "members": members, "classes": tuple(data["classes"])})
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"{path} is incomplete ({error}); copy the bundle again from where it was made"
        ) from error
