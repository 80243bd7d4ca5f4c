"""Read documents and their vectors from a collection of Qdrant, Milvus, LanceDB or pgvector. Nothing is written."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from panglot._errors import PanglotError, first_line
from panglot.data.rows import DOCUMENT_FIELDS
from panglot.encoders.load import StoredVectors
from panglot.search.document import MIXED, kind_of
from panglot.search.ingest.vector_stores import SCHEMES, Row, collection_place, database_address, read_rows
from panglot.search.metadata import IndexMetadata, is_index, open_encoder

if TYPE_CHECKING:
    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Value
    from panglot.search.index import Index

_TEXTS = ("text", "page_content", "content", "document")  # What panglot, LangChain, Haystack and Chroma call it.
# Where LangChain, Haystack and LlamaIndex put further fields.
_NESTED = ("metadata", "cmetadata", "langchain_metadata", "meta", "metadata_")
_NODE = "_node_content"  # In it, LlamaIndex keeps the text and itself as JSON.
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


def is_collection(name: str) -> bool:
    """Return whether a name is the address of a collection.

    >>> is_collection("qdrant://localhost:6333/help"), is_collection("docs.jsonl")
    (True, False)
    """
    return name.startswith(SCHEMES)


def without_password(text: str) -> str:
    """Return an address, or a command with addresses, without passwords.

    >>> without_password("postgresql://me:secret@host/db?table=help")
    'postgresql://me:…@host/db?table=help'
    """
    return _PASSWORD.sub(r"\1:…@", text)


def index_collection(
    address: str, folder: Path, model: str, columns: Mapping[str, str], *, progress: Callable[[str], None]
) -> Index:
    """Return an index of the documents of a collection with their own vectors, which ``model`` gave.

    Raises:
        PanglotError: The collection cannot be read, ``model`` gives other vectors, or the folder has another index.
    """
    from panglot.search.index import Index

    rows, vectors = read_collection(address, columns, progress=progress)
    base, _, name = open_encoder(model, backend="torch")
    encoder = StoredVectors.of(base, rows, vectors, without_password(address))
    if is_index(folder) and IndexMetadata.open(folder).fingerprint != encoder.fingerprint:
        hint = "remove the folder, or choose another --output"
        raise PanglotError("the folder has an index of other vectors", file=folder, field="output", hint=hint)
    index = Index.build(rows, folder, model=encoder, progress=progress)
    # The model alone opens the index later, because it gives the vectors of queries.
    replace(IndexMetadata.open(folder), model=name).save(folder)
    return index


def read_collection(
    address: str, columns: Mapping[str, str] | None = None, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[list[dict[str, Value]], Vectors]:
    """Return the rows of a collection, as :class:`panglot.search.index.Index` takes them, and their unit vectors.

    =================================  ============================================================
    ``qdrant://host:6333/NAME``        a Qdrant server; ``QDRANT_API_KEY`` is its key
    ``qdrant:FOLDER/NAME``             a folder of Qdrant's local mode
    ``milvus://host:19530/NAME``       a Milvus server; ``MILVUS_TOKEN`` is its token
    ``milvus:FILE.db/NAME``            a file of milvus-lite
    ``lancedb:FOLDER/TABLE``           a LanceDB table
    ``postgresql://…/DB?table=TABLE``  a PostgreSQL table with a column of pgvector
    =================================  ============================================================

    ``qdrant+https://`` and ``milvus+https://`` are servers behind TLS, such as hosted ones. With several vectors per
    row, ``?vector=NAME`` says which. In the table ``langchain_pg_embedding``, ``&collection=NAME`` says which of
    LangChain's collections. All vectors are held in memory.

    Args:
        address: From the table.
        columns: Names of fields by ``id``, ``text``, ``title``, ``language`` and ``group``.
        progress: Called with a line about what was guessed or left out.

    Raises:
        PanglotError: The collection cannot be read, a text is missing, or vectors differ in length.
    """
    rows: list[dict[str, Value]] = []
    vectors: list[Vectors] = []
    dropped = Counter[str]()
    place, without = without_password(address), 0
    try:
        for each in read_rows(address):
            if each.vector is None:
                without += 1
                continue
            rows.append(_fields(each, columns or {}, dropped, place))
            vectors.append(np.asarray(each.vector, np.float32))
    except PanglotError:
        raise
    except Exception as error:  # Each client raises errors of its own kinds.
        raise PanglotError(f"cannot be read: {first_line(error)}", file=place, hint="check address and name") from error
    if not rows:
        raise PanglotError("the collection has no document with a vector", file=place, hint="check its name")
    if without:
        progress(f"left out, documents without a vector: {without:,}")
    for name, number in dropped.items():
        progress(f"left out, field {name} that is not a text, number, truth value or list of one of these: {number:,}")
    return rows, _unit(vectors, [str(row["id"]) for row in rows], place)


class Layout(NamedTuple):
    """Where a collection keeps what.

    Attributes:
        kind: ``qdrant``, ``milvus``, ``lancedb`` or ``postgresql``.
        where: The server, folder, file or database, without a password.
        name: The name of the collection or table.
        text: The names of the fields, one inside the other, that lead to the text.
        id: Those that lead to the id. Empty: it is the store's own, in ``key``.
        metadata: The field in which further fields are. Empty: they are beside the text.
        vector_name: The field of the vector.
        key: The field of the store's own id. Empty: ids are numbers of rows.
    """

    kind: str
    where: str
    name: str
    text: tuple[str, ...]
    id: tuple[str, ...]
    metadata: str
    vector_name: str
    key: str


def describe_collection(address: str, columns: Mapping[str, str]) -> Layout:
    """Return where a collection that :func:`read_collection` has read keeps its fields, judging by its first row."""
    row = next(each for each in read_rows(address) if each.vector is not None)
    nested = [name for name in _NESTED if isinstance(row.fields.get(name), Mapping)]
    # As in _fields, of equal names the outer one counts, then the first.
    paths = {name: (outer, name) for outer in reversed(nested) for name in row.fields[outer]}
    paths |= {name: (name,) for name in row.fields}
    known = [columns.get("text", ""), _NODE, *(name for name in _TEXTS if _at(row.fields, paths.get(name)))]
    text = next(paths[name] for name in known if name in paths)
    kind = urlsplit(address).scheme.partition("+")[0]
    if kind == "postgresql":
        where, own = database_address(_PASSWORD.sub(r"\1@", address))
        name = own["table"]
    else:
        where, name = collection_place(address)
    key = columns.get("id", "id")
    return Layout(kind, where, name, text, paths.get(key, ()), nested[0] if nested else "", row.vector_name, row.key)


def _at(fields: Mapping[str, Any], path: Sequence[str] | None) -> Any:
    found: Any = fields if path else None
    for name in path or ():
        found = found[name]
    return found


def _fields(row: Row, columns: Mapping[str, str], dropped: Counter[str], address: str) -> dict[str, Value]:
    flat = dict(row.fields)
    for name in _NESTED:
        if isinstance(inner := flat.get(name), Mapping):
            flat = {**inner, **{key: value for key, value in flat.items() if key != name}}
    flat = _without_node(flat)
    named = {field: flat.pop(name) for field, name in columns.items() if name in flat}
    text = next((name for name in _TEXTS if flat.get(name)), None)
    if "text" not in named and text is not None:
        named["text"] = flat.pop(text)
    if not named.get("text"):
        problem = f"the document {row.id!r} has no text (fields: {', '.join(row.fields) or 'none'})"
        raise PanglotError(problem, file=address, field="text", hint="name its field with `--column text=NAME`")
    found: dict[str, Value] = {}
    for name, value in {"id": row.id, **flat, **named}.items():
        if value is None or isinstance(value, str | int | float | bool):
            found[name] = value
        elif isinstance(value, Sequence) and name not in DOCUMENT_FIELDS and kind_of(list(value)) != MIXED:
            found[name] = list(value)
        else:
            dropped[name] += 1
    return found


def _without_node(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with the text of LlamaIndex's node in place of the node.

    >>> _without_node({"_node_content": '{"text": "One."}', "_node_type": "TextNode", "language": "en"})
    {'text': 'One.', 'language': 'en'}
    """
    if not isinstance(node := fields.get(_NODE), str):
        return fields
    others = {name: value for name, value in fields.items() if name not in {_NODE, "_node_type"}}
    return {"text": json.loads(node).get("text"), **others}


def _unit(vectors: Sequence[Vectors], ids: Sequence[str], address: str) -> Vectors:
    lengths = Counter(each.size for each in vectors)
    if len(lengths) > 1:
        problem = f"vectors have different lengths, {', '.join(map(str, sorted(lengths)))}"
        raise PanglotError(problem, file=address, hint="name one kind of vector with `?vector=NAME`")
    found = np.stack(vectors)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    if len(wrong := np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)))):
        problem = f"the vector of the document {ids[wrong[0]]!r} is zero or not finite"
        raise PanglotError(problem, file=address, hint="encode it again")
    return found / norms
