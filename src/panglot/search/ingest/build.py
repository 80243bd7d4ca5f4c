"""Build an index folder: read and check all documents, encode them, compute the languages' means, write the store.

Documents that are to be added to an index, or to replace its own, are read and checked here too, before the first
change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from panglot._environment import may_have_gpu
from panglot._errors import PanglotError
from panglot._files import explain_write, is_locked, lock, new_folder, write_text
from panglot._progress import progress as progress_bar
from panglot.debiasing import correction
from panglot.debiasing.correction import Debiased, Languages
from panglot.encoders.cache import cached
from panglot.encoders.protocol import CutTexts
from panglot.search.document import check_kinds, checked_kinds, kinds_of
from panglot.search.ingest.encode import encode_documents
from panglot.search.ingest.sources import read_passages
from panglot.search.metadata import (
    NAME,
    OF_DOCUMENTS,
    IndexMetadata,
    check_debiasing,
    check_model,
    is_index,
    open_encoder,
    open_store,
    probed,
)
from panglot.search.ranking.modes import VECTOR_FIELDS, LanguageStats, center, query_offset
from panglot.search.storage.columns import SCHEMA, as_batch
from panglot.search.storage.store import as_document

if TYPE_CHECKING:
    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder
    from panglot.search.document import Document
    from panglot.search.ingest.documents import Documents
    from panglot.search.storage.store import Store

_ADDING = ".adding-"


def spool(pieces: Iterable[Sequence[Document]], path: Path) -> Iterator[Sequence[Document]]:
    """Yield pieces of documents, each after writing it to a file, which is complete after the last."""
    with explain_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    with file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for piece in pieces:
            with explain_write(path):
                writer.write_batch(as_batch(piece))
            yield piece


def digest_of(pieces: Iterable[Sequence[Document]]) -> tuple[int, str]:
    """Return the number of documents in all pieces, and a digest of them that does not depend on the pieces."""
    count, found = 0, hashlib.sha256()
    with progress_bar("reading", None, "documents") as advance:
        for piece in pieces:
            for each in piece:
                found.update(json.dumps(asdict(each), sort_keys=True).encode() + b"\n")
            count += len(piece)
            advance(len(piece))
    return count, found.hexdigest()


def spooled(path: Path) -> Iterator[list[Document]]:
    """Yield the pieces that :func:`spool` wrote, one in memory at a time."""
    with path.open("rb") as file:
        for batch in pa.ipc.open_stream(file):
            yield [as_document(row) for row in batch.to_pylist()]


def _build_name(shards: Path) -> str:
    """Return a new name for the index, or the name from before if this goes on with a build that was stopped."""
    path = shards / "build"
    if not path.is_file():
        write_text(path, uuid.uuid4().hex)
    return path.read_text("utf-8")


def build(
    documents: Documents,
    folder: Path,
    *,
    model: str | Path | Encoder,
    backend: str,
    precision: Precision,
    store: str,
    on: str,
    center_strength: float,
    progress: Callable[[str], None] | None,
) -> Encoder:
    """Write an index folder and return the encoder of its vectors. See :meth:`panglot.search.index.Index.build`."""
    report = progress or (lambda _: None)
    if not 0 <= center_strength <= 1:  # NaN is refused too, because its comparisons are false.
        problem = f"`center_strength` must be between 0 and 1, got {center_strength:g}"
        raise PanglotError(problem, field="center_strength", hint="choose a value in range")
    if (folder / NAME).is_file():  # Also one of another program must not be overwritten.
        # A build that was killed after its last write leaves its shards.
        shutil.rmtree(folder / "shards", ignore_errors=True)
        return _built_before(documents, folder, model, precision, store, center_strength, report)
    _refuse_foreign(folder)
    if backend == "auto" and precision != "int8" and may_have_gpu():  # A GPU is worth the import of torch.
        backend = "torch"
    encoder, base, name = open_encoder(model, backend=backend, precision=precision)
    if center_strength != 1 and isinstance(encoder, Debiased):
        problem = f"{encoder.name} is debiased already, with strength {encoder.debiasing.strength:g}"
        hint = "leave `center_strength` out, or choose the strength in `panglot debias`"
        raise PanglotError(problem, field="center_strength", hint=hint)
    with new_folder(folder), lock(folder / "shards" / "lock", wait=False) as alone:
        if not alone or is_index(folder):  # It may have been finished since.
            problem, hint = "another process builds this index", "wait until it is finished, or choose another --output"
            raise PanglotError(problem, file=folder, hint=hint)
        try:
            _write(documents, folder, encoder, base, name, store=store, on=on, strength=center_strength, report=report)
        except BaseException:
            # Encoded documents and what is in a server, which has the name of this build, are of use to the next call.
            kept = [*(folder / "shards").glob("*.npy"), *folder.glob(correction.HEAD)]
            if not store and not kept:
                shutil.rmtree(folder / "shards", ignore_errors=True)
            raise
    return base


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with anything but a build that was stopped: `store` and `shards` in it would be removed."""
    shards = folder / "shards"
    if (shards / "build").is_file():
        return
    places = [place for place in (folder, shards) if place.is_dir()]
    names = [path.name for place in places for path in place.iterdir() if not path.name.startswith(".")]
    if others := sorted({*names} - {"shards", "lock", "lost+found"}):
        problem = f"the folder holds other things, such as {others[0]}, and an index needs one of its own"
        raise PanglotError(problem, file=folder, field="output", hint="name a new folder")


