"""Stores by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot._errors import PanglotError
from panglot.search.storage.store import check_same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.search.storage.store import Store


def open_store(
    where: str, folder: Path, *, vector_fields: Sequence[str], dimension: int, create: bool = False
) -> Store:
    """Open the store of an index.

    Args:
        where: Empty for the embedded store in ``folder``; ``milvus://host:port/name`` for a Milvus server;
            ``milvus:FILE.db/name`` for milvus-lite. ``?index=flat`` behind either makes its search exact.
        folder: Where the embedded store lies; it takes the whole folder.
        vector_fields: Names of its vector fields.
        dimension: Length of its vectors.
        create: Make it if it is not there.

    Raises:
        PanglotError: It is not there, is damaged, has other vector fields or another dimension, or does not answer.
    """
    if not where:
        from panglot.search.storage.local.store import EmbeddedStore

        store = (
            EmbeddedStore.create(folder, vector_fields=vector_fields, dimension=dimension)
            if create
            else EmbeddedStore(folder)
        )
        check_same("vector_fields", store.vector_fields, tuple(vector_fields), folder)
        check_same("dimension", store.dimension, dimension, folder)
        return store
    if where.startswith("milvus:"):
        from panglot.search.storage.milvus.store import MilvusStore

        return MilvusStore(where, vector_fields=vector_fields, dimension=dimension, create=create)
    raise PanglotError(
        f"no store of this kind: {where}", field="store", hint="leave it out, or write milvus://host:port/name"
    )
