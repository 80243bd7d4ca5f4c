"""Read filters on the metadata of documents from text or JSON.

===================================== ==========================================================
text                                  JSON
===================================== ==========================================================
``product = "calc"``                  ``{"product": "calc"}`` or ``{"product": {"$eq": "calc"}}``
``year >= 2024 and not draft = true`` ``{"year": {"$gte": 2024}, "$not": {"draft": true}}``
``a = 1 or b in [2, 3]``              ``{"$or": [{"a": 1}, {"b": {"$in": [2, 3]}}]}``
``tags contains "pdf"``               ``{"tags": {"$contains": "pdf"}}``
``group is not null``                 ``{"group": {"$exists": true}}``
===================================== ==========================================================

A condition on a field that a document lacks is false. ``!=`` and ``not in`` are the opposite of ``=`` and ``in``, so
that they hold for it. A condition on a list holds if it holds for one of its values.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NoReturn, cast
from unicodedata import east_asian_width

from panglot._errors import PanglotError
from panglot.data.letters import encodable
from panglot.search.document import (
    FIELD,
    KEYWORDS,
    MIXED,
    NUMBER,
    ORDERED,
    WORD,
    Condition,
    Filter,
    Group,
    Scalar,
    kind_of,
)

_MAX_VALUES = 1000  # Values in a list, and conditions in a filter.
_MAX_DEPTH = 50


def parse_filter(value: object) -> Filter | None:
    """Return the filter that a text or a mapping as of JSON means, or None if it is empty.

    Raises:
        PanglotError: It cannot be read. The hint shows where.

    >>> print(parse_filter('year >= 2024 AND NOT (draft = true OR product IN ("calc"))'))
    year >= 2024 and not (draft = true or product in ["calc"])
    >>> print(parse_filter({"year": {"$gte": 2024, "$lt": 2026}, "product": {"$ne": "calc"}}))
    (year >= 2024 and year < 2026) and not product = "calc"
    """
    if isinstance(value, Filter):
        return value
    if isinstance(value, str):
        encodable(value, FIELD)
        if not value.strip():
            return None
        if not value.lstrip().startswith("{"):
            return _checked(_Parser(value).read())
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise PanglotError(f"not JSON: {error}", field=FIELD, hint="close brackets and quotes") from error
    if value is not None and not isinstance(value, Mapping):
        problem = f"a filter must be a text or an object, got {type(value).__name__}"
        raise PanglotError(problem, field=FIELD, hint='write year >= 2024, or {"year": {"$gte": 2024}}')
    return _checked(_of_mapping(cast("Mapping[Any, Any]", value), 0)) if value else None


def _checked(found: Filter) -> Filter:
    waiting, count = [found], 0
    while waiting:
        count += 1
        each = waiting.pop()
        waiting += each.parts if isinstance(each, Group) else ()
        if isinstance(each, Condition) and isinstance(each.value, tuple) and len(each.value) > _MAX_VALUES:
            problem = f"a list may have at most {_MAX_VALUES:,} values, got {len(each.value):,}"
            raise PanglotError(problem, field=FIELD, hint="ask for fewer at once")
    if count > _MAX_VALUES:
        problem = f"a filter may have at most {_MAX_VALUES:,} conditions, got {count:,}"
        raise PanglotError(problem, field=FIELD, hint="use `in`, or ask for fewer at once")
    return found


def _negated(found: Filter) -> Group:
    return Group("not", (found,))


def _too_deep() -> PanglotError:
    problem = f"the filter is nested more than {_MAX_DEPTH} times"
    return PanglotError(problem, field=FIELD, hint="write it with fewer parentheses or objects")


# Text

_TOKEN = re.compile(rf"""(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<quoted>`(?:[^`]|``)+`)|(?P<word>{WORD})"""
                    r"|(?P<sign><=|>=|!=|<>|==|[<>=()\[\],])|(?P<wrong>\S)")  # fmt: skip


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    @property
    def word(self) -> str:
        """The keyword or sign, in small letters. Empty for a name in quotes or a text."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


class _Parser:
    """Read a text by recursive descent: ``or`` of ``and`` of ``not`` of conditions or parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        found = (_Token(match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(text))
        self._tokens = [*found, _Token("end", "", len(text.rstrip()))]
        self._at = self._depth = 0

    def read(self) -> Filter:
        found = self._either()
        if self._token.kind != "end":
            self._refuse("`and`, `or` or the end")
        return found

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *words: str) -> bool:
        """Go on behind the next token if it is one of some keywords or signs."""
        taken = self._token.word in words
        self._at += taken
        return taken

    def _need(self, *words: str) -> None:
        if not self._take(*words):
            self._refuse(" or ".join(f"`{word}`" for word in words))

    def _refuse(self, expected: str, hint: str = "correct it there") -> NoReturn:
        """Raise an error with the part of the text around the next token, and a caret below it."""
        token = self._token
        got = "the end" if token.kind == "end" else f"`{token.text[:40]}`"
        begin = max(0, token.position - 40)
        before = self._text[begin : token.position].replace("\n", " ")
        after = self._text[token.position : token.position + 30].replace("\n", " ")
        blank = " " * sum(1 + (east_asian_width(letter) in "WF") for letter in before)
        problem = f"expected {expected} at character {token.position + 1}, got {got}"
        raise PanglotError(problem, field=FIELD, hint=f"{hint}:\n  {before}{after}\n  {blank}^")

    def _either(self) -> Filter:
        return self._several("or", lambda: self._several("and", self._one))

    def _several(self, word: Literal["and", "or"], part: Any) -> Filter:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return Group(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _too_deep()
        if self._take("not"):
            found: Filter = _negated(self._one())
        elif self._take("("):
            found = self._either()
            self._need(")")
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Filter:
        token = self._token
        if token.kind not in ("word", "quoted") or token.word in KEYWORDS:
            self._refuse("the name of a field")
        name = token.text if token.kind == "word" else token.text[1:-1].replace("``", "`")
        self._at += 1
        if self._take("is"):
            negated = self._take("not")
            self._need("null")
            found: Filter = Condition(name, "exists")
            return found if negated else _negated(found)
        negated = self._take("not")
        operator: Any = self._token.word
        if operator in ("in", "contains"):
            self._at += 1
            found = Condition(name, operator, self._values() if operator == "in" else self._value())
            return _negated(found) if negated else found
        if negated:
            self._refuse("`in` or `contains`")
        if not self._take("=", "==", "!=", "<>", *ORDERED):
            self._refuse("`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `contains` or `is`")
        if operator in ("!=", "<>"):
            return _negated(Condition(name, "=", self._value()))
        return Condition(name, "=" if operator == "==" else operator, self._value())

    def _values(self) -> tuple[Scalar, ...]:
        opened = self._token.word
        self._need("[", "(")
        closed = {"[": "]", "(": ")"}[opened]
        values: list[Scalar] = []
        while not self._take(closed):
            if values:
                self._need(",")
            values.append(self._value())
        return tuple(values)

    def _value(self) -> Scalar:
        kind, text, _ = self._token
        if kind == "text":
            found: Scalar = text[1:-1].replace(text[0] * 2, text[0])
        elif kind == "word" and text.lower() in ("true", "false"):
            found = text.lower() == "true"
        elif kind == "word" and text.lower() == "null":
            self._refuse("a value", "to ask for a missing field, use `is null`")
        elif kind == "word" and NUMBER.fullmatch(text):
            found = _number(text)
            if kind_of(found) == MIXED or math.isinf(found):
                self._refuse("a number of at most 64 bits")
        elif kind in ("word", "quoted"):
            self._refuse("a value", "write texts and dates in quotes")
        elif kind == "wrong" and text in "\"'":
            self._refuse("a value", "close the quotation mark")
        else:
            self._refuse("a value")
        self._at += 1
        return found


