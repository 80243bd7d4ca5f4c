"""Shards: the vectors of some documents, made wherever, kept in a file whose name says what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_file, digest
from panglot._progress import be_quiet
from panglot._progress import progress as progress_bar
from panglot.encoders.protocol import LanguageAware
from panglot.search.storage.store import check_encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import CutTexts, Encoder, Vectors
    from panglot.search.document import Document

_LAYOUT = "1"
"""Part of each shard's name. Raise it when the content of the files changes."""

_CHECKSUM = 32
"""Bytes of the SHA-256 at the end of a shard."""


def columns(documents: Sequence[Document]) -> tuple[list[str], list[str], list[str]]:
    """Return what an encoder sees of documents: their ids, titles with texts, and languages."""
    return (
        [each.id for each in documents],
        [each.full_text for each in documents],
        [each.language for each in documents],
    )


@dataclass(frozen=True)
class Shard:
    """Documents that are encoded together by the encoder with this fingerprint."""

    documents: tuple[Document, ...]
    fingerprint: str

    @cached_property
    def key(self) -> str:
        """The digest of the encoder and of all that it sees of the documents."""
        return digest(_LAYOUT, self.fingerprint, *chain.from_iterable(columns(self.documents)))

    @property
    def task(self) -> tuple[str, list[str], list[str], list[str]]:
        """What :func:`encode_shard` takes besides the encoder."""
        return self.key, *columns(self.documents)


def vectors_of(encoder: Encoder, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]) -> Vectors:
    """Return the checked vectors of documents, shape ``[documents, dimension]``."""
    if isinstance(encoder, LanguageAware):
        found = encoder.encode(texts, "passage", ids=ids, languages=languages)
    else:
        found = encoder.encode(texts, "passage", ids=ids)
    return check_encoded(found, ids, encoder)


def encoded(encoder: Encoder, documents: Sequence[Document], cuts: CutTexts) -> Vectors:
    """Return the checked vectors of documents, and count among ``cuts`` the texts that the encoder cuts."""
    ids, texts, languages = columns(documents)
    cuts.add(texts)
    return vectors_of(encoder, ids, texts, languages)


def encode_shard(
    encoder: Encoder, key: str, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str]
) -> bytes:
    """Return the content of a shard's file: its vectors as ``.npy``, then the SHA-256 of key and vectors."""
    file = io.BytesIO()
    np.save(file, vectors_of(encoder, ids, texts, languages), allow_pickle=False)
    return file.getvalue() + _checksum(key, file.getvalue())


def pack(encoder: Encoder) -> bytes:
    """Return an encoder as bytes for other processes."""
    try:
        return bytes(ForkingPickler.dumps(encoder))
    except Exception as error:  # Pickling raises whatever the object does.
        problem = f"the encoder {encoder.name} cannot go to other processes: {error}"
        raise PanglotError(problem, field="on", hint="encode in this one") from error


def work(encoder: bytes, task: tuple[str, list[str], list[str], list[str]], threads: int = 0) -> bytes:
    """Return :func:`encode_shard` of a :attr:`Shard.task` with a packed encoder, opened once per process."""
    be_quiet()
    opened = _unpacked(encoder)
    # Only encoders of torch use its threads, and they have imported it.
    if threads and (torch := sys.modules.get("torch")):
        torch.set_num_threads(threads)
    return encode_shard(opened, *task)


@lru_cache(maxsize=1)
def _unpacked(encoder: bytes) -> Encoder:
    pickler: Any = ForkingPickler  # It reads what `pack` made in the parent process, never a file.
    return pickler.loads(encoder)


class ShardCache:
    """The folder of shards. It counts those that were ``found`` in it and those that were ``made``."""

    def __init__(self, folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        self.folder, self._progress = folder, progress
        self.found = self.made = 0

    def get(self, shard: Shard) -> Vectors | None:
        """Return the vectors of a shard, shape ``[documents, dimension]``, or None if it is missing or damaged."""
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
        else:
            self.found += 1
        return vectors

    def put(self, shard: Shard, data: bytes) -> Vectors:
        """Write what :func:`encode_shard` returned, as a whole or not at all, and return the vectors."""
        vectors = _vectors(shard, data)
        if vectors is None:
            raise PanglotError("a shard was damaged on its way here", file=self._path(shard), hint="try again")
        with atomic_file(self._path(shard)) as part:
            part.write_bytes(data)
        self.made += 1
        return vectors

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key[:32]}.npy"


def advanced(shard: Shard, vectors: Vectors) -> tuple[Shard, Vectors]:
    """Return both, and advance the progress bar by a shard that was not encoded in this process."""
    with progress_bar("encoding", None) as advance:
        advance(len(vectors))
    return shard, vectors


def _vectors(shard: Shard, data: bytes) -> Vectors | None:
    vectors, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if _checksum(shard.key, vectors) != checksum:
        return None
    return np.load(io.BytesIO(vectors), allow_pickle=False)


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()
