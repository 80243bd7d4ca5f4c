"""Milvus's side of :mod:`panglot.search.storage.milvus`: addresses, collections, keys, filters and errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from panglot._environment import require
from panglot._errors import PanglotError, first_line
from panglot.search.document import LIST, OWN_FIELDS, Condition, Group
from panglot.search.storage.store import COLUMNS, as_row, pieces

if TYPE_CHECKING:
    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Document, Filter

_LONGEST = 65_535  # Bytes of a text that Milvus accepts.
MOST = 16_384  # Rows that Milvus returns at most.
FRESH = 5.0  # Seconds for which counts and kinds are kept, because they take requests of their own.

_REQUEST = 32 << 20  # Servers refuse requests of 64 MB.
_LISTED = 1000  # Keys in one expression.
_FORMS = "milvus://host:port/name, or milvus:FILE.db/name for milvus-lite"


@dataclass(frozen=True)
class Address:
    """Where a store is in Milvus."""

    uri: str  # What pymilvus connects to: an address, or the file of milvus-lite.
    name: str  # The beginning of the names of its collections.
    index: Literal["HNSW", "FLAT"] = "HNSW"

    @property
    def is_lite(self) -> bool:
        """Whether it is a file of milvus-lite."""
        return self.uri.endswith(".db")

    @classmethod
    def parse(cls, where: str) -> Address:
        """Read ``milvus://host:port/name`` or ``milvus:FILE.db/name``, with ``?index=flat`` for exact search.

        ``milvus+https://`` is a server behind TLS.

        In milvus-lite, search is exact unless ``?index=hnsw`` is given, because its graph finds few of the documents
        in a rare language.

        >>> Address.parse("milvus://localhost:19530/help?index=flat")
        Address(uri='http://localhost:19530', name='help', index='FLAT')
        >>> Address.parse("milvus:data/lite.db/help")
        Address(uri='data/lite.db', name='help', index='FLAT')
        """
        plain, _, query = where.partition("?")
        scheme, _, rest = plain.partition(":")
        place, _, name = rest.rpartition("/")
        default = "hnsw" if place.startswith("//") else "flat"
        choice = parse_qs(query).get("index", [default])[0].upper()
        secure = scheme == "milvus+https"
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", name) or not (secure or scheme == "milvus"):
            raise PanglotError(f"not the address of a store: {where}", field="store", hint=f"write {_FORMS}")
        if choice not in ("HNSW", "FLAT"):
            problem = f"`index` must be hnsw or flat, got {choice.lower()}"
            raise PanglotError(problem, field="store", hint="write ?index=flat")
        if place.startswith("//"):
            if not urlsplit(place).hostname:
                raise PanglotError(f"the address has no host: {where}", field="store", hint=f"write {_FORMS}")
            return cls(f"{'https' if secure else 'http'}:{place}", name, choice)
        if secure or not place.endswith(".db"):
            problem = f"the file of milvus-lite must end with .db, got {place}"
            raise PanglotError(problem, field="store", hint=f"write {_FORMS}")
        return cls(place, name, choice)


def connect(address: Address) -> Any:
    """Return a client, which a server knows by ``MILVUS_TOKEN``."""
    packages, extra = (("pymilvus", "milvus_lite"), "milvus-lite") if address.is_lite else (("pymilvus",), "milvus")
    require("the store in Milvus", *packages, extra=extra, field="store")
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # It logs what it raises, with a traceback.
    with explained(address):
        return MilvusClient(uri=address.uri, token=os.environ.get("MILVUS_TOKEN", ""), timeout=10)


@contextlib.contextmanager
def explained(address: Address) -> Generator[None]:
    """Turn Milvus's errors into a :class:`PanglotError`."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        reason = (error.message or "").partition("\n")[0] or first_line(error)
        raise PanglotError(
            f"Milvus: {reason}", file=address.uri, field="store", hint="check that it runs there, and read its log"
        ) from error


