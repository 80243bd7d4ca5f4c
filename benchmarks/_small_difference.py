"""Write the difference of a trained model to the bundled one, which :mod:`panglot.encoders.difference` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import atomic_file
from panglot.encoders.bundled import Floats
from panglot.encoders.difference import BLOCK, KEY, UNIT, VERSION, Packed, checksum

#: A tensor that may not differ. It has four fifths of the weights, and training leaves it as it is.
FROZEN = "embeddings.word_embeddings.weight"

# A block's largest weight divided by its scale is tried at these values, of both signs. Up to 7, no weight is cut off.
_STEPS = (7.0, 7.5, 8.0, 8.5, 9.0, 9.5)
_CHUNK = 1 << 15  # Blocks at a time, whose arrays fit into the caches of a processor.
_LARGEST = float(np.finfo(np.float16).max) * 6 * UNIT
_HINT = 'train from bundled with embeddings = "frozen"'


def subtract(start: Mapping[str, Floats], trained: Mapping[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    """Return the difference of ``trained`` to ``start`` as the file holds it.

    Raises:
        PanglotError: The two have other tensors, the word embeddings differ, or a difference is not finite.
    """
    if other := sorted(start.keys() ^ trained.keys()):
        where = "the start" if other[0] in start else "the trained model"
        raise PanglotError(f"only {where} has this tensor", field=other[0], hint=_HINT)
    found: dict[str, npt.NDArray[Any]] = {}
    for name, before in start.items():
        after = trained[name]
        if before.shape != after.shape:
            problem = f"the start has the shape {before.shape}, and the trained model {after.shape}"
            raise PanglotError(problem, field=name, hint=_HINT)
        # An average of several equal ones is rounded.
        if np.array_equal(before, after) or (name == FROZEN and np.allclose(after, before, rtol=1e-5, atol=1e-7)):
            continue
        if name == FROZEN:
            raise PanglotError("the trained model has word embeddings of its own", field=name, hint=_HINT)
        difference = after.astype(np.float32) - before
        # The comparison is also false for what is not a number.
        if not float(np.abs(difference).max()) < _LARGEST:
            problem = f"a difference is not a number, or not below {_LARGEST:.0f}"
            raise PanglotError(problem, field=name, hint="train again with a lower learning_rate")
        found[name] = quantise(difference) if _in_blocks(before.shape) else difference
    return found


def quantise(matrix: Floats) -> npt.NDArray[np.uint8]:
    """Return the blocks of a matrix, each with the scale of least squared error among those that are tried.

    The error of a block is at most that of the scale which cuts nothing off: in the root mean square, a fourteenth of
    the block's largest weight.

    >>> from panglot.encoders.difference import unpack
    >>> unpack(quantise(np.full((1, 32), 0.5, np.float32)))[0, :2].tolist()
    [0.5, 0.5]
    """
    weights = (matrix / np.float32(UNIT)).reshape(-1, BLOCK)
    found = np.empty((len(weights), 18), np.uint8)
    for at in range(0, len(weights), _CHUNK):
        part = weights[at : at + _CHUNK]
        scales = _best_scales(part)
        codes = (_codes(part, scales) + 8).astype(np.uint8)
        found[at : at + _CHUNK, :2] = scales.astype("<f2").view(np.uint8).reshape(-1, 2)
        found[at : at + _CHUNK, 2:] = codes[:, :16] | codes[:, 16:] << 4
    return found.reshape(*matrix.shape[:-1], -1, 18)


def _best_scales(weights: Floats) -> npt.NDArray[np.float16]:
    largest = np.take_along_axis(weights, np.abs(weights).argmax(1)[:, None], 1)[:, 0]
    best = np.zeros(len(weights), np.float16)
    least = np.square(weights).sum(1)
    for steps in chain.from_iterable((-steps, steps) for steps in _STEPS):
        _better(weights, (largest / steps).astype(np.float16), best, least)
    # Given the codes, the scale of least squared error is a projection.
    codes = _codes(weights, best)
    norms = np.square(codes).sum(1)
    _better(weights, ((codes * weights).sum(1) / np.where(norms > 0, norms, 1)).astype(np.float16), best, least)
    return best


def _better(weights: Floats, scales: npt.NDArray[np.float16], best: npt.NDArray[np.float16], least: Floats) -> None:
    """Put ``scales`` into ``best`` where their squared error is below ``least``, and lower that."""
    errors = np.square(weights - _codes(weights, scales) * scales.astype(np.float32)[:, None]).sum(1)
    is_better = errors < least
    best[is_better], least[is_better] = scales[is_better], errors[is_better]


def _codes(weights: Floats, scales: npt.NDArray[np.float16]) -> Floats:
    inverse = np.divide(1, scales.astype(np.float32), out=np.zeros(len(scales), np.float32), where=scales != 0)
    return np.clip(np.rint(weights * inverse[:, None]), -8, 7)


def _in_blocks(shape: tuple[int, ...]) -> bool:
    # Token types have two rows, which are added to every token and take no space worth an error.
    return len(shape) == 2 and shape[0] >= BLOCK and shape[1] % BLOCK == 0


def write_difference(path: Path, difference: Packed, start: str) -> None:
    """Write the file. Equal input gives equal bytes.

    ``start`` is the SHA-256 of the file that the start is made from.
    """
    from safetensors.numpy import save_file

    # One key, because safetensors writes several in any order.
    head = json.dumps({"version": VERSION, "start": start, "sha256": checksum(difference)})
    with atomic_file(path) as part:
        save_file(dict(difference), part, metadata={KEY: head})
