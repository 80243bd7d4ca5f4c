"""``/v1/embeddings`` and ``/v1/models``, as OpenAI's clients call them."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, WithJsonSchema

from panglot.service.errors import DOCUMENTED, Json, RequestError
from panglot.service.middleware import EMBEDDINGS, NOTES
from panglot.service.waiting import outcome

if TYPE_CHECKING:
    from panglot.encoders.protocol import Side, Vectors
    from panglot.service.engine import Engine
    from panglot.service.limits import Limits

SIDES: dict[str, Side] = {"": "passage", ":passage": "passage", ":question": "question"}
"""What a model's name ends with, and the side that it encodes."""
INPUT_TYPES: dict[str, Side] = {"query": "question", "passage": "passage"}


TEXT = {"type": "string", "minLength": 1}
TEXTS = {
    "description": "One text or several",
    "anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
}
"""What is taken, for the OpenAPI page; :func:`texts_of` sees to it, for pydantic keeps an error for each item."""
_BROKEN = re.compile("[\ud800-\udfff]")


class Wanted(BaseModel):
    """Texts to encode. What OpenAI's clients send besides is ignored."""

    input: Annotated[Any, WithJsonSchema(TEXTS)]
    model: str = Field(max_length=1_000, description="NAME, NAME:question or NAME:passage, out of /v1/models")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Vectors are not cut: the model's own length, or nothing"
    )
    input_type: Literal["query", "passage"] | None = Field(None, description="The side, in place of the model's name")


def add_embeddings(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""

    @app.post(EMBEDDINGS, responses=DOCUMENTED, summary="Vectors of texts")
    async def embeddings(wanted: Wanted, request: Request) -> Json:
        model = engine.index.encoder.name
        side = side_of(wanted.model, model, wanted.input_type)
        texts = texts_of(wanted.input, engine.limits)
        if wanted.dimensions not in (None, engine.index.store.dimension):
            raise _dimensions(model, engine.index.store.dimension)
        work = engine.embed(texts, side, request.scope[NOTES])
        vectors, used = await outcome(work, request, engine.limits.seconds)
        return Json(
            {
                "object": "list",
                "data": rows(vectors, wanted.encoding_format or "float"),
                "model": wanted.model,
                "usage": {"prompt_tokens": used, "total_tokens": used},
            }
        )

    @app.get("/v1/models", responses=DOCUMENTED, summary="The names of the model")
    async def models() -> Json:
        name = engine.index.encoder.name
        return Json({"object": "list", "data": [_card(name + ending) for ending in SIDES]})

    @app.get("/v1/models/{model:path}", responses=DOCUMENTED, summary="One of these names")
    async def model(model: str) -> Json:
        side_of(model, engine.index.encoder.name, None)
        return Json(_card(model))

    def described() -> dict[str, Any]:
        """Return the OpenAPI page, which says what the model is called and how long its vectors are."""
        page = FastAPI.openapi(app)
        names = [engine.index.encoder.name + ending for ending in SIDES]
        wanted = page["components"]["schemas"][Wanted.__name__]["properties"]
        wanted["model"]["enum"] = names
        wanted["dimensions"]["enum"] = [engine.index.store.dimension, None]
        page["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["schema"]["enum"] = names
        return page

    app.openapi = described


def side_of(asked: str, model: str, input_type: str | None) -> Side:
    """Return which side a request encodes: that of ``input_type``, or of the model's name, or passages.

    Raises:
        RequestError: 404, no such model; 400, the two say different things.

    >>> side_of("e5", "e5", None), side_of("e5:question", "e5", None), side_of("e5", "e5", "query")
    ('passage', 'question', 'question')
    """
    ending = asked.removeprefix(model)
    if not asked.startswith(model) or ending not in SIDES:
        names = ", ".join(model + known for known in SIDES)
        raise RequestError(404, f"no such model; there is {names}", field="model", code="model_not_found")
    if input_type is None:
        return SIDES[ending]
    side = INPUT_TYPES[input_type]
    if ending and SIDES[ending] != side:
        raise RequestError(400, f"the model's name says {SIDES[ending]}", field="input_type", code="invalid")
    return side


def texts_of(given: object, limits: Limits) -> list[str]:
    """Return the texts of a request.

    Raises:
        RequestError: 400; there is none, one is empty, too long or broken, or they are too many or numbers of tokens.
    """
    items = cast("list[object]", given) if isinstance(given, list) else [given]
    texts = [text for text in items if isinstance(text, str)]
    problem = ""
    if not items:
        problem = "there is no text"
    elif len(texts) < len(items):
        problem = (
            "send a text or a list of texts, not numbers of tokens (in LangChain: check_embedding_ctx_length=False)"
        )
    elif len(texts) > limits.texts:
        problem = f"{len(texts):,} texts; send at most {limits.texts:,} at once"
    elif not all(texts):
        problem = "a text is empty"
    elif any(len(text) > limits.characters for text in texts):
        problem = f"a text has more than {limits.characters:,} characters"
    elif any(_BROKEN.search(text) for text in texts):
        problem = "a text has half of a surrogate pair"
    if problem:
        raise RequestError(400, f"input: {problem}", field="input", code="invalid")
    return texts


def rows(vectors: Vectors, form: Literal["float", "base64"]) -> list[dict[str, Any]]:
    """Return the vectors as OpenAI's answers list them; base64 holds little-endian float32."""
    plain = np.ascontiguousarray(vectors, "<f4")
    found: list[Any] = (
        [base64.b64encode(row.tobytes()).decode("ascii") for row in plain] if form == "base64" else plain.tolist()
    )
    return [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(found)]


def _dimensions(model: str, dimension: int) -> RequestError:
    problem = f"dimensions: vectors of {model} have {dimension} numbers and are not cut; leave dimensions out"
    return RequestError(400, problem, field="dimensions", code="invalid")


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "panglot"}