def create(
    client: Any, name: str, texts: Mapping[str, int], dimension: int, index: str, *, metadata: bool = False
) -> None:
    """Make a collection with a ``key``, texts of limited length, a ``vector`` and perhaps ``metadata``, and load it."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=128)
    for text, longest in texts.items():
        schema.add_field(text, DataType.VARCHAR, max_length=longest)
    if metadata:
        schema.add_field("metadata", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    params = client.prepare_index_params()
    # The graph of the embedded store has the same size.
    more = {"M": 16, "efConstruction": 128} if index == "HNSW" else {}
    params.add_index("vector", index_type=index, metric_type="IP", params=more)
    # A collection without the row that describes its store is left of a making that broke off.
    if client.has_collection(name):
        client.drop_collection(name)
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")


def create_store(client: Any, address: Address, collections: Iterable[str], dimension: int) -> None:
    """Make the collections of a store: what describes it, and one per vector field, the documents in the first."""
    create(client, f"{address.name}_about", {"value": _LONGEST}, 2, "FLAT")
    shown = {**dict.fromkeys(COLUMNS, _LONGEST), "code": 128, "stamp": 64}
    for place, name in enumerate(collections):
        texts = {"document": 64, "code": 128} if place else shown
        create(client, name, texts, dimension, address.index, metadata=True)


def load(client: Any, address: Address, about: str, collections: Sequence[str]) -> None:
    """Load the collections of a store. Those with vectors get the index that the address of milvus-lite names."""
    for collection in (about, *collections):
        client.load_collection(collection)
    for collection in collections if address.index == "FLAT" and address.is_lite else ():
        make_flat(client, collection)


def make_flat(client: Any, name: str) -> None:
    """Let a collection compare all vectors, if it has a graph."""
    if client.describe_index(name, "vector")["index_type"] == "FLAT":
        return
    params = client.prepare_index_params()
    params.add_index("vector", index_type="FLAT", metric_type="IP", params={})
    client.release_collection(name)
    client.drop_index(name, "vector")
    client.create_index(name, params)
    client.load_collection(name)


def key(identifier: str) -> str:
    """Return the primary key of an id: 32 hexadecimal digits, so that no id is ever part of an expression."""
    return hashlib.blake2b(identifier.encode(), digest_size=16).hexdigest()


def code(language: str) -> str:
    """Return a language as expressions name it: itself if it has only letters, digits and hyphens, else a digest.

    >>> code("zh-Hant"), code('" or true or "')[:9]
    ('zh-Hant', '#38b25b1d')
    """
    return language if re.fullmatch("[A-Za-z0-9-]{1,64}", language) else f"#{key(language)}"


def among(field: str, values: Iterable[str]) -> str:
    """Return the expression that ``field`` is one of some keys or codes.

    >>> among("code", ["de", "fr"])
    'code in ["de", "fr"]'
    """
    return f"{field} in {json.dumps(list(values))}"


def in_texts(field: str, values: Iterable[str]) -> str:
    r"""Return the expression that ``field`` is one of some texts, which may hold any characters.

    >>> print(in_texts("group", ['7"', "表\\n"]))
    group in ["7\"", "表\\n"]
    """
    return f"{field} in [{', '.join(map(_literal, values))}]"


class Pool(NamedTuple):
    """The documents that may be found."""

    languages: Sequence[str] | None  # None: in any language.
    where: str  # What metadata must be, as an expression. Empty if they may be anything.

    @property
    def expression(self) -> str:
        """The expression for its rows. It is empty if all are wanted."""
        chosen = self.languages
        within = "" if chosen is None else among("code", sorted({code(each) for each in chosen}))
        return " and ".join(part for part in (within, self.where) if part)


def _fields_of(document: Document) -> dict[str, Any]:
    """Return by name in expressions what a document can be filtered by."""
    own = {name: value for name in OWN_FIELDS if (value := getattr(document, name))}
    return {safe(name): value for name, value in {**document.metadata, **own}.items() if value is not None}


def safe(name: str) -> str:
    """Return the name of a field as expressions have it, so that no name is ever part of one."""
    return name if re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,63}", name) else f"_{key(name)}"


def bound_expression(where: Filter, kinds: Mapping[str, str], *, filterable: bool) -> str:
    """Return a filter as an expression of Milvus, unless the store was made without metadata to filter by."""
    if not filterable:
        hint = "build the index again in another store"
        raise PanglotError("the store was made before documents could be filtered", field="where", hint=hint)
    return expression(where.bound(kinds), kinds)


def expression(where: Filter, kinds: Mapping[str, str]) -> str:
    """Return a bound filter as an expression of Milvus, given the kinds of the fields.

    >>> from panglot.search.document import Condition, Group
    >>> expression(Group("not", (Condition("year", ">=", 2024),)), {"year": "int"})
    '(not ((exists metadata["year"]) and (metadata["year"] >= 2024)))'
    """
    if isinstance(where, Group):
        parts = [expression(each, kinds) for each in where.parts]
        return f"(not {parts[0]})" if where.operator == "not" else f"({f' {where.operator} '.join(parts)})"
    assert isinstance(where, Condition)
    value = where.value
    name = f'metadata["{safe(where.field)}"]'
    if where.operator == "exists":
        return f"(exists {name})"
    if where.operator in ("=", "in"):
        values = [_literal(each) for each in (value if isinstance(value, tuple) else (value,))]
        # milvus-lite knows no `in` for fields in JSON, and both know no empty list.
        holds = [f"{name} == {each}" for each in values] or ['key == ""']
        # Some documents may have a value without a list.
        if kinds.get(where.field, "").startswith(LIST) and values:
            holds.append(f"json_contains_any({name}, [{', '.join(values)}])")
    else:
        holds = [f"{name} {where.operator} {_literal(value)}"]
    # Versions differ in what they make of a field that is missing.
    return f"((exists {name}) and {_either(holds)})"


def _either(parts: Sequence[str]) -> str:
    """Return parts joined by ``or``, two and two, because a long chain is nested too deeply for milvus-lite."""
    if len(parts) == 1:
        return f"({parts[0]})"
    middle = len(parts) // 2
    return f"({_either(parts[:middle])} or {_either(parts[middle:])})"


# A server and milvus-lite read these escapes and no others in common, and every other character as it is.
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def _literal(value: object) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def lists(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield values in lists that are short enough for one expression."""
    for part in pieces(len(values), _LISTED):
        yield values[part]


