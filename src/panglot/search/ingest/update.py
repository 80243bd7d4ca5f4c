"""Read and check all documents that are to be added to an index, or to replace its own, before its first change."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot._files import explain_write, is_locked, lock
from panglot.search.document import check_kinds, checked_kinds, kinds_of
from panglot.search.ingest.build import digest_of, spool, spooled
from panglot.search.ingest.sources import read_passages

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder
    from panglot.search.document import Document
    from panglot.search.ingest.documents import Documents
    from panglot.search.storage.store import Store

_ADDING = ".adding-"


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
        total, digest = digest_of(checked_kinds(spool(read, path), store.kinds()))
        if not total:
            raise PanglotError("no document has any text", field="documents", hint="check the path")
        yield spooled(path), digest
    shutil.rmtree(work, ignore_errors=True)
