"""Keep vectors on disk by the content of their texts."""

from __future__ import annotations

import hashlib
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import atomic_file, cache_folder, explain_write
from panglot._progress import progress
from panglot.encoders.protocol import Encoder, LanguageAware, Side, Vectors, by_id, check_texts

_SECONDS = 20.0  # Seconds of work that a kill may lose.
_FIRST, _LEAST, _MOST = 256, 64, 32_768  # Texts in the first piece, and bounds of later ones, which follow the speed.
_KEY = 16  # Bytes of a text's key.


def cached(encoder: Encoder, folder: str | Path | None = None) -> Encoder:
    """Return ``encoder`` with its vectors kept on disk.

    If its vectors depend on languages, those of its base are kept, which do not. An encoder of precomputed vectors is
    returned as it is.
    """
    if by_id(encoder):
        return encoder
    if isinstance(encoder, LanguageAware):
        return encoder.over(cached(encoder.base, folder))
    return Cached(encoder, folder)


class Cached:
    """Remember every vector of an encoder on disk, across processes.

    A shard is a ``.npy`` file of records (key, vector), named after the digest of its content and never changed.
    Every write makes a new shard, so that processes need no lock. Damaged shards are deleted with a warning, and their
    texts are encoded again. Encoders of precomputed vectors are not cached.

    Args:
        encoder: The encoder whose vectors are kept.
        folder: The folder of the vectors of all encoders. By default ``vectors`` in the cache folder.
    """

    def __init__(self, encoder: Encoder, folder: str | Path | None = None) -> None:
        self.encoder = encoder
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.by_id = by_id(encoder)
        self.folder = Path(folder or cache_folder() / "vectors") / encoder.fingerprint[:32]
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}
        self._read: set[str] = set()
        self._written = True

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        New texts are encoded in pieces of some 20 seconds. Each piece is kept before the next begins, so that the same
        call continues after a kill.
        """
        check_texts(texts, side)
        if self.by_id:
            return self.encoder.encode(texts, side, ids=ids)
        keys = [text_key(text, side) for text in texts]
        # Other processes may have written shards since the last call.
        self._refresh()
        if missing := {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}:
            self._encode(missing, side)
        return np.stack([self._known[key] for key in keys]) if keys else self.encoder.encode([], side)

    def size(self) -> int:
        """Return the size of this encoder's vectors on disk, in bytes."""
        return sum(path.stat().st_size for path in self.folder.glob("*.npy"))

    def clear(self) -> None:
        """Delete this encoder's vectors on disk and in memory."""
        self._known.clear()
        self._read.clear()
        if self.folder.exists():
            with explain_write(self.folder):
                shutil.rmtree(self.folder)

    def _encode(self, missing: dict[bytes, str], side: Side) -> None:
        # The longest texts first, so that a lack of memory shows at once and texts of a piece have similar lengths.
        work = sorted(missing.items(), key=lambda item: len(item[1]), reverse=True)
        begin, count = 0, _FIRST
        with progress(f"{self.name}: {side}s", len(work)):
            while begin < len(work):
                piece = work[begin : begin + count]
                started = time.monotonic()
                vectors = self.encoder.encode([text for _, text in piece], side)
                seconds = time.monotonic() - started
                self._keep([key for key, _ in piece], vectors)
                begin += count
                count = int(np.clip(len(piece) * _SECONDS / max(seconds, 1e-3), _LEAST, _MOST))

    def _keep(self, keys: list[bytes], vectors: Vectors) -> None:
        if vectors.ndim != 2 or len(vectors) != len(keys):
            problem = f"the encoder {self.name} returned an array of shape {vectors.shape} for {len(keys)} texts"
            raise PanglotError(problem, hint="return one row per text")
        records = np.empty(len(keys), _record(vectors.shape[1]))
        records["key"] = np.frombuffer(b"".join(keys), f"V{_KEY}")
        records["vector"] = vectors
        self._known.update(zip(keys, records["vector"], strict=True))
        name = hashlib.sha256(records.tobytes()).hexdigest()
        try:
            with atomic_file(self.folder / f"{name}.npy") as part, part.open("wb") as file:
                np.save(file, records, allow_pickle=False)
            self._read.add(f"{name}.npy")
        except PanglotError as error:
            # Warn once. The vectors are in memory, so that work goes on without a cache.
            if self._written:
                warnings.warn(f"the vectors are not kept: {error}", RuntimeWarning, stacklevel=4)
            self._written = False

    def _refresh(self) -> None:
        """Read the shards that were not read yet."""
        dimension = len(next(iter(self._known.values()))) if self._known else None
        for path in sorted(self.folder.glob("*.npy")):
            if path.name in self._read:
                continue
            records = _shard(path, dimension)
            if records is None:
                warnings.warn(f"{path}: damaged vectors are dropped and encoded again", RuntimeWarning, stacklevel=3)
                path.unlink(missing_ok=True)
                continue
            self._read.add(path.name)
            dimension = records["vector"].shape[1]
            self._known.update(zip(map(bytes, records["key"]), records["vector"], strict=True))


def text_key(text: str, side: Side) -> bytes:
    """Return the key of a text on that side, the first bytes of a SHA-256."""
    data = f"{side}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).digest()[:_KEY]


def _record(dimension: int) -> np.dtype[Any]:
    return np.dtype([("key", f"V{_KEY}"), ("vector", "<f4", (dimension,))])


def _shard(path: Path, dimension: int | None) -> npt.NDArray[np.void] | None:
    """Return the records of a shard, or None if the shard is damaged."""
    try:
        records = np.load(path, allow_pickle=False)
        width = int(records.dtype["vector"].shape[0])
        fits = records.ndim == 1 and records.dtype == _record(dimension or width)
    except (OSError, ValueError, EOFError, KeyError, IndexError, TypeError):
        return None
    return records if fits and hashlib.sha256(records.tobytes()).hexdigest() == path.stem else None
