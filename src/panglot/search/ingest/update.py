"""Add documents to an index, or make it hold other ones. All are read and checked before the first change."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import explain_write, is_locked, lock
from panglot.encoders.protocol import CutTexts
from panglot.search.document import check_kinds, checked_kinds, document_digest, kinds_of
from panglot.search.ingest.build import digest_of, spool, spooled
from panglot.search.ingest.shards import encoded
from panglot.search.ingest.sources import read_passages
from panglot.search.metadata import IndexMetadata

if TYPE_CHECKING:
    from panglot.search.document import Document
    from panglot.search.index import Index
    from panglot.search.ingest.documents import Documents


def add(index: Index, documents: Documents) -> int:
    """Add documents and return how many. See :meth:`panglot.search.index.Index.add`."""
    number, cuts = 0, CutTexts(index.encoder, "passage")
    with _checked(index, documents) as pieces, index.store.bulk():
        for piece in pieces:
            try:
                index.put(piece, encoded(index.encoder, piece, cuts))
            except PanglotError as error:
                if not number:
                    raise
                problem = f"{error.problem}. {number:,} documents were added before"
                raise PanglotError(problem, file=error.file, field=error.field, hint=error.hint) from error
            number += len(piece)
    cuts.warn()
    return number


@contextlib.contextmanager
def _checked(index: Index, documents: Documents) -> Generator[Iterable[list[Document]]]:
    """Yield documents in pieces after all of them were read and their metadata fit those of the index."""
    read = read_passages(documents, index.encoder)
    first, second = next(read, []), next(read, None)
    if second is None:  # A single piece is added as a whole or not at all.
        yield [first] if first else []
        return
    for left in index.folder.glob(f"{_ADDING}*"):  # A process that was killed left it.
        if not is_locked(left / "lock", seconds=0):
            shutil.rmtree(left, ignore_errors=True)
    with explain_write(index.folder):
        work = Path(tempfile.mkdtemp(prefix=_ADDING, dir=index.folder))
    try:
        with lock(work / "lock"):
            known = index.store.kinds()
            for piece in spool(chain((first, second), read), work / "documents.arrows"):
                check_kinds(piece, known)
                known = kinds_of(piece, known)
            yield spooled(work / "documents.arrows")
    finally:
        shutil.rmtree(work, ignore_errors=True)


_ADDING = ".adding-"


def update(index: Index, documents: Documents, progress: Callable[[str], None]) -> dict[str, int]:
    """Make an index hold these documents and no others. See :meth:`panglot.search.index.Index.update`."""
    work = index.folder / "update"
    done = {"added": 0, "changed": 0, "deleted": 0}
    with lock(work / "lock", wait=False) as alone:
        if not alone:
            problem = "another process updates this index"
            raise PanglotError(problem, file=index.folder, hint="wait until it is finished")
        passages = read_passages(documents, index.encoder, progress=progress)
        checked = checked_kinds(spool(passages, work / "documents.arrows"), index.store.kinds())
        total, found = digest_of(checked)
        if not total:
            raise PanglotError("no document has any text", field="documents", hint="check the path")
        gone = {each.id: document_digest(each) for piece in index.documents() for each in piece}
        cuts = CutTexts(index.encoder, "passage")
        with index.store.bulk():
            for piece in spooled(work / "documents.arrows"):
                before = {each.id: gone.pop(each.id, "") for each in piece}
                new = [each for each in piece if before[each.id] != document_digest(each)]
                if new:
                    # Documents that are still to be replaced may have fields of other kinds.
                    index.put(new, encoded(index.encoder, new, cuts), same_kinds=False)
                done["changed"] += sum(bool(before[each.id]) for each in new)
                done["added"] += sum(not before[each.id] for each in new)
        done["deleted"] = index.delete(list(gone)) if gone else 0
        cuts.warn()
        metadata = IndexMetadata.open(index.folder)
        if metadata.digest != found:  # By it, building from the same documents is known to be done.
            replace(metadata, digest=found).save(index.folder)
    shutil.rmtree(work, ignore_errors=True)
    if any(done.values()) and (unknown := sorted(index.counts().keys() - set(index.stats.languages))):
        progress(f"languages that have no mean vector yet, so build the index anew soon: {', '.join(unknown)}")
    return done
