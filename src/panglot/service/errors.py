"""Give responses and errors one form: JSON, with errors as OpenAI's API has them and a hint."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from panglot._errors import PanglotError
from panglot.encoders.protocol import Vectors
from panglot.search.request import search_options

CLIENT_GONE = 499  # Status, in logs and metrics, of a request whose client left before the response.
_LONGEST_MESSAGE = 500  # Characters of an error's message.
# By the type of pydantic's error. For other types, the hint is the OpenAPI description.
_HINTS = {
    "missing": "add it",
    "extra_forbidden": "leave it out",
    "literal_error": "choose one of these",
    "json_invalid": "send one JSON object",
    "model_attributes_type": "send one JSON object, with the header Content-Type: application/json",
}
_ELSEWHERE = {
    "q": "query", "top": "k", "top_k": "k", "topk": "k", "limit": "k", "n": "k", "filter": "where", "filters": "where",
    "prefer": "preferred_languages", "lang": "language",
}  # fmt: skip
"""Fields of a search by the names that they have on the command line and in other programs."""


class Json(Response):
    """Respond with JSON, which may hold numpy numbers, and what :func:`encoded_rows` returns.

    Documents may hold any text and numbers, but JSON may not. A NaN becomes null and a lone surrogate ``?``.
    """

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes."""
        try:
            return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError:  # A lone surrogate, or an integer of more than 64 bits.
            text = json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":"))
            return text.encode("utf-8", "replace")


def encoded_rows(vectors: Vectors) -> list[orjson.Fragment]:
    """Return each vector as JSON for :class:`Json`. Call it on a thread of its own.

    orjson lets no other thread run during a call. Thousands of vectors in one call would hold up every other request.
    """
    # orjson writes contiguous arrays, and writes float32 with the few digits that it needs.
    rows = np.ascontiguousarray(vectors, "<f4")
    return [orjson.Fragment(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)) for row in rows]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(eq=False)
class RequestError(Exception):
    """Refuse a request, or report that it failed."""

    status: int
    message: str
    _: KW_ONLY
    hint: str | None = None  # What the client can do.
    field: str | None = None  # The field of the request that is wrong.
    code: str | None = None  # A name for programs.
    headers: Mapping[str, str] | None = None

    def response(self) -> Json:
        """Return the response."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, kind)
        message = self.message[:_LONGEST_MESSAGE]
        error = {"message": message, "type": kind, "param": self.field, "code": self.code, "hint": self.hint}
        return Json({"error": error}, status_code=self.status, headers=self.headers)


class ErrorContent(BaseModel):
    """Describe an error."""

    message: str
    type: str
    param: str | None
    code: str | None
    hint: str | None


class ErrorForm(BaseModel):
    """The body of every error."""

    error: ErrorContent


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorForm, "description": "The request is wrong or comes too soon"},
    "5XX": {"model": ErrorForm, "description": "The service failed, is stopping, or took too long"},
}
"""Errors of every route in the OpenAPI description."""


def invalid(field: str, problem: str, hint: str | None) -> RequestError:
    """Return the error about a wrong field of a request."""
    return RequestError(400, f"{field}: {problem}", hint=hint, field=field, code="invalid")


def of_panglot(error: PanglotError, place: str = "") -> RequestError:
    """Return a mistake in a request as an error without the names of files, which do not concern clients.

    ``place`` is put before the name of the field.
    """
    if error.field:
        return invalid(f"{place}{error.field}", error.problem, error.hint)
    return RequestError(400, error.problem, hint=error.hint, code="invalid")


def _of_validation(errors: Sequence[Mapping[str, Any]], known: Collection[str] = ()) -> RequestError:
    """Return pydantic's errors as one error that names every wrong field, those that are not known first.

    For an unknown field, the hint names the one of the ``known`` fields that was probably meant.

    >>> error = _of_validation([
    ...     {"type": "missing", "loc": ("body", "query"), "msg": "Field required"},
    ...     {"type": "extra_forbidden", "loc": ("body", "question"), "msg": "Extra inputs are not permitted"},
    ... ])
    >>> error.message, error.hint
    ('question: Extra inputs are not permitted; query: Field required', 'leave it out; add it')
    """
    # A field that is not known is often the missing one under another name.
    ordered = sorted(errors, key=lambda error: error.get("type") != "extra_forbidden")
    if any(error.get("type") == "missing" and error.get("loc") == ("body",) for error in ordered):
        return RequestError(400, "the body is empty", hint=_HINTS["model_attributes_type"], code="invalid")
    if any(error.get("type") == "json_invalid" for error in ordered):
        return RequestError(400, "the body is not JSON", hint=_HINTS["json_invalid"], code="invalid_json")
    messages: dict[str, None] = {}
    hints: dict[str, None] = {}
    fields: list[str | None] = []
    for error in ordered:
        # The location begins with where the field was sent: body, query or path.
        field = ".".join(str(part) for part in error.get("loc", ())[1:]) or None
        message = str(error.get("msg", "the request is wrong")).removeprefix("Value error, ")
        messages[f"{field}: {message}" if field else message] = None
        hint = _HINTS.get(str(error.get("type")), "read GET /openapi.json")
        if error.get("type") == "extra_forbidden" and (meant := _meant(field or "", known)):
            hint = f"did you mean `{meant}`?"
        hints[hint] = None
        fields.append(field)
    return RequestError(
        400, "; ".join(messages), hint="; ".join(hints), field=fields[0] if fields else None, code="invalid"
    )


def _meant(field: str, known: Collection[str]) -> str:
    name = field.rpartition(".")[2]
    if (other := _ELSEWHERE.get(name.lower())) in known:
        return other or ""
    return next(iter(difflib.get_close_matches(name, known, 1, 0.8)), "")


async def _respond(request: Request, error: Exception) -> Response:
    match error:
        case RequestError():
            found = error
        case RequestValidationError():
            of_search = request.url.path.rstrip("/").endswith(("/search", "/search/batch"))
            found = _of_validation(error.errors(), [each.name for each in search_options()] if of_search else ())
        case HTTPException(status_code=400):
            # FastAPI says so when Python cannot read a body: bytes that are not UTF-8, or nested too deeply.
            hint = "send one JSON object in UTF-8, without deep nesting or numbers of thousands of digits"
            found = RequestError(400, "the body cannot be read", hint=hint, code="invalid_json")
        case HTTPException():
            found = RequestError(error.status_code, HTTPStatus(error.status_code).phrase, headers=error.headers)
        case _:
            found = RequestError(500, "the service failed at this request")
    return found.response()


HANDLERS: dict[Any, Any] = dict.fromkeys((RequestError, RequestValidationError, HTTPException, Exception), _respond)
"""What FastAPI calls for each kind of error, so that all have the same form."""
