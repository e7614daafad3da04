"""Which device trains, and at which precision."""

import functools
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


def autocast(device: str, *, training: bool = False) -> AbstractContextManager[object]:
    """bfloat16 where it pays: on a GPU, and for predictions on a CPU with instructions for it."""
    if device.startswith("cuda"):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    if not training and _cpu_has_bfloat16():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


@functools.cache
def _cpu_has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def batch_size(device: str) -> int:
    """Images per forward pass without gradient; small ones stay in a CPU's cache."""
    return 256 if device.startswith("cuda") else 16