def _number(text: str) -> int | float:
    # Python refuses to read integers of more than some thousand digits.
    return int(text) if text.lstrip("+-").isdecimal() and len(text) < 100 else float(text)


# JSON

_OPERATORS: dict[str, Any] = {
    "$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$in": "in", "$contains": "contains",
    "$exists": "exists",
}  # fmt: skip
_OPPOSITES = {"$ne": "$eq", "$nin": "$in", "$not_contains": "$contains"}


def _joined(operator: Literal["and", "or"], parts: Iterable[Filter]) -> Filter:
    found = list(parts)
    return Group(operator, tuple(found)) if len(found) > 1 else found[0]


def _of_mapping(value: object, depth: int) -> Filter:
    """Return the filter of an object, all of whose entries must hold."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if not isinstance(value, Mapping) or not value:
        problem = f"expected an object with a condition, got {_shown(value)}"
        raise PanglotError(problem, field=FIELD, hint='write {"year": {"$gte": 2024}}')
    parts: list[Filter] = []
    for name, inner in cast("Mapping[str, object]", value).items():
        if name in ("$and", "$or", "$nor"):
            if not isinstance(inner, list | tuple) or not inner:
                problem = f"`{name}` must have a list of objects, got {_shown(inner)}"
                raise PanglotError(problem, field=FIELD, hint=f'write {{"{name}": [{{…}}, {{…}}]}}')
            each = [_of_mapping(part, depth + 1) for part in cast("Sequence[object]", inner)]
            found = _joined("and" if name == "$and" else "or", each)
            parts.append(_negated(found) if name == "$nor" else found)
        elif name == "$not":
            parts.append(_negated(_of_mapping(inner, depth + 1)))
        elif str(name).startswith("$"):
            hint = "use $and, $or, $nor or $not here, and operators in the object of a field"
            raise PanglotError(f"`{name}` does not join conditions", field=FIELD, hint=hint)
        else:
            parts.append(_of_field(str(name), inner, depth + 1))
    return _joined("and", parts)


def _of_field(name: str, value: object, depth: int) -> Filter:
    """Return the filter of what an object has for a field: a value, or operators that must all hold."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if not isinstance(value, Mapping):
        value = {"$eq": value}
    if not value:
        problem = f"`{name}` has no operator"
        raise PanglotError(problem, field=FIELD, hint=f'write {{"{name}": {{"$eq": …}}}}')
    parts: list[Filter] = []
    for operator, inner in cast("Mapping[str, object]", value).items():
        if operator == "$not":
            parts.append(_negated(_of_field(name, inner, depth + 1)))
            continue
        plain = _OPPOSITES.get(operator, operator)
        if plain not in _OPERATORS:
            near = difflib.get_close_matches(str(operator), [*_OPERATORS, *_OPPOSITES], 1)
            meant = f"write {near[0]}, or another of" if near else "write one of"
            hint = f"{meant} {', '.join([*_OPERATORS, *_OPPOSITES, '$not'])}"
            raise PanglotError(f"`{operator}` of `{name}` is not an operator", field=FIELD, hint=hint)
        found = _condition(name, plain, inner)
        parts.append(_negated(found) if operator in _OPPOSITES else found)
    return _joined("and", parts)


