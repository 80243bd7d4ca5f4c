"""Serve ``/documents``: write, delete and fetch documents of the index."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

from fastapi import FastAPI, Path, Request
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator
from starlette.requests import ClientDisconnect

from panglot._errors import PanglotError
from panglot.data.files import BOM
from panglot.data.letters import LONE_SURROGATE
from panglot.data.rows import DOCUMENT_FIELDS, as_text, name_language
from panglot.search.document import Document
from panglot.search.ingest.documents import read_documents
from panglot.service.batcher import Limits
from panglot.service.engine import Engine
from panglot.service.errors import CLIENT_GONE, DOCUMENTED, Json, RequestError, invalid
from panglot.service.middleware import DOCUMENTS, NOTES, STREAM

_ROW = {
    "type": "object",
    "required": ["id", "text"],
    "properties": {name: {"type": "string"} for name in DOCUMENT_FIELDS},
    "additionalProperties": True,
}
_ROWS = {"description": "Documents as in a file of JSON lines", "type": "array", "items": _ROW, "minItems": 1}
_EXAMPLES: list[Any] = [
    {"id": "garten#1", "text": "Im Sommer den Garten gießen.", "language": "de", "group": "1", "page": 3},
    {"id": "garden#1", "text": "Water the garden in summer.", "group": "1", "page": 3},
]
_STREAMED = {"schema": _ROW, "example": "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _EXAMPLES)}
_LINES = {"requestBody": {"required": True, "content": {"application/x-ndjson": _STREAMED}}}
_Id = Annotated[str, Path(description="Id of a document", examples=[_EXAMPLES[0]["id"]])]
_MAX_IDS = 10_000
_NOTES = 20  # In the answer to a stream.
_FIRST_PIECE = 32  # Documents of a stream that are written together at first.
_PIECE = 1 << 20  # Bytes of lines after which they are written, even if they are few.


class DocumentsRequest(BaseModel):
    """Documents to write."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"documents": _EXAMPLES}]})

    # pydantic would report an error for each of hundreds of rows. `_documents_of` reports the first.
    documents: Annotated[Any, WithJsonSchema(_ROWS)]


