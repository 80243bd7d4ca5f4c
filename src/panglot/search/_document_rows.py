"""A row becomes a document, or an error that says where."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus.language import NO_LANGUAGE, canonical
from panglot.search.document import Document, Value

NAMED = ("id", "text", "title", "language", "group")
_SIGNED_64 = 1 << 63


def document(values: Mapping[str, object], file: Path | str, line: int | None) -> Document:
    """Return the document of a row; its language is empty where nobody says it.

    Args:
        values: The row by its fields.
        file: Where it stands, for errors.
        line: In which line, if ``file`` has lines.

    Raises:
        PanglotError: A field is missing, or of a kind that a document does not have.
    """
    texts = {name: _text(values.get(name), name, file, line) for name in NAMED}
    for name in ("id", "text"):
        if not texts[name]:
            problem = f"there is none (fields: {', '.join(map(str, values)) or 'none'})"
            raise PanglotError(problem, file=file, line=line, field=name, cure="add it, or leave the row out")
    fields = {str(name): _value(value, str(name), file, line) for name, value in values.items() if name not in NAMED}
    kept = {name: value for name, value in fields.items() if value is not None}
    language = _language(texts["language"], file, line)
    return Document(texts["id"], texts["text"], texts["title"], language, texts["group"], kept)


def fields_of(made: object, place: str) -> dict[str, object]:
    """Return the row of a document that somebody made.

    Raises:
        PanglotError: It is no document, or metadata are called as one of its own fields.
    """
    if isinstance(made, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", made).items()}
    if not isinstance(made, Document):
        cure = 'give a mapping such as {"id": "1", "text": "…"}, or a panglot.search.document.Document'
        raise PanglotError(f"not a document but {type(made).__name__}", file=place, cure=cure)
    if taken := [name for name in NAMED if name in made.fields]:
        raise PanglotError("a field of metadata has this name", file=place, field=taken[0], cure="rename it")
    return {**{name: getattr(made, name) for name in NAMED}, **made.fields}


def _text(value: object, name: str, file: Path | str, line: int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and name in ("id", "group"):
        return str(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PanglotError(f"not a text but {kind}", file=file, line=line, field=name, cure="put it in quotes")
    return _sound(value, name, file, line) if value.strip() else ""


def _value(value: object, name: str, file: Path | str, line: int | None) -> Value:
    _sound(name, name, file, line)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, str):
        return _sound(value, name, file, line)
    if isinstance(value, float) and not math.isfinite(value):
        raise PanglotError(f"{value} is no number", file=file, line=line, field=name, cure="leave the field out")
    if isinstance(value, int) and not -_SIGNED_64 <= value < _SIGNED_64:
        raise PanglotError("a number of more than 64 bits", file=file, line=line, field=name, cure="put it in quotes")
    if value is None or isinstance(value, bool | int | float):
        return value
    kind = type(value).__name__
    cure = "make it a text, a number, true or false, or leave it out"
    raise PanglotError(f"not one value but {kind}", file=file, line=line, field=name, cure=cure)


def _sound(text: str, name: str, file: Path | str, line: int | None) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = "half of a surrogate pair"
        raise PanglotError(problem, file=file, line=line, field=name, cure="correct the escape") from error
    return text


def _language(code: str, file: Path | str, line: int | None) -> str:
    if not code or code.strip().lower() in NO_LANGUAGE:
        return ""
    try:
        return canonical(code)
    except PanglotError as error:
        raise PanglotError(error.problem, file=file, line=line, field="language", cure=error.cure) from error