def _condition(name: str, operator: str, value: object) -> Filter:
    if operator == "$exists":
        if not isinstance(value, bool):
            problem = f"`$exists` of `{name}` must be true or false, got {_shown(value)}"
            raise PanglotError(problem, field=FIELD, hint="write true or false")
        found = Condition(name, "exists")
        return found if value else _negated(found)
    if value is None and operator == "$eq":
        return _negated(Condition(name, "exists"))
    if operator == "$in":
        if not isinstance(value, list | tuple):
            problem = f"`$in` of `{name}` must have a list, got {_shown(value)}"
            raise PanglotError(problem, field=FIELD, hint="write the values in brackets")
        return Condition(name, "in", tuple(_scalar(name, operator, each) for each in cast("Sequence[object]", value)))
    return Condition(name, _OPERATORS[operator], _scalar(name, operator, value))


def _scalar(name: str, operator: str, value: object) -> Scalar:
    if isinstance(value, str):
        return encodable(value, FIELD)
    if isinstance(value, int | float) and not (isinstance(value, float) and not math.isfinite(value)):
        return value
    problem = f"`{operator}` of `{name}` must have a text, a number or a truth value, got {_shown(value)}"
    raise PanglotError(problem, field=FIELD, hint="use `$in` for a list" if isinstance(value, list) else "change it")


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