def _write(
    documents: Documents, folder: Path, encoder: Encoder, base: Encoder, name: str, *, store: str, on: str,
    strength: float, report: Callable[[str], None],
) -> None:  # fmt: skip
    probe, shards = probed(base), folder / "shards"
    opened = partial(
        open_store, store, folder / "store", vector_fields=VECTOR_FIELDS, dimension=len(probe),
        build=(named := _build_name(shards)), create=True,
    )  # fmt: skip
    if store:  # A wrong address must not come up after hours of encoding.
        opened().close()

    # All are read and checked before the first is encoded, so that a mistake in the last line comes up at once.
    total, digest = digest_of(spool(read_passages(documents, base, progress=report), shards / "documents.arrows"))
    if not total:
        raise PanglotError("no document has any text", field="documents", hint="add text, also below headings")
    cuts = CutTexts(base, "passage")
    read = cuts.count(spooled(shards / "documents.arrows"), lambda piece: [each.full_text for each in piece])
    encoded = encode_documents(read, base, shards, on=on, progress=report)
    with progress_bar("encoding", total, "documents"):
        languages = (([each.language for each in piece], vectors) for piece, vectors in encoded)
        stats = LanguageStats.of(languages, len(probe))
    cuts.warn()
    if isinstance(encoder, Debiased):
        debiasing = encoder.debiasing
    else:
        # The texts are the same for every index of a model. Of an encoder object, the fingerprint may say too little.
        debiasing = stats.centering(query_offset(cached(base) if name else base), strength)
    correction.save(debiasing, folder, {"fitted_on": OF_DOCUMENTS if encoder is base else encoder.name})
    if isinstance(encoder, Debiased):  # It warns of languages that it was not fitted on.
        Languages(debiasing, encoder.name).of([], stats.languages[:-1])
    stats.save(folder)
    if not store and (folder / "store").exists():  # A build that was stopped left it.
        shutil.rmtree(folder / "store")
    with contextlib.closing(opened()) as target:
        number = len(stats.languages) - 1
        report(f"writing {total:,} documents in {number} language{'s' * (number != 1)}")
        with target.bulk():
            # The languages' means are complete only now, so that all vectors are read again, from the shards.
            for piece, vectors in encode_documents(spooled(shards / "documents.arrows"), base, shards, on=on):
                codes = [each.language for each in piece]
                target.upsert(piece, {"plain": vectors, "centered": center(debiasing, vectors, codes, "passage")})
    IndexMetadata(
        name, base.name, base.fingerprint, probe, len(probe), VECTOR_FIELDS, store, total, build=named, digest=digest
    ).save(folder)
    shutil.rmtree(shards, ignore_errors=True)
    report(f"{folder} is written")


