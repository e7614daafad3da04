"""Which device trains, and at which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from automl_xfer.errors import DeviceError


def resolve_device(name: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:1` -> a device that exists here.

    Raises DeviceError for a name that is not of that form or a GPU that is not there.
    """
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"--device must be auto, cpu, cuda or cuda:NUMBER, not {name!r}")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise DeviceError(
            f"--device {name} asks for a GPU that PyTorch does not see here (it sees {count}); "
            "use --device auto or --device cpu"
        )
    return name


def autocast(device: str) -> AbstractContextManager[object]:
    """bfloat16 on a GPU, full precision on the CPU."""
    if device.startswith("cuda"):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
