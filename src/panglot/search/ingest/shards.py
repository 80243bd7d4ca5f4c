"""The vectors of some documents, in a file whose name says what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_file, digest
from panglot.encoders.protocol import LanguageAware
from panglot.search.storage.store import check_encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document

LAYOUT = "1"
"""Counts up when what is written below changes."""

CHECKSUM = 32
"""Bytes of the SHA-256 at the end of a shard."""


@dataclass(frozen=True)
class Shard:
    """Documents that are encoded together.

    Attributes:
        documents: The documents.
        fingerprint: Of the encoder.
    """

    documents: tuple[Document, ...]
    fingerprint: str

    @cached_property
    def key(self) -> str:
        """The digest of the encoder and of all that it sees of the documents."""
        return digest(LAYOUT, self.fingerprint, *self.ids, *self.texts, *self.languages)

    @property
    def ids(self) -> list[str]:
        """The documents' ids."""
        return [document.id for document in self.documents]

    @property
    def texts(self) -> list[str]:
        """What is encoded."""
        return [document.full_text for document in self.documents]

    @property
    def languages(self) -> list[str]:
        """The documents' languages."""
        return [document.language for document in self.documents]


def vectors_of(encoder: Encoder, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]) -> Vectors:
    """Return the vectors of documents.

    Raises:
        PanglotError: The encoder fails, or gives something else than a row of finite numbers a text.
    """
    if isinstance(encoder, LanguageAware):
        found = encoder.encode(texts, "passage", ids=ids, languages=languages)
    else:
        found = encoder.encode(texts, "passage", ids=ids)
    return check_encoded(found, ids, encoder)


def encoded(encoder: Encoder, key: str, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]) -> bytes:
    """Return what the file of a shard holds: its vectors as ``.npy``, then the SHA-256 of key and vectors.

    This is all that a process or a node of a cluster does; it raises what :func:`vectors_of` does.
    """
    file = io.BytesIO()
    np.save(file, vectors_of(encoder, ids, texts, languages), allow_pickle=False)
    return file.getvalue() + _checksum(key, file.getvalue())


class ShardCache:
    """The folder of shards.

    Args:
        folder: Where they lie.
        progress: Called with a line about each damaged shard.

    Attributes:
        found: How many were there.
        made: How many were put there.
    """

    def __init__(self, folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        self.folder, self._progress = folder, progress
        self.found = self.made = 0

    def get(self, shard: Shard) -> Vectors | None:
        """Return the vectors of a shard, shape ``[documents, dimension]``; None if it is not there or is damaged."""
        path = self._path(shard)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            data = b""
        vectors = _vectors(shard, data)
        if vectors is None:
            self._progress(f"{path}: damaged, and is made again")
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        self.found += 1
        return vectors

    def put(self, shard: Shard, data: bytes) -> Vectors:
        """Write what :func:`encoded` returned, whole or not at all, and return the vectors.

        Raises:
            PanglotError: The place cannot be written, or these are not the data of that shard.
        """
        vectors = _vectors(shard, data)
        if vectors is None:
            raise PanglotError("a shard was damaged on its way here", file=self._path(shard), hint="try again")
        with atomic_file(self._path(shard)) as part:
            part.write_bytes(data)
        self.made += 1
        return vectors

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key[:32]}.npy"


def _vectors(shard: Shard, data: bytes) -> Vectors | None:
    head, tail = data[:-CHECKSUM], data[-CHECKSUM:]
    if _checksum(shard.key, head) != tail:
        return None
    return np.load(io.BytesIO(head), allow_pickle=False)


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()