class IdsRequest(BaseModel):
    """Documents to delete."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": [row["id"] for row in _EXAMPLES]}]}
    )

    ids: list[str] = Field(description="Ids of documents", min_length=1, max_length=_MAX_IDS)

    @field_validator("ids")
    @classmethod
    def _encodable(cls, ids: list[str]) -> list[str]:
        if any(map(LONE_SURROGATE.search, ids)):
            raise ValueError("an id has half of a surrogate pair")
        return ids


def add_documents(app: FastAPI, engine: Engine) -> None:
    """Add the routes. :class:`panglot.service.middleware.Guard` decides who may write."""

    @app.post(DOCUMENTS, responses=DOCUMENTED, summary="The same as PUT")
    @app.put(DOCUMENTS, responses=DOCUMENTED, summary="Add documents, in place of those with the same ids")
    async def upsert(body: DocumentsRequest, request: Request) -> Json:
        rows = _rows_of(body.documents, engine.limits)
        work = engine.upsert(rows, lambda: _documents_of(rows, engine.limits), request.scope[NOTES])
        return Json(await engine.outcome(work, request))

    @app.post(STREAM, responses=DOCUMENTED, openapi_extra=_LINES, summary="Add any number of documents, one per line")
    async def stream(request: Request) -> Json:
        return Json(await _write_lines(request, engine))

    @app.post(f"{DOCUMENTS}/delete", responses=DOCUMENTED, summary="Delete documents by a list of ids")
    async def delete_many(body: IdsRequest, request: Request) -> Json:
        return Json(await engine.outcome(engine.delete(body.ids, request.scope[NOTES]), request))

    @app.delete(f"{DOCUMENTS}/{{id:path}}", responses=DOCUMENTED, summary="Delete a document")
    async def delete(id: _Id, request: Request) -> Json:  # noqa: A002
        return Json(await engine.outcome(engine.delete([id], request.scope[NOTES]), request))

    @app.get(f"{DOCUMENTS}/{{id:path}}", responses=DOCUMENTED, summary="A document")
    async def fetch(id: _Id, request: Request) -> Json:  # noqa: A002
        (found,) = await engine.outcome(engine.ranked(lambda: engine.index.store.get([id])), request)
        if found is None:
            hint = "in an address, write / as %2F and # as %23"
            raise RequestError(404, "there is no document with this id", hint=hint, field="id", code="not_found")
        return Json({"id": found.id, "text": found.text, **found.flat_metadata})


def _rows_of(value: object, limits: Limits) -> list[dict[str, Any]]:
    """Return the rows of a request to write, or refuse it with status 400."""
    rows = cast("list[object]", value) if isinstance(value, list) else []
    if not rows:
        hint = 'send {"documents": [{"id": "1", "text": "…"}]}'
        raise invalid("documents", "there is no list of documents", hint)
    if len(rows) > limits.documents:
        problem = f"at most {limits.documents:,} documents are allowed, got {len(rows):,}"
        raise invalid("documents", problem, "send fewer at once")
    return cast("list[dict[str, Any]]", rows)


def _documents_of(rows: list[dict[str, Any]], limits: Limits) -> tuple[list[Document], list[str]]:
    """Return documents with their languages, and notes on what was detected, or refuse them with status 400."""
    notes: list[str] = []
    try:
        documents = [each for piece in read_documents(rows, progress=notes.append) for each in piece]
    except PanglotError as error:
        # The file is the place in the list, such as "document 3".
        field = f", {error.field}" if error.field else ""
        message = f"{error.file}{field}: {error.problem}"
        raise RequestError(400, message, hint=error.hint, field=error.field or "documents", code="invalid") from error
    for number, each in enumerate(documents, 1):
        if len(each.full_text) > limits.characters:
            problem = f"a text may have at most {limits.characters:,} characters, got {len(each.full_text):,}"
            hint = "cut it into passages"
            raise RequestError(400, f"document {number}, text: {problem}", hint=hint, field="text", code="invalid")
    return documents, notes


async def _write_lines(request: Request, engine: Engine) -> dict[str, Any]:
    """Write the documents in the lines of a body of any size, and return how many.

    A piece is read when the one before it is written, so memory is bounded and a fast client is slowed down. If too
    much waits, this waits too, instead of refusing the rest with status 429.
    """
    limits, notes = engine.limits, request.scope[NOTES]
    done, detected, others = Counter[str](), Counter[str](), dict[str, None]()
    async for first, rows in _pieces(request, limits):

        def read(rows: list[dict[str, Any]] = rows) -> tuple[list[Document], list[str]]:
            documents, said = _documents_of(rows, limits)
            languages = [
                each.language
                for row, each in zip(rows, documents, strict=True)
                if not name_language(row).get("language")
            ]
            detected.update(languages)
            # The last note has the languages of the piece.
            others.update(dict.fromkeys(said[:-1]))
            return documents, said

        while True:
            try:
                async with asyncio.timeout(limits.seconds):
                    done.update({**await engine.upsert(rows, read, notes), "notes": 0})
                break
            except RequestError as error:
                if error.code == "queue_full":
                    await asyncio.sleep(float((error.headers or {}).get("Retry-After", 1)))
                    continue
                error.message = f"in the {len(rows):,} documents from line {first:,} on: {error.message}"
                error.hint = _written_before(done["written"], error.hint)
                raise
            except TimeoutError as error:
                problem = f"writing the documents from line {first:,} on took more than {limits.seconds:g} seconds"
                raise RequestError(504, problem, hint=_written_before(done["written"], None), code="time") from error
    notes["texts"] = done["written"]
    languages = ", ".join(f"{code} {number:,}" for code, number in detected.most_common())
    found = [f"languages detected: {languages}"] if languages else []
    # Notes of the pieces say how many of a piece they are about, so there may be many.
    found += [*others][:_NOTES] + ([f"and {len(others) - _NOTES:,} more notes"] if len(others) > _NOTES else [])
    return {"written": done["written"], **{name: done[name] for name in done if name != "notes"}, "notes": found}


def _written_before(number: int, hint: str | None) -> str:
    return f"{hint or 'try again'}. The {number:,} documents before these are written"


async def _pieces(request: Request, limits: Limits) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the number of the first line and the rows of each piece of a body.

    Pieces grow while writing them takes a small part of the time that it may take, so that a slow machine writes too.
    No piece has an id twice, so that a line replaces earlier ones with its id wherever pieces end.
    """
    number, first, size, written = 0, 1, 0, 0
    most = min(_FIRST_PIECE, limits.documents)
    rows: dict[str, dict[str, Any]] = {}  # By id.
    async for line in _lines(request, limits):
        number += 1
        if text := (line.removeprefix(BOM) if number == 1 else line).strip():
            row = _object(text)
            if row is None:
                problem, hint = f"line {number:,} is not a JSON object", "write one document per line"
                hint = _written_before(written + len(rows), hint)
                if rows:
                    yield first, [*rows.values()]
                raise RequestError(400, problem, hint=hint, field="documents", code="invalid")
            if (name := _id(row)) in rows:
                yield first, [*rows.values()]
                written += len(rows)
                first, size, rows = number, 0, {}
            rows[name] = row
            size += len(line)
        if len(rows) >= most or size >= _PIECE:
            begin = time.monotonic()
            yield first, [*rows.values()]
            fast = time.monotonic() - begin < limits.seconds / 10
            most = min(2 * most, limits.documents) if fast else max(most // 2, 1)
            written += len(rows)
            first, size, rows = number + 1, 0, {}
    if rows:
        yield first, [*rows.values()]


def _object(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a line, with the same values as in the body of another request. None: it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(text.decode()), dict):
            return cast("dict[str, Any]", found)
    return None


def _id(row: dict[str, Any]) -> str:
    """Return the id of a row, or "" if it has none or a wrong one, which is refused when the row is written."""
    with contextlib.suppress(PanglotError):
        return as_text(row.get("id"), "id") or ""
    return ""


async def _lines(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the lines of a body as they arrive."""
    chunks, rest = request.stream(), b""
    while True:
        try:
            async with asyncio.timeout(limits.seconds):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise RequestError(408, "the request arrived too slowly") from error
        except ClientDisconnect as error:
            raise RequestError(CLIENT_GONE, "the client has left") from error
        if chunk is None:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        if max(map(len, [*lines, rest])) > limits.body:
            problem = f"a line may have at most {limits.body:,} bytes"
            raise RequestError(413, problem, hint="write one document per line", code="size")
        for line in lines:
            yield line
    if rest:
        yield rest