def _built_before(
    documents: Documents, folder: Path, model: str | Path | Encoder, precision: Precision, store: str,
    center_strength: float, report: Callable[[str], None],
) -> Encoder:  # fmt: skip
    """Return the encoder of an index that was built from the same documents with the same model, or refuse."""
    metadata = IndexMetadata.open(folder)
    problem, hint = (
        "the folder contains an index already",
        "add to it (`panglot index --add`), replace what it holds (`--update`), or choose another --output",
    )
    if metadata.store != store or not metadata.digest:
        raise PanglotError(problem, file=folder, hint=hint)
    encoder, base, _ = open_encoder(model, precision=precision)
    _, digest = digest_of(read_passages(documents, base))
    if digest != metadata.digest:
        raise PanglotError(f"{problem}, of other documents", file=folder, hint=hint)
    check_model(metadata, base, folder)
    if precision != "auto" and base.fingerprint != metadata.fingerprint:
        raise PanglotError(f"{problem}, encoded in another precision", file=folder, field="precision", hint=hint)
    check_debiasing(encoder, folder, exactly=True)
    strength = 1.0 if isinstance(encoder, Debiased) else correction.read(folder)[0].strength
    if center_strength != strength:
        raise PanglotError(f"{problem}, with `center_strength` {strength:g}", file=folder, hint=hint)
    report(f"{folder} was built from these documents already")
    return base


@contextlib.contextmanager
def checked_addition(
    documents: Documents, encoder: Encoder, store: Store, folder: Path
) -> Generator[Iterable[list[Document]]]:
    """Yield documents in pieces after all of them were read and their metadata fit those of the store.

    More than one piece is kept in the index's ``folder`` meanwhile.
    """
    read = read_passages(documents, encoder)
    first, second = next(read, []), next(read, None)
    if second is None:  # A single piece is added as a whole or not at all.
        yield [first] if first else []
        return
    for left in folder.glob(f"{_ADDING}*/lock"):  # A process that was killed left it. One that begins has no lock yet.
        if not is_locked(left, seconds=0):
            shutil.rmtree(left.parent, ignore_errors=True)
    with explain_write(folder):
        work = Path(tempfile.mkdtemp(prefix=_ADDING, dir=folder))
    try:
        with lock(work / "lock"):
            known = store.kinds()
            for piece in spool(chain((first, second), read), work / "documents.arrows"):
                check_kinds(piece, known)
                known = kinds_of(piece, known)
            yield spooled(work / "documents.arrows")
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def checked_update(
    documents: Documents, encoder: Encoder, store: Store, folder: Path, progress: Callable[[str], None]
) -> Generator[tuple[Iterable[list[Document]], str]]:
    """Yield documents that are to replace those of the store, in pieces, after all were read and checked, and a digest.

    They are kept in the index's ``folder`` until the end of the block. No other process may update it meanwhile.
    """
    work = folder / "update"
    with lock(work / "lock", wait=False) as alone:
        if not alone:
            problem = "another process updates this index"
            raise PanglotError(problem, file=folder, hint="wait until it is finished")
        path = work / "documents.arrows"
        read = read_passages(documents, encoder, progress=progress)
        try:
            total, digest = digest_of(checked_kinds(spool(read, path), store.kinds()))
            if not total:
                raise PanglotError("no document has any text", field="documents", hint="check the path")
            yield spooled(path), digest
        finally:
            shutil.rmtree(work, ignore_errors=True)
