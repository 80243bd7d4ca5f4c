"""Documents, and their scores in a store or a ranking."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, cast

from panglot._errors import PanglotError
from panglot._files import digest

Scalar = str | int | float | bool

Value = Scalar | Sequence[Scalar] | None
"""What a metadata field may hold. The values of a list are of one kind."""

MIXED = "mixed"
"""The kind of a field whose values cannot be compared with one another."""

LIST = "list of "

_NAMES: dict[type, str] = {str: "text", int: "int", float: "float", bool: "bool"}


def kind_of(value: object) -> str:
    """Return the kind of a value: ``text``, ``int``, ``float``, ``bool``, a list of one of these, or :data:`MIXED`.

    >>> kind_of(2024), kind_of(["a", "b"]), kind_of([1, 2.5]), kind_of([1, "b"]), kind_of([])
    ('int', 'list of text', 'list of float', 'mixed', 'list of ')
    """
    if isinstance(value, list | tuple):
        found = LIST
        for each in cast("Sequence[object]", value):
            kind = kind_of(each)
            found = MIXED if kind.startswith(LIST) else join_kinds(found, LIST + kind)
        return found
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        return MIXED
    return _NAMES.get(type(value), MIXED)


def join_kinds(one: str, other: str) -> str:
    """Return the kind of a field that has values of both kinds.

    An integer becomes a float, and a single value a list.

    >>> join_kinds("int", "float"), join_kinds("text", "list of text"), join_kinds("text", "int")
    ('float', 'list of text', 'mixed')
    """
    if one == other:
        return one
    kinds = {one.removeprefix(LIST), other.removeprefix(LIST)} - {""}
    if kinds == {"int", "float"}:
        kinds = {"float"}
    if len(kinds) > 1 or kinds & {MIXED}:
        return MIXED
    prefix = LIST if one.startswith(LIST) or other.startswith(LIST) else ""
    return prefix + "".join(kinds)


@dataclass(frozen=True)
class Document:
    """A text that can be found.

    Attributes:
        id: Unique within an index.
        text: What is searched and shown.
        title: Encoded in front of the text, if there is one.
        language: Canonical BCP 47. It is detected if the source does not name it.
        group: Shared by all translations of one text. Empty if it has none.
        metadata: Further fields, kept as they are. A search can be filtered by them.
    """

    id: str
    text: str
    title: str = ""
    language: str = ""
    group: str = ""
    metadata: Mapping[str, Value] = field(default_factory=dict[str, Value])

    @property
    def full_text(self) -> str:
        r"""Title and text, as they are encoded.

        >>> Document("1", "Click Print.", "Printing").full_text
        'Printing\nClick Print.'
        """
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def flat_metadata(self) -> dict[str, Value]:
        """Everything but id and text in one dictionary, which is where other libraries look for it."""
        return {**self.metadata, "title": self.title, "language": self.language, "group": self.group}

    def only(self, fields: Collection[str]) -> Document:
        """Return it with only these of text, title and metadata. Id, language and group stay.

        >>> Document("1", "Click Print.", "Printing", "en", metadata={"page": 3, "year": 2024}).only(["title", "year"])
        Document(id='1', text='', title='Printing', language='en', group='', metadata={'year': 2024})
        """
        metadata = {name: value for name, value in self.metadata.items() if name in fields}
        texts = {name: getattr(self, name) if name in fields else "" for name in ("text", "title")}
        return replace(self, **texts, metadata=metadata)


def document_digest(document: Document) -> str:
    """Return a digest of all fields of a document."""
    return digest(json.dumps(asdict(document), sort_keys=True))


def kinds_of(documents: Iterable[Document], known: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of the fields of metadata after documents were added to those whose kinds are ``known``."""
    found = dict(known)
    for each in documents:
        for name, value in each.metadata.items():
            if value is not None:
                kind = kind_of(value)
                found[name] = join_kinds(found.get(name, kind), kind)
    return found


def check_kinds(documents: Sequence[Document], known: Mapping[str, str]) -> None:
    """Raise a :class:`PanglotError` if metadata do not fit the kinds of the fields of an index.

    >>> check_kinds([Document("1", "x", metadata={"year": "soon"})], {"year": "int"})
    Traceback (most recent call last):
    panglot._errors.PanglotError: field "metadata": `year` of '1' must be int as in the index, got text. Fix: change...
    """
    for each in documents:
        for name, value in each.metadata.items():
            kind = known.get(name, MIXED)
            if value is None or kind == MIXED:
                continue
            joined = join_kinds(kind, kind_of(value))
            if joined == MIXED or (joined.startswith(LIST) and not kind.startswith(LIST)):
                problem = (
                    f"`{name}` of {each.id!r} must be {kind.strip()} as in the index, got {kind_of(value).strip()}"
                )
                raise PanglotError(problem, field="metadata", hint="change it, or index it under another name")


class ScoredDocument(NamedTuple):
    """The score of a document for a query, from the store to the result. Rankings are lists of these, best first."""

    id: str
    score: float  # A store gives the dot product of two unit vectors, which is their cosine.
    language: str
    group: str = ""
    explanation: Mapping[str, float] = {}  # What the score consists of. See panglot.search.request.Hit.
