"""A corpus becomes vectors, shard by shard, and goes on where it was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot.encoders.progress import progress
from panglot.search._shards import Shard, Shelf, encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document

SHARD = 1024
"""Documents of a shard: some ten seconds of a CPU, which is what a kill costs at most."""

_Make = Callable[[Iterator[Shard]], Iterator[tuple[Shard, "Vectors"]]]


def encode_documents(
    documents: Iterable[Sequence[Document]],
    encoder: Encoder,
    folder: str | Path,
    *,
    on: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[list[Document], Vectors]]:
    """Yield documents and their vectors, a shard at a time, in the order of the documents.

    A shard is :data:`SHARD` documents in a row. Its vectors are kept in ``folder``, under a name that says from which
    encoder, texts, ids and languages they come, with a checksum; a shard that is there and sound is never made again.
    So the same call goes on after a kill at any moment, and after a change of some documents makes only the shards
    that are affected. Memory holds one shard, two for each process, or eight for each processor of a Ray cluster. The
    bytes of a shard are the same wherever it is made, as long as the encoder computes the same numbers there; a model
    on a processor of another kind, or in another number of threads, may round otherwise.

    Inside :func:`panglot.encoders.progress.progress`, its bar is advanced by documents.

    Args:
        documents: The documents in pieces of any size, as :func:`panglot.search.documents.read_documents` yields them.
        encoder: What makes vectors. For processes and Ray it must go through ``pickle``; all of panglot's do.
        folder: Where shards are kept; whoever called may remove it when all is done.
        on: ``""`` for this process, ``processes:N`` for N others on this machine, ``ray`` for the Ray cluster that
            ``RAY_ADDRESS`` names, else one that is started on this machine, ``ray://host:port`` for a cluster far away.
        tell: Told of damaged shards, and at the end how many were made and how many were there.

    Raises:
        PanglotError: At once, if ``on`` is none of these. While encoding: the encoder fails, the folder cannot be
            written, a process dies, or Ray is not there.
    """
    shelf = Shelf(Path(folder), tell)
    return _told(_maker(on, encoder, shelf)(_shards(documents, encoder.fingerprint)), shelf, tell)


def _told(
    done: Iterator[tuple[Shard, Vectors]], shelf: Shelf, tell: Callable[[str], None]
) -> Iterator[tuple[list[Document], Vectors]]:
    for shard, vectors in done:
        yield list(shard.documents), vectors
    tell(f"shards encoded: {shelf.made:,}" + (f"; there already: {shelf.found:,}" if shelf.found else ""))


def _shards(documents: Iterable[Sequence[Document]], fingerprint: str) -> Iterator[Shard]:
    flat = chain.from_iterable(documents)
    while part := tuple(islice(flat, SHARD)):
        yield Shard(part, fingerprint)


def _maker(on: str, encoder: Encoder, shelf: Shelf) -> _Make:
    kind, _, rest = on.partition(":")
    if not on:
        return partial(_here, encoder, shelf)
    if kind == "processes" and rest.isascii() and rest.isdigit() and int(rest):
        from panglot.search._on_processes import on_processes

        return partial(on_processes, encoder, shelf, int(rest))
    if on == "ray" or (kind == "ray" and rest.startswith("//") and len(rest) > 2):
        from panglot.search._on_ray import on_ray

        return partial(on_ray, encoder, shelf, "" if on == "ray" else on)
    raise PanglotError(f"cannot encode on {on!r}", field="on", cure="write processes:N, ray or ray://host:port")


def _here(encoder: Encoder, shelf: Shelf, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    for shard in shards:
        vectors = shelf.get(shard)
        if vectors is None:
            data = encoded(encoder, shard.key, shard.ids, shard.texts, shard.languages)
            vectors = shelf.put(shard, data)
        else:
            with progress("encoding", None) as advance:
                advance(len(vectors))
        yield shard, vectors
