"""Filters on the metadata of documents: conditions, and groups of them.

A condition on a field that a document lacks is false. A group ``not`` is the opposite, so that it holds for such a
document. A condition on a list holds if it holds for one of its values. :mod:`panglot.search.filter_syntax` reads
filters.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from panglot._errors import PanglotError
from panglot.search.document import LIST, MIXED, Scalar, kind_of

__all__ = ["FIELD", "KEYWORDS", "NUMBER", "ORDERED", "OWN_FIELDS", "WORD", "Condition", "Filter", "Group"]

OWN_FIELDS = {"id": "text", "title": "text", "language": "text", "group": "text"}
"""The fields of every document, with their kinds. One that is empty is missing."""

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
        operator = "=" if self.operator == "contains" else self.operator
        if operator in ORDERED and (many or single == "bool"):
            problem = f"`{self.field}` is {_a(kind)}, which `{operator}` cannot compare"
            raise PanglotError(problem, field=FIELD, hint="use `contains`" if many else "use `= true` or `= false`")
        if self.operator == "contains" and not many:
            problem = f"`contains` asks for a value of a list, but `{self.field}` is {_a(kind)}"
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
