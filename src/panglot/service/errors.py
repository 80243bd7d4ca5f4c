"""Errors in one form, that of OpenAI's API and a hint, without a traceback."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.responses import Response

if TYPE_CHECKING:
    from panglot._errors import PanglotError


class Json(Response):
    """A JSON answer. Documents may hold any text and numbers: a lone surrogate becomes ``?``, a NaN null."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes."""
        try:
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


CURES = {
    "missing": "add it",
    "extra_forbidden": "leave it out",
    "literal_error": "choose one of these",
    "json_invalid": "send one JSON object",
    "model_attributes_type": "send one JSON object, with the header Content-Type: application/json",
}
"""What helps against pydantic's errors, by their type; against others, what the page of the API says."""

GONE = 499
"""The status, in logs and metrics, of a request whose client left before the answer."""


LONGEST = 500
"""Characters of a message."""


class RequestError(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status.
        message: What is wrong; shown to the client.
        hint: What the client can do about it.
        field: The field of the request that is wrong.
        code: A name for programs.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        field: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint
        self.field, self.code = field, code
        self.headers = dict(headers or {})

    def response(self) -> Json:
        """Return the answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, kind)
        content = {
            "message": self.message[:LONGEST], "type": kind, "param": self.field, "code": self.code, "hint": self.hint,
        }  # fmt: skip
        return Json({"error": content}, status_code=self.status, headers=self.headers)


class ErrorContent(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None
    hint: str | None


class ErrorForm(BaseModel):
    """The form of every error."""

    error: ErrorContent


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorForm, "description": "The request is wrong, or comes too soon"},
    "5XX": {"model": ErrorForm, "description": "The service failed, stops, or took too long"},
}
"""For the OpenAPI page."""


def of_panglot(error: PanglotError) -> RequestError:
    """Return a mistake in the request as a failure; files, which are the server's, are not told."""
    message = f"{error.field}: {error.problem}" if error.field else error.problem
    return RequestError(400, message, hint=error.hint, field=error.field, code="invalid")


def of_validation(errors: Sequence[Mapping[str, Any]]) -> RequestError:
    """Return what pydantic found as a failure that names the first field.

    >>> of_validation([{"loc": ("body", "k"), "msg": "Input should be less than 1000"}]).message
    'k: Input should be less than 1000'
    """
    first = errors[0] if errors else {}
    place = [str(part) for part in first.get("loc", ())]
    kind = str(first.get("type"))
    hint = CURES.get(kind, "GET /openapi.json tells what it may be")
    if kind == "json_invalid":
        return RequestError(400, "the body is not JSON", hint=hint, code="invalid_json")
    field = ".".join(place[1:]) or None
    message = str(first.get("msg", "the request is wrong")).removeprefix("Value error, ")
    return RequestError(400, f"{field}: {message}" if field else message, hint=hint, field=field, code="invalid")


def of_status(status: int, headers: Mapping[str, str] | None = None) -> RequestError:
    """Return a plain HTTP status as a failure.

    >>> of_status(404).message
    'Not Found'
    """
    return RequestError(status, HTTPStatus(status).phrase, headers=headers)
