"""Read the rows of a collection of Qdrant, Milvus, LanceDB or pgvector with the client of each. Nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError

SCHEMES = ("qdrant:", "qdrant+https:", "milvus:", "milvus+https:", "lancedb:", "postgresql:")
_MILVUS_KINDS = {"FLOAT_VECTOR", "FLOAT16_VECTOR", "BFLOAT16_VECTOR"}
_PIECE = 1000


class Row(NamedTuple):
    """A row of a collection.

    Attributes:
        id: As text.
        fields: All but vectors and, where the store keeps it apart, the id.
        vector: The vector to read, or None if the row has none.
        vector_name: The name of its field. Qdrant's vectors are not fields.
        key: The name of the field with the id. Empty: there is none, and ids are numbers of rows.
    """

    id: str
    fields: Mapping[str, Any]
    vector: Any
    vector_name: str = ""
    key: str = "id"


def read_rows(address: str) -> Iterator[Row]:
    """Yield the rows of a collection. Each client raises errors of its own kinds."""
    kind = urlsplit(address).scheme.partition("+")[0]
    reader = {"qdrant": _qdrant, "milvus": _milvus, "lancedb": _lancedb, "postgresql": _postgresql}[kind]
    yield from reader(address)


def _options(address: str) -> dict[str, str]:
    # The vector without a name has an empty one.
    found = parse_qs(urlsplit(address).query, keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def collection_place(address: str) -> tuple[str, str]:
    """Return the server or the file of a collection in Qdrant, Milvus or LanceDB, and its name.

    >>> collection_place("qdrant+https://host:6333/help"), collection_place("lancedb:folder/help")
    (('https://host:6333', 'help'), ('folder', 'help'))
    """
    parts = urlsplit(address)
    kind, _, secure = parts.scheme.partition("+")
    where, _, name = parts.path.rpartition("/")
    if not name or not (parts.netloc or where):
        hint = f"write {kind}:PLACE/NAME, such as {kind}:folder/help"
        raise PanglotError("the address names no collection", field="documents", hint=hint)
    if parts.netloc and kind != "lancedb":
        return f"{secure or 'http'}://{parts.netloc}", name
    return (parts.netloc or where), name


def database_address(address: str) -> tuple[str, dict[str, str]]:
    """Return the address of a PostgreSQL database as its client takes it, and what names the rows: ``table``, ….

    >>> database_address("postgresql://host/db?table=help&sslmode=require")
    ('postgresql://host/db?sslmode=require', {'table': 'help'})
    """
    parts = urlsplit(address)
    given = _options(address)
    own = {name: given.pop(name) for name in ("table", "vector", "collection") if name in given}
    return f"postgresql://{parts.netloc}{parts.path}" + (f"?{urlencode(given)}" if given else ""), own


def _chosen(names: Sequence[str], address: str) -> str:
    """Return the name of the vector to read."""
    if (name := _options(address).get("vector")) in names:
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


def _qdrant(address: str) -> Iterator[Row]:
    require("a Qdrant collection", "qdrant_client", extra="qdrant")
    from qdrant_client import QdrantClient

    where, name = collection_place(address)
    if "://" in where:
        client = QdrantClient(url=where, api_key=os.environ.get("QDRANT_API_KEY"))
    else:
        client = QdrantClient(path=str(_existing(where)))
    try:
        shapes: Any = client.get_collection(name).config.params.vectors or {}
        # Those of late interaction are lists of lists. Sparse vectors are described elsewhere.
        named = shapes if isinstance(shapes, Mapping) else {"": shapes}
        chosen = _chosen([key for key, shape in named.items() if shape.multivector_config is None], address)
        offset: Any = None
        while True:
            points, offset = client.scroll(name, limit=_PIECE, offset=offset, with_payload=True, with_vectors=True)
            for each in points:
                vector: Any = each.vector
                vector = vector.get(chosen) if isinstance(vector, Mapping) else vector
                yield Row(str(each.id), each.payload or {}, vector)
            if offset is None:
                return
    finally:
        client.close()


def _milvus(address: str) -> Iterator[Row]:
    require("a Milvus collection", "pymilvus", extra="milvus")
    from pymilvus import DataType, MilvusClient

    where, name = collection_place(address)
    uri = where if "://" in where else str(_existing(where))
    client: Any = MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""))
    try:
        fields: list[dict[str, Any]] = client.describe_collection(name)["fields"]
        key = next(each["name"] for each in fields if each.get("is_primary"))
        kinds = {each["name"]: DataType(each["type"]).name for each in fields}
        chosen = _chosen([each for each, kind in kinds.items() if kind in _MILVUS_KINDS], address)
        others = {each for each, kind in kinds.items() if "VECTOR" in kind} | {key}
        client.load_collection(name)
        rows: Any = client.query_iterator(name, batch_size=_PIECE, output_fields=["*"])
        while piece := rows.next():
            for each in piece:
                vector = _numbers(each[chosen], kinds[chosen])
                yield Row(str(each[key]), {k: v for k, v in each.items() if k not in others}, vector, chosen, key)
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


def _lancedb(address: str) -> Iterator[Row]:
    require("a LanceDB table", "lancedb", extra="lancedb")
    import lancedb
    import pyarrow as pa

    where, name = collection_place(address)
    table = lancedb.connect(_existing(where)).open_table(name).to_arrow()
    chosen = _chosen([each.name for each in table.schema if pa.types.is_fixed_size_list(each.type)], address)
    for start in range(0, len(table), _PIECE):
        for row, each in enumerate(table.slice(start, _PIECE).to_pylist(), start):
            vector = each.pop(chosen)
            yield Row(str(each.pop("id", row)), each, vector, chosen)


def _postgresql(address: str) -> Iterator[Row]:
    require("a PostgreSQL table", "psycopg", extra="pgvector")
    import psycopg
    from psycopg import sql
    from psycopg.rows import dict_row

    database, own = database_address(address)
    name, collection = own.get("table", ""), own.get("collection")
    if not name:
        raise PanglotError("the address names no table", field="documents", hint="write ?table=NAME behind it")
    connect: Any = psycopg.connect  # Its types do not follow the rows that the factory makes.
    with connect(database, row_factory=dict_row) as connection:
        connection.read_only = True
        found = connection.execute(
            "SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped", [name],
        ).fetchall()  # fmt: skip
        # Where the extension is in a schema of its own, the type has its name in front.
        vectors = [each["name"] for each in found if each["type"].rpartition(".")[2] in {"vector", "halfvec"}]
        chosen = _chosen(vectors, address)
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
                key, text = "id" if "id" in each else "", each[chosen]
                yield Row(str(each.get("id", row)), fields, None if text is None else json.loads(text), chosen, key)


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
