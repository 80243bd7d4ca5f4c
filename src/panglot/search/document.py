"""Documents, their scores in a store or a ranking, and filters on their metadata.

A filter is a condition, or a group of them. A condition on a field that a document lacks is false. A group ``not`` is
the opposite, so that it holds for such a document. A condition on a list holds if it holds for one of its values.
:mod:`panglot.search.filter_syntax` reads filters.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, NamedTuple, NoReturn, cast

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.language import canonical_or_none

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


def count_kinds(rows: Iterable[Mapping[str, Value]], counts: dict[str, dict[str, int]]) -> None:
    """Add to ``counts``, for each field of metadata and each kind of value, the number of rows that have it."""
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kind, of_field = kind_of(value), counts.setdefault(name, {})
                of_field[kind] = of_field.get(kind, 0) + 1


def joined_kinds(several: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, str]:
    """Return the kinds of fields over several parts, each with its number of documents by field and kind.

    >>> joined_kinds([{"year": {"int": 2, "text": 0}}, {"year": {"float": 1}, "tags": {"text": 0}}])
    {'year': 'float'}
    """
    found: dict[str, str] = {}
    for counts in several:
        for name, of_field in counts.items():
            for kind in (kind for kind, number in of_field.items() if number):
                found[name] = join_kinds(found.get(name, kind), kind)
    return found


def check_kinds(documents: Sequence[Document], known: Mapping[str, str], where: str = "the index") -> None:
    """Raise a :class:`PanglotError` if metadata do not fit the kinds of the fields ``where`` they are added.

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
                got = kind_of(value).strip()
                problem = f"`{name}` of {each.id!r} must be {kind.strip()} as in {where}, got {got}"
                raise PanglotError(problem, field="metadata", hint="change it, or index it under another name")


def checked_kinds(pieces: Iterable[Sequence[Document]], known: Mapping[str, str]) -> Iterator[Sequence[Document]]:
    """Yield pieces of documents that an index will hold alone, and refuse one that makes a field :data:`MIXED`.

    A field may be mixed if it is already, or is new, as in an index that is built. ``known`` has the kinds there.
    """
    found: dict[str, str] = {}
    for piece in pieces:
        before, found = found, kinds_of(piece, found)
        if wrong := [name for name, kind in found.items() if kind == MIXED != known.get(name, MIXED)]:
            for each in piece:
                check_kinds([each], {name: before[name] for name in wrong if name in before}, "the documents before it")
                before = kinds_of([each], before)
        yield piece


def check_fields(names: Collection[str], kinds: Mapping[str, str]) -> None:
    """Raise a :class:`PanglotError` for a name that is not a field of documents with metadata of these ``kinds``.

    >>> check_fields(["titel"], {"year": "int"})
    Traceback (most recent call last):
    panglot._errors.PanglotError: field "fields": the documents have no field 'titel'. Fix: write title, or another...
    """
    known = [*sorted(kinds), "text", *OWN_FIELDS]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            shown = ", ".join(known if len(known) <= _SHOWN else [*known[: _SHOWN - 5], "…", *known[-5:]])
            hint = f"write {near[0]}, or another of {shown}" if near else f"write one of {shown}"
            raise PanglotError(f"the documents have no field {name!r}", field="fields", hint=hint)


class ScoredDocument(NamedTuple):
    """The score of a document for a query, from the store to the result. Rankings are lists of these, best first."""

    id: str
    score: float  # A store gives the dot product of two unit vectors, which is their cosine.
    language: str
    group: str = ""
    explanation: Mapping[str, float] = {}  # What the score consists of. See panglot.search.request.Hit.


OWN_FIELDS = {"id": "text", "title": "text", "language": "text", "group": "text"}
"""The fields of every document, with their kinds. One that is empty is missing."""

_SHOWN = 25  # Most names in an error.

FIELD = "where"
"""The field of a request that errors name."""

ORDERED = ("<", "<=", ">", ">=")

# A field with another name, or with one of these, is written in backquotes.
WORD = "[^\\s\"'`<>=!(),\\[\\]]+"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
KEYWORDS = {"and", "or", "not", "in", "contains", "is", "null", "true", "false"}


