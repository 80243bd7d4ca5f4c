"""Serve ``/documents``: write, delete and fetch documents of the index."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from panglot._errors import PanglotError
from panglot.search.document import Document
from panglot.search.ingest.documents import read_documents
from panglot.service.engine import Engine
from panglot.service.errors import DOCUMENTED, Json, RequestError
from panglot.service.limits import Limits
from panglot.service.middleware import DOCUMENTS, NOTES

_ROW = {
    "type": "object",
    "required": ["id", "text"],
    "properties": {name: {"type": "string"} for name in ("id", "text", "title", "language", "group")},
    "additionalProperties": True,
}
_ROWS = {"description": "Documents as in a file of JSON lines", "type": "array", "items": _ROW, "minItems": 1}
_MAX_IDS = 10_000


class DocumentsRequest(BaseModel):
    """Documents to write."""

    model_config = ConfigDict(extra="forbid")

    # pydantic would report an error for each of hundreds of rows. `documents_of` reports the first.
    documents: Annotated[Any, WithJsonSchema(_ROWS)]


class IdsRequest(BaseModel):
    """Documents to delete."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = Field(description="Ids of documents", min_length=1, max_length=_MAX_IDS)


def add_documents(app: FastAPI, engine: Engine) -> None:
    """Add the routes. :class:`panglot.service.middleware.Guard` decides who may write."""

    @app.post(DOCUMENTS, responses=DOCUMENTED, summary="The same as PUT")
    @app.put(DOCUMENTS, responses=DOCUMENTED, summary="Add documents, in place of those with the same ids")
    async def upsert(body: DocumentsRequest, request: Request) -> Json:
        rows = rows_of(body.documents, engine.limits)
        work = engine.upsert(rows, lambda: documents_of(rows, engine.limits), request.scope[NOTES])
        return Json(await engine.outcome(work, request))

    @app.post(f"{DOCUMENTS}/delete", responses=DOCUMENTED, summary="Delete documents by a list of ids")
    async def delete_many(body: IdsRequest, request: Request) -> Json:
        return Json(await engine.outcome(engine.delete(body.ids, request.scope[NOTES]), request))

    @app.delete(f"{DOCUMENTS}/{{id:path}}", responses=DOCUMENTED, summary="Delete a document")
    async def delete(id: str, request: Request) -> Json:  # noqa: A002
        return Json(await engine.outcome(engine.delete([id], request.scope[NOTES]), request))

    @app.get(f"{DOCUMENTS}/{{id:path}}", responses=DOCUMENTED, summary="A document")
    async def fetch(id: str, request: Request) -> Json:  # noqa: A002
        (found,) = await engine.outcome(engine.ranked(lambda: engine.index.store.get([id])), request)
        if found is None:
            hint = "in an address, write / as %2F and # as %23"
            raise RequestError(404, "there is no document with this id", hint=hint, field="id", code="not_found")
        return Json({"id": found.id, "text": found.text, **found.flat_metadata})


def rows_of(value: object, limits: Limits) -> list[dict[str, Any]]:
    """Return the rows of a request to write, or refuse it with status 400."""
    rows = cast("list[object]", value) if isinstance(value, list) else []
    problem = hint = ""
    if not rows:
        problem, hint = "there is no list of documents", 'send {"documents": [{"id": "1", "text": "…"}]}'
    elif len(rows) > limits.documents:
        problem, hint = f"at most {limits.documents:,} documents are allowed, got {len(rows):,}", "send fewer at once"
    if problem:
        raise RequestError(400, f"documents: {problem}", hint=hint, field="documents", code="invalid")
    return cast("list[dict[str, Any]]", rows)


def documents_of(rows: list[dict[str, Any]], limits: Limits) -> tuple[list[Document], list[str]]:
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
