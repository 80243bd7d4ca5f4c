"""Choose the device and the precision of the computation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from panglot._errors import PanglotError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


def choose_device(device: str | None = None) -> torch.device:
    """Return the device asked for, else a GPU if torch sees one, else the CPU.

    Raises:
        PanglotError: Torch has no such device here.
    """
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise PanglotError(f"there is no device {device!r}: {reason}", field="device", hint="use cpu") from error
    return chosen


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 there. Emulated ones are slower."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # Torch has no public function for this. A build without the private ones uses float32.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in names if hasattr(torch.cpu, name))


def choose_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """Return ``bf16`` if it was asked for or if ``auto`` finds it faster, else ``fp32``.

    Raises:
        PanglotError: ``precision`` is not ``auto``, ``fp32`` or ``bf16``.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise PanglotError(f"unknown precision {precision!r}", field="precision", hint="use auto, fp32 or bf16")
    if precision == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return precision
