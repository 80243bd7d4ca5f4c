"""The difference of a trained model to the bundled one, in a file of four bits per weight.

A trained model has 470 MB, and its difference to the start 12. The file, which ``benchmarks/_small_difference.py``
writes, is a safetensors file. A large matrix ``[rows, columns]`` is a uint8 tensor ``[rows, columns / 32, 18]``: the
difference divided by :data:`UNIT`, in the blocks that :func:`panglot.encoders.bundled.dequantise` reads. Any other
tensor is its difference in float32. Tensors without a difference are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.encoders.bundled import Floats, dequantise

VERSION = 1
BLOCK = 32

UNIT = 2.0**-12
"""Differences are some thousand times smaller than weights, and float16 has few digits for their scales without it."""

Packed = Mapping[str, npt.NDArray[Any]]

KEY = "panglot-difference"  # Of the head, in the metadata of the file.


def add(start: Mapping[str, Floats], difference: Packed) -> dict[str, Floats]:
    """Return the trained weights: those of ``start`` plus the difference, in float32."""
    found = dict(start)
    for name, packed in difference.items():
        before = start.get(name)
        if before is None or before.shape != _shape(packed):
            own = "lacks it" if before is None else f"has {before.shape}"
            problem = f"the difference has the shape {_shape(packed)}, and the start {own}"
            raise PanglotError(problem, field=name, hint="install panglot again")
        found[name] = before + (unpack(packed) if packed.dtype == np.uint8 else packed)
    return found


def unpack(blocks: npt.NDArray[np.uint8]) -> Floats:
    """Return a matrix in blocks, as float32."""
    return (dequantise(np.ascontiguousarray(blocks).reshape(-1).data) * np.float32(UNIT)).reshape(_shape(blocks))


def _shape(packed: npt.NDArray[Any]) -> tuple[int, ...]:
    return (*packed.shape[:-2], packed.shape[-2] * BLOCK) if packed.dtype == np.uint8 else packed.shape


def read_difference(path: Path, start: str) -> dict[str, npt.NDArray[Any]]:
    """Return the difference in a file, which must be to ``start`` and as it was written."""
    from safetensors import SafetensorError, safe_open

    hint = "install panglot again"
    try:
        with safe_open(path, "numpy") as file:
            head = json.loads((file.metadata() or {})[KEY])
            if head["version"] != VERSION:
                problem = f"this difference has version {head['version']}, and this panglot reads {VERSION}"
                raise PanglotError(problem, file=path, hint=hint)
            if head["start"] != start:
                raise PanglotError("this is the difference to another start", file=path, hint=hint)
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the difference cannot be read: {error}", file=path, hint=hint) from error
    if head["sha256"] != checksum(found):
        raise PanglotError("the difference was damaged", file=path, hint=hint)
    return found


def checksum(difference: Packed) -> str:
    """Return the digest of names, types, shapes and contents."""
    parts = ((name, str(array.dtype), str(array.shape), array.tobytes()) for name, array in sorted(difference.items()))
    return digest(*chain.from_iterable(parts))
