"""From documents to an index folder: encode, find the languages' means, write the store."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import explain_write
from panglot._progress import progress as progress_bar
from panglot.debiasing import transform
from panglot.debiasing.encoder import Debiased
from panglot.search.metadata import IndexMetadata, is_index, open_encoder, probed
from panglot.search.ranking.modes import VECTOR_FIELDS
from panglot.search.ranking.stats import LanguageStats, center, query_offset
from panglot.search.storage.local.texts import SCHEMA, as_batch, as_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Encoder
    from panglot.search.document import Document
    from panglot.search.ingest.documents import Documents


def kept(pieces: Iterable[Sequence[Document]], path: Path) -> Iterator[Sequence[Document]]:
    """Yield pieces of documents, each when it is in the file, which is whole after the last.

    Raises:
        PanglotError: The place cannot be written.
    """
    with explain_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    with file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for piece in pieces:
            with explain_write(path):
                writer.write_batch(as_batch(piece))
            yield piece


def again(path: Path) -> Iterator[list[Document]]:
    """Yield the pieces that :func:`kept` wrote, one in memory at a time."""
    with path.open("rb") as file:
        for batch in pa.ipc.open_stream(file):
            yield as_documents(batch)


def build(
    documents: Documents,
    folder: Path,
    *,
    model: str | Path | Encoder,
    backend: str,
    store: str,
    on: str,
    progress: Callable[[str], None] | None,
) -> Encoder:
    """Write an index folder and return the encoder of its vectors; see :meth:`panglot.search.index.Index.build`."""
    from panglot.search.ingest.documents import read_documents
    from panglot.search.ingest.encode import encode_documents
    from panglot.search.storage.store import open_store

    if is_index(folder):
        shutil.rmtree(folder / "shards", ignore_errors=True)  # of a build that was killed when all was written
        raise PanglotError(
            "there is an index already", file=folder, hint="add to it (`--add`), or choose another --output"
        )
    encoder, base, name = open_encoder(model, backend)
    say = progress or (lambda _: None)
    with explain_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
    probe, shards = probed(base), folder / "shards"
    spool = shards / "documents.arrows"
    if store:  # A wrong address is told before hours of encoding.
        open_store(store, folder / "store", vector_fields=VECTOR_FIELDS, dimension=len(probe), create=True).close()

    given = kept(read_documents(documents, progress=say), spool)
    encoded = encode_documents(given, base, shards, on=on, progress=say)
    with progress_bar("encoding", None, "documents"):
        stats = LanguageStats.of(
            (([each.language for each in piece], vectors) for piece, vectors in encoded), len(probe)
        )
    total = sum(stats.counts)
    if not total:
        raise PanglotError("there is no document", field="documents", hint="look at the file")
    debiasing = encoder.debiasing if isinstance(encoder, Debiased) else stats.centering(query_offset(base))
    transform.save(debiasing, folder, {"fitted_on": "the documents" if encoder is base else encoder.name})
    stats.save(folder)
    if not store and (folder / "store").exists():  # of a build that was stopped
        shutil.rmtree(folder / "store")
    place = open_store(store, folder / "store", vector_fields=VECTOR_FIELDS, dimension=len(probe), create=True)
    say(f"writing {total:,} documents in {len(stats.languages) - 1} languages")
    try:
        with place.bulk():
            # Every language's mean is known only now: all that was encoded is met again, from its shards.
            for piece, vectors in encode_documents(again(spool), base, shards, on=on):
                codes = [each.language for each in piece]
                place.upsert(piece, {"plain": vectors, "centered": center(debiasing, vectors, codes, "passage")})
    finally:
        place.close()
    IndexMetadata(name, base.name, base.fingerprint, probe, len(probe), VECTOR_FIELDS, store, total).save(folder)
    shutil.rmtree(shards, ignore_errors=True)
    say(f"{folder} is written")
    return base