def requests(rows: Sequence[Mapping[str, Any]], dimension: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield rows in lists that are small enough for a request."""
    begin = size = 0
    for at, row in enumerate(rows):
        more = 4 * dimension + sum(4 * len(str(value)) for value in row.values() if isinstance(value, str | dict))
        if at > begin and size + more > _REQUEST:
            yield rows[begin:at]
            begin, size = at, 0
        size += more
    if begin < len(rows):
        yield rows[begin:]


def ranges(count: int) -> Iterator[str]:
    """Yield expressions that divide ``count`` evenly spread keys into parts that each fit into one answer.

    >>> list(ranges(100)), len(list(ranges(1_000_000)))
    (['key >= ""'], 256)
    """
    digits = 0
    # Parts of evenly spread keys differ in size, so that they are planned four times smaller than an answer.
    while count > MOST // 4 * 16**digits:
        digits += 1
    edges = [f"{edge:0{digits}x}" if digits else "" for edge in range(16**digits)]
    for at, edge in enumerate(edges):
        yield f'key >= "{edge}"' + (f' and key < "{edges[at + 1]}"' if at + 1 < len(edges) else "")


def row(document: Document, stamp: str, *, metadata: bool) -> dict[str, Any]:
    """Return a document as a row of the main collection, without its vector."""
    found = as_row(document)
    fields = _fields_of(document) if metadata else {}
    for name, value in {**found, "metadata": json.dumps(fields, ensure_ascii=False)}.items():
        if len(value.encode()) > _LONGEST:
            problem = f"{document.id[:100]!r} is too long for Milvus: more than {_LONGEST} bytes"
            raise PanglotError(problem, field=name, hint="cut it into passages, or use the embedded store")
    more = {"metadata": fields} if metadata else {}
    return {**found, **more, "key": key(document.id), "code": code(document.language), "stamp": stamp}


def joined(row: Mapping[str, Any], stamp: str, vector: Vectors) -> dict[str, Any]:
    """Return the row of a further vector field that belongs to a row of the main collection."""
    same = {name: row[name] for name in ("code", "metadata") if name in row}
    return {"key": row["key"] + stamp, "document": row["key"], "vector": vector, **same}


def belongs(entity: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a row of a further vector field is the one that its document names."""
    document = known.get(entity["document"])
    return document is not None and entity["key"] == entity["document"] + document["stamp"]