class Filter:
    """A condition on the metadata of documents, or several of them."""

    def bound(self, fields: Mapping[str, str]) -> Filter:
        """Return the same filter with values of the kinds of the fields, after checking that these are there.

        Args:
            fields: The kinds of the fields of metadata by name, as :func:`panglot.search.document.kind_of` names them.

        Raises:
            PanglotError: A field is not there, or cannot be compared so.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Condition(Filter):
    """A condition on one field. Its value is a tuple if the operator is ``in``, and None if it is ``exists``."""

    field: str
    operator: Literal["=", "<", "<=", ">", ">=", "in", "contains", "exists"]
    value: Scalar | tuple[Scalar, ...] | None = None

    def __str__(self) -> str:
        """Return it as text."""
        name = self.field
        if not re.fullmatch(WORD, name) or name.lower() in KEYWORDS or NUMBER.fullmatch(name):
            name = f"`{name.replace('`', '``')}`"
        if self.operator == "exists":
            return f"{name} is not null"
        if isinstance(self.value, tuple):
            return f"{name} in [{', '.join(map(_literal, self.value))}]"
        return f"{name} {self.operator} {_literal(self.value)}"

    def bound(self, fields: Mapping[str, str]) -> Condition:
        """See :meth:`Filter.bound`. Comparisons of an integer with a fraction become ones with an integer."""
        kind = {**fields, **OWN_FIELDS}.get(self.field)
        if kind is None:
            self._refuse_name(fields)
        if kind == MIXED:
            problem = f"the field `{self.field}` has values of several kinds, which cannot be compared"
            raise PanglotError(problem, field=FIELD, hint="index documents in which they are of one kind")
        if self.operator == "exists":
            return self
        values = cast("tuple[Scalar, ...]", self.value if isinstance(self.value, tuple) else (self.value,))
        single, many = kind.removeprefix(LIST), kind.startswith(LIST)
        for value in values:
            self._check(value, kind, single)
        if self.field == "language":  # Documents have canonical codes.
            values = tuple(canonical_or_none(str(value)) or value for value in values)
        operator = "=" if self.operator == "contains" else self.operator
        if operator in ORDERED and (many or single == "bool"):
            problem = f"`{self.field}` is {_a(kind)}, which `{operator}` cannot compare"
            raise PanglotError(problem, field=FIELD, hint="use `contains`" if many else "use `= true` or `= false`")
        if self.operator == "contains" and not many:
            problem = f"`contains` needs a list, but `{self.field}` is {_a(kind)}"
            raise PanglotError(problem, field=FIELD, hint="use `=`, or `hybrid` to search for words")
        if not single:  # All lists are empty.
            return Condition(self.field, "in", ())
        if single == "float":
            values = tuple(float(cast("float", value)) for value in values)
        elif single == "int":
            if operator in ORDERED:
                (value,) = cast("tuple[float]", values)
                values = (math.floor(value) if operator in ("<=", ">") else math.ceil(value),)
            else:
                operator = "in" if len(values) == 1 and values[0] != int(cast("float", values[0])) else operator
                values = tuple(int(cast("float", value)) for value in values if value == int(cast("float", value)))
        return Condition(self.field, operator, tuple(values) if operator == "in" else values[0])

    def _refuse_name(self, fields: Mapping[str, str]) -> NoReturn:
        near = difflib.get_close_matches(self.field, [*fields, *OWN_FIELDS], 1)
        meant = f"write `{near[0]}`, or another of" if near else "write one of"
        known = ", ".join(f"`{name}` ({_name(kind)})" for name, kind in sorted(fields.items())[:20])
        more = f" and {len(fields) - 20} more" if len(fields) > 20 else ""
        own = ", ".join(f"`{name}`" for name in OWN_FIELDS)
        hint = f"{meant} {known}{more}{', ' if known else ''}{own}"
        raise PanglotError(f"the documents have no field `{self.field}`", field=FIELD, hint=hint)

    def _check(self, value: Scalar, kind: str, single: str) -> None:
        found = kind_of(value)
        if found == MIXED or (found == "float" and single == "int" and abs(cast("float", value)) >= 1 << 63):
            problem = f"the number {value} for `{self.field}` has more than 64 bits"
            raise PanglotError(problem, field=FIELD, hint="write a smaller one")
        if not single or found == single or {found, single} == {"int", "float"}:
            return
        if single == "text" and self.operator in ORDERED and found in ("int", "float"):
            problem = f'`{self.field}` is {_a(kind)}, and texts do not compare as numbers: "10" comes before "9"'
            hint = "index numbers, from JSON or Parquet, because cells of CSV are texts"
            raise PanglotError(problem, field=FIELD, hint=hint)
        problem = f"`{self.field}` is {_a(kind)}, expected {_a(single)} after `{self.operator}`, got {_a(found)}"
        hints = {"text": f"write it in quotes: {_literal(str(value))}", "bool": "write true or false"}
        raise PanglotError(problem, field=FIELD, hint=hints.get(single, "write a number without quotes"))


@dataclass(frozen=True)
class Group(Filter):
    """Conditions of which all, one or more, or not its only one must hold."""

    operator: Literal["and", "or", "not"]
    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        """Return it as text."""
        shown = [
            f"({each})" if isinstance(each, Group) and each.operator != "not" else str(each) for each in self.parts
        ]
        return f"not {shown[0]}" if self.operator == "not" else f" {self.operator} ".join(shown)

    def bound(self, fields: Mapping[str, str]) -> Group:
        """See :meth:`Filter.bound`."""
        return Group(self.operator, tuple(each.bound(fields) for each in self.parts))


def _name(kind: str) -> str:
    return "empty list" if kind == LIST else kind


def _a(kind: str) -> str:
    """Return the kind with its article, as it stands in a sentence."""
    return {"int": "an int", "text": "text"}.get(kind, f"a {_name(kind)}" if kind != LIST else "an empty list")


def _literal(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return str(value).lower() if isinstance(value, bool) else repr(value)
