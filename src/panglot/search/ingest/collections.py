"""Read documents and their vectors from a collection of Qdrant, Milvus, LanceDB or pgvector. Nothing is written."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError, first_line
from panglot.encoders.load import StoredVectors
from panglot.search.document import MIXED, kind_of
from panglot.search.metadata import IndexMetadata, is_index, open_encoder

if TYPE_CHECKING:
    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Value
    from panglot.search.index import Index

__all__ = ["index_collection", "is_collection", "read_collection", "without_password"]

_SCHEMES = ("qdrant:", "qdrant+https:", "milvus:", "milvus+https:", "lancedb:", "postgresql:")
_TEXTS = ("text", "page_content", "content", "document")  # What panglot, LangChain, Haystack and Chroma call it.
# Where LangChain, Haystack and LlamaIndex put further fields.
_NESTED = ("metadata", "cmetadata", "langchain_metadata", "meta", "metadata_")
_NODE = "_node_content"  # In it, LlamaIndex keeps the text and itself as JSON.
_OWN = {"id", "text", "title", "language", "group"}  # Fields of which a document has one.
_MILVUS_KINDS = {"FLOAT_VECTOR", "FLOAT16_VECTOR", "BFLOAT16_VECTOR"}
_PIECE = 1000


class _Row(NamedTuple):
    id: str
    fields: Mapping[str, Any]
    vector: Any


def is_collection(name: str) -> bool:
    """Return whether a name is the address of a collection.

    >>> is_collection("qdrant://localhost:6333/help"), is_collection("docs.jsonl")
    (True, False)
    """
    return name.startswith(_SCHEMES)


def without_password(text: str) -> str:
    """Return an address, or a command with addresses, without passwords.

    >>> without_password("postgresql://me:secret@host/db?table=help")
    'postgresql://me:…@host/db?table=help'
    """
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:…@", text)


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
    parts = urlsplit(address)
    address = without_password(address)
    # The vector without a name has an empty one.
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    kind, _, secure = parts.scheme.partition("+")
    reader = {"qdrant": _qdrant, "milvus": _milvus, "lancedb": _lancedb, "postgresql": _postgresql}[kind]
    server = parts.netloc
    if server and kind in {"qdrant", "milvus"}:
        server = f"{secure or 'http'}://{server}"
    rows: list[dict[str, Value]] = []
    vectors: list[Vectors] = []
    dropped = Counter[str]()
    try:
        for each in reader(server, parts.path, options):
            rows.append(_fields(each, columns or {}, dropped, address))
            vectors.append(np.asarray(each.vector, np.float32))
    except PanglotError:
        raise
    except Exception as error:  # Each client raises errors of its own kinds.
        raise PanglotError(
            f"cannot be read: {first_line(error)}", file=address, hint="check address and name"
        ) from error
    if not rows:
        raise PanglotError("the collection has no document with a vector", file=address, hint="check its name")
    for name, number in dropped.items():
        progress(f"left out, field {name} that is not a text, number, truth value or list of one of these: {number:,}")
    return rows, _unit(vectors, [str(row["id"]) for row in rows], address)


def _fields(row: _Row, columns: Mapping[str, str], dropped: Counter[str], address: str) -> dict[str, Value]:
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
        elif isinstance(value, Sequence) and name not in _OWN and kind_of(list(value)) != MIXED:
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


def _place(netloc: str, path: str, kind: str) -> tuple[str, str]:
    """Return the server or file of an address, and the name of the collection."""
    where, _, name = path.rpartition("/")
    if not name or not (netloc or where):
        hint = f"write {kind}:PLACE/NAME, such as {kind}:folder/help"
        raise PanglotError("the address names no collection", field="documents", hint=hint)
    return (netloc or where), name


def _chosen(names: Sequence[str], options: Mapping[str, str]) -> str:
    """Return the name of the vector to read."""
    if (name := options.get("vector")) in names:
        return str(name)
    if name is None and len(names) == 1:
        return names[0]
    problem = f"the rows have the vectors {', '.join(names) or 'none'}" + (f", and not {name}" if name else "")
    raise PanglotError(problem, field="vector", hint="name one of them with `?vector=NAME`")


def _existing(path: str) -> Path:
    # The clients would make an empty database.
    if not (found := Path(path).expanduser()).exists():
        raise PanglotError("there is no such folder or file", file=path, hint="check the path")
    return found


def _qdrant(netloc: str, path: str, options: Mapping[str, str]) -> Iterator[_Row]:
    import os

    require("a Qdrant collection", "qdrant_client", extra="qdrant")
    from qdrant_client import QdrantClient

    where, name = _place(netloc, path, "qdrant")
    if netloc:
        client = QdrantClient(url=where, api_key=os.environ.get("QDRANT_API_KEY"))
    else:
        client = QdrantClient(path=str(_existing(where)))
    try:
        offset: Any = None
        while True:
            points, offset = client.scroll(name, limit=_PIECE, offset=offset, with_payload=True, with_vectors=True)
            for each in points:
                vector: Any = each.vector
                if isinstance(vector, Mapping):
                    # Sparse vectors are objects, and those of late interaction are lists of lists.
                    dense = [key for key, one in vector.items() if isinstance(one, list) and np.ndim(one) == 1]
                    vector = vector[_chosen(dense, options)]
                if vector is not None:
                    yield _Row(str(each.id), each.payload or {}, vector)
            if offset is None:
                return
    finally:
        client.close()


def _milvus(netloc: str, path: str, options: Mapping[str, str]) -> Iterator[_Row]:
    import os

    require("a Milvus collection", "pymilvus", extra="milvus")
    from pymilvus import DataType, MilvusClient

    where, name = _place(netloc, path, "milvus")
    client: Any = MilvusClient(where if netloc else str(_existing(where)), token=os.environ.get("MILVUS_TOKEN", ""))
    try:
        fields: list[dict[str, Any]] = client.describe_collection(name)["fields"]
        key = next(each["name"] for each in fields if each.get("is_primary"))
        kinds = {each["name"]: DataType(each["type"]).name for each in fields}
        chosen = _chosen([each for each, kind in kinds.items() if kind in _MILVUS_KINDS], options)
        others = {each for each, kind in kinds.items() if "VECTOR" in kind} | {key}
        client.load_collection(name)
        rows: Any = client.query_iterator(name, batch_size=_PIECE, output_fields=["*"])
        while piece := rows.next():
            for each in piece:
                vector = _numbers(each[chosen], kinds[chosen])
                yield _Row(str(each[key]), {k: v for k, v in each.items() if k not in others}, vector)
    finally:
        client.close()


def _numbers(value: Any, kind: str) -> Any:
    """Return a vector of Milvus, which gives those of 16 bits as a list of one text of bytes.

    >>> _numbers([np.array([1, -2], np.float16).tobytes()], "FLOAT16_VECTOR").tolist()
    [1.0, -2.0]
    >>> _numbers([bytes([0x80, 0x3F, 0, 0xC0])], "BFLOAT16_VECTOR").tolist()
    [1.0, -2.0]
    """
    if kind == "FLOAT_VECTOR":
        return value
    raw = value if isinstance(value, bytes) else b"".join(value)
    if kind == "FLOAT16_VECTOR":
        return np.frombuffer(raw, np.float16)
    return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)


def _lancedb(netloc: str, path: str, options: Mapping[str, str]) -> Iterator[_Row]:
    require("a LanceDB table", "lancedb", extra="lancedb")
    import lancedb
    import pyarrow as pa

    where, name = _place(netloc, path, "lancedb")
    table = lancedb.connect(_existing(where)).open_table(name).to_arrow()
    chosen = _chosen([each.name for each in table.schema if pa.types.is_fixed_size_list(each.type)], options)
    for start in range(0, len(table), _PIECE):
        for row, each in enumerate(table.slice(start, _PIECE).to_pylist(), start):
            vector = each.pop(chosen)
            if vector is not None:
                yield _Row(str(each.pop("id", row)), each, vector)


def _postgresql(netloc: str, path: str, options: Mapping[str, str]) -> Iterator[_Row]:
    require("a PostgreSQL table", "psycopg", extra="pgvector")
    import psycopg
    from psycopg import sql
    from psycopg.rows import dict_row

    given = dict(options)
    name, vector, collection = given.pop("table", ""), given.pop("vector", None), given.pop("collection", None)
    if not name:
        raise PanglotError("the address names no table", field="documents", hint="write ?table=NAME behind it")
    address = f"postgresql://{netloc}{path}" + (f"?{urlencode(given)}" if given else "")
    connect: Any = psycopg.connect  # Its types do not follow the rows that the factory makes.
    with connect(address, row_factory=dict_row) as connection:
        connection.read_only = True
        found = connection.execute(
            "SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped", [name],
        ).fetchall()  # fmt: skip
        # Where the extension is in a schema of its own, the type has its name in front.
        vectors = [each["name"] for each in found if each["type"].rpartition(".")[2] in {"vector", "halfvec"}]
        chosen = _chosen(vectors, {"vector": vector} if vector else {})
        columns = [
            sql.SQL("{}::text").format(sql.Identifier(each["name"])) + sql.SQL(" AS ") + sql.Identifier(each["name"])
            if each["name"] in vectors
            else sql.Identifier(each["name"])
            for each in found
        ]
        query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), sql.Identifier(*name.split(".")))
        # Other tables may have a column `collection_id` too.
        if collection is not None or name.rpartition(".")[2] == "langchain_pg_embedding":
            query = sql.SQL("{} WHERE collection_id = {}").format(query, _langchain(connection, collection))
        with connection.cursor(name="panglot") as cursor:
            for row, each in enumerate(cursor.execute(query)):
                fields = {key: value for key, value in each.items() if key not in {*vectors, "id"}}
                if each[chosen] is not None:
                    yield _Row(str(each.get("id", row)), fields, json.loads(each[chosen]))


def _langchain(connection: Any, wanted: str | None) -> Any:
    """Return the id, as SQL, of a collection in LangChain's table of them. If there is only one, it is that."""
    from psycopg import sql

    rows = connection.execute("SELECT name, uuid FROM langchain_pg_collection")
    found = {each["name"]: each["uuid"] for each in rows}
    name = next(iter(found)) if wanted is None and len(found) == 1 else wanted
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        problem = f"the table has the collections {known}" + (f", and not {name}" if name else "")
        raise PanglotError(problem, field="documents", hint="name one of them with `&collection=NAME`")
    return sql.Literal(found[name])
