"""Serve vectors as OpenAI's API has them, and vectors and scores as Text Embeddings Inference and Cohere have them.

These are ``/v1/embeddings`` and ``/v1/models``, then ``/embed``, ``/info`` and ``/rerank``.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import FastAPI, Request
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from panglot._environment import __version__, cores
from panglot.data.letters import LONE_SURROGATE
from panglot.encoders.protocol import Side, Vectors
from panglot.service.batcher import Limits
from panglot.service.engine import Engine
from panglot.service.errors import DOCUMENTED, Json, RequestError, encoded_rows, invalid
from panglot.service.middleware import EMBED, EMBEDDINGS, NOTES, RERANK

#: The side that a model's name selects by its suffix.
_SUFFIXES: dict[str, Side] = {"": "passage", ":document": "passage", ":query": "question"}
#: The kinds of text, in the spellings of OpenAI-like services, Cohere, Jina and Google.
INPUT_TYPES: dict[str, Side] = {
    "query": "question", "search_query": "question", "retrieval.query": "question", "retrieval_query": "question",
    "document": "passage", "search_document": "passage", "retrieval.passage": "passage",
    "retrieval_document": "passage", "passage": "passage",
}  # fmt: skip

_TEXT = {"type": "string", "minLength": 1}
TEXTS = {"description": "One text or several", "anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}


def _known_type(value: object) -> object:
    """Return the name of a kind of text in small letters, for pydantic, or refuse it."""
    kind = value.lower() if isinstance(value, str) else value
    if kind is not None and (not isinstance(kind, str) or kind not in INPUT_TYPES):
        raise ValueError(f"must be one of {', '.join(INPUT_TYPES)}, got {value!r}")
    return kind


class EmbeddingsRequest(BaseModel):
    """Texts to encode. Fields that would change the vectors, but are not known, are refused."""

    model_config = ConfigDict(extra="forbid")

    # pydantic would report an error for each of thousands of items. `_texts_of` reports the first.
    input: Annotated[Any, WithJsonSchema(TEXTS)]
    model: str = Field(max_length=1_000, description="NAME, NAME:query or NAME:document, as in /v1/models")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The model's own dimension, or one to which it declares that its vectors may be cut"
    )
    input_type: Annotated[str | None, BeforeValidator(_known_type)] = Field(
        None,
        validation_alias=AliasChoices("input_type", "task", "task_type", "prompt_name"),
        description="The kind of text, instead of a suffix of the model's name. Also task, task_type or prompt_name",
        json_schema_extra={"enum": [*INPUT_TYPES, None]},
    )
    user: Any = Field(None, description="Ignored")


def add_embeddings(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""
    name, dimension = engine.index.encoder.name, engine.index.store.dimension
    names = [name + suffix for suffix in _SUFFIXES]

    @app.post(EMBEDDINGS, responses=DOCUMENTED, summary="Vectors of texts")
    async def embeddings(body: EmbeddingsRequest, request: Request) -> Json:
        side = _side_of(body.model, name, body.input_type)
        texts = _texts_of(body.input, engine.limits)
        _check_dimensions(body.dimensions, engine.index.encoder, dimension)
        work = engine.embed(texts, side, request.scope[NOTES])
        vectors, usage = await engine.outcome(work, request)
        vectors = _shortened(vectors, body.dimensions)
        data = await asyncio.to_thread(rows, vectors, body.encoding_format or "float")
        return Json({"object": "list", "data": data, "model": body.model, "usage": usage})

    @app.get("/v1/models", responses=DOCUMENTED, summary="Names of the model")
    async def models() -> Json:
        return Json({"object": "list", "data": [_card(each) for each in names]})

    @app.get("/v1/models/{model:path}", responses=DOCUMENTED, summary="One name of the model")
    async def model(model: str) -> Json:
        _side_of(model, name, None)
        return Json(_card(model))

    def describe() -> dict[str, Any]:
        """Return the OpenAPI description with an example, the names of the model and the dimension of its vectors."""
        page = FastAPI.openapi(app)
        schema = page["components"]["schemas"][EmbeddingsRequest.__name__]
        schema["examples"] = [{"model": names[-1], "input": ["How do I print only a part of the sheet?"]}]
        properties = schema["properties"]
        properties["model"]["enum"] = names
        declared = shorter_dimensions(engine.index.encoder, dimension)
        properties["dimensions"]["enum"] = [*sorted({*declared, dimension}), None]
        page["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["schema"]["enum"] = names
        return page

    app.openapi = describe


def shorter_dimensions(encoder: object, dimension: int) -> Sequence[int]:
    """Return the dimensions to which the vectors of a model may be cut, as the configuration of the model declares.

    Models that were trained so (Matryoshka representation learning, Kusupati et al. 2022) list them as
    ``matryoshka_dimensions``, or have ``is_matryoshka`` for any.
    """
    first = next(iter(getattr(encoder, "model", None) or ()), None)
    config = getattr(getattr(first, "auto_model", None), "config", None)
    listed: Sequence[int] = getattr(config, "matryoshka_dimensions", None) or ()
    if not listed and getattr(config, "is_matryoshka", False):
        return range(1, dimension)
    return [each for each in listed if each < dimension]


def _check_dimensions(asked: int | None, encoder: object, dimension: int) -> None:
    """Refuse dimensions that a model does not declare with status 400."""
    shorter = shorter_dimensions(encoder, dimension)
    if asked in (None, dimension) or asked in shorter:
        return
    problem, hint = f"vectors have {dimension} numbers and are not shortened", "leave dimensions out"
    if shorter:
        known = f"1 to {dimension}" if isinstance(shorter, range) else f"{', '.join(map(str, shorter))} or {dimension}"
        problem, hint = f"vectors have {known} numbers, not {asked:,}", "choose one of these"
    raise invalid("dimensions", problem, hint)


def _shortened(vectors: Vectors, dimensions: int | None) -> Vectors:
    """Return the first numbers of vectors, again of unit length."""
    if dimensions in (None, vectors.shape[1]):
        return vectors
    first = vectors[:, :dimensions]
    return (first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _side_of(requested: str, model: str, input_type: str | None) -> Side:
    """Return the side to encode, by ``input_type`` or by the suffix of the model's name. The default is passages.

    Status 404 refuses an unknown model, and 400 a suffix that contradicts ``input_type``.

    >>> _side_of("e5", "e5", None), _side_of("e5:query", "e5", None), _side_of("e5", "e5", "query")
    ('passage', 'question', 'question')
    """
    suffix = requested.removeprefix(model)
    if not requested.startswith(model) or suffix not in _SUFFIXES:
        hint = f"use one of {', '.join(model + known for known in _SUFFIXES)}"
        raise RequestError(404, "there is no such model", hint=hint, field="model", code="model_not_found")
    if input_type is None:
        return _SUFFIXES[suffix]
    side = INPUT_TYPES[input_type]
    if suffix and _SUFFIXES[suffix] != side:
        problem = f"{input_type!r} contradicts the suffix {suffix!r} of the model's name"
        raise invalid("input_type", problem, "leave one of them out")
    return side


def _texts_of(value: object, limits: Limits, field: str = "input") -> list[str]:
    """Return the texts in a field of a request, or refuse it with status 400."""
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    texts = [text for text in items if isinstance(text, str)]
    problem = hint = ""
    if not items:
        problem, hint = "there is no text", "send at least one"
    elif len(texts) < len(items):
        problem = "only texts are supported, not token ids"
        hint = "send a text or a list of texts (in LangChain: check_embedding_ctx_length=False)"
    elif len(texts) > limits.texts:
        problem, hint = f"at most {limits.texts:,} texts are allowed, got {len(texts):,}", "send fewer at once"
    elif not all(texts):
        problem, hint = "a text is empty", "leave it out"
    elif (longest := max(map(len, texts))) > limits.characters:
        problem, hint = f"a text may have at most {limits.characters:,} characters, got {longest:,}", "shorten it"
    elif any(LONE_SURROGATE.search(text) for text in texts):
        problem, hint = "a text has half of a surrogate pair", "send valid Unicode"
    if problem:
        raise invalid(field, problem, hint)
    return texts


def rows(vectors: Vectors, form: Literal["float", "base64"]) -> list[dict[str, Any]]:
    """Return the vectors as in OpenAI's responses. base64 holds little-endian float32."""
    values: Iterable[object] = (
        (base64.b64encode(row.tobytes()).decode("ascii") for row in np.ascontiguousarray(vectors, "<f4"))
        if form == "base64"
        else encoded_rows(vectors)
    )
    return [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]


def _card(name: str) -> dict[str, Any]:
    # OpenAI's clients expect a time of creation.
    return {"id": name, "object": "model", "created": 0, "owned_by": "panglot"}


_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
_DOCUMENT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
_DOCUMENTS = {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string", "minLength": 1}, _DOCUMENT]}}
_QUERY, _TEXTS = "How do I print?", ["Choose Save to keep the file.", "Klicken Sie auf Drucken."]
_EMBED: dict[str, Any] = {"inputs": _TEXTS, "prompt_name": "document"}
_RERANK: list[Any] = [{"query": _QUERY, "texts": _TEXTS}, {"query": _QUERY, "documents": _TEXTS, "top_n": 1}]
_Direction = Literal["right", "Right"]
"""The end of a text at which it is cut. What TEI calls left is refused."""


class EmbedRequest(BaseModel):
    """Texts to encode, as TEI has them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EMBED]})

    inputs: Annotated[Any, WithJsonSchema(TEXTS)]
    prompt_name: Annotated[str | None, BeforeValidator(_known_type)] = Field(
        None, description="The kind of text, by default document", json_schema_extra={"enum": [*INPUT_TYPES, None]}
    )
    truncate: bool | None = Field(None, description="false: refuse texts that the model cuts, instead of cutting them")
    truncation_direction: _Direction = "right"
    normalize: Literal[True] = Field(True, description="Vectors have unit length")
    dimensions: Annotated[int, Field(ge=1)] | None = Field(None, description="As in /v1/embeddings")


class RerankRequest(BaseModel):
    """A query and texts to order: ``texts`` as TEI has them, or ``documents`` as Cohere has them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": _RERANK})

    query: str = Field(min_length=1, max_length=10_000)
    texts: Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "string"}})] = None
    raw_scores: bool = Field(False, description="With texts: the model's own scores, not those from 0 to 1")
    return_text: bool = Field(False, description="With texts: return them")
    truncate: bool | None = Field(None, description="true. Texts are cut where the model cuts them")
    truncation_direction: _Direction = "right"
    documents: Annotated[Any, WithJsonSchema(_DOCUMENTS)] = None
    model: str | None = Field(None, max_length=1_000, description="The name of the model, as in /info")
    top_n: Annotated[int, Field(ge=1)] | None = Field(None, description="Number of results to return, by default all")
    return_documents: bool | None = Field(None, description="With documents: return them")


def add_tei(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""
    # What orders texts: the cross-encoder, or else the encoder.
    model = (engine.index.searcher.reranker or engine.index.encoder).name

    @app.post(EMBED, responses=DOCUMENTED, summary="Vectors of texts, as TEI returns them")
    async def embed(body: EmbedRequest, request: Request) -> Json:
        texts = _texts_of(body.inputs, engine.limits, "inputs")
        dimension = engine.index.store.dimension
        _check_dimensions(body.dimensions, engine.index.encoder, dimension)
        side = INPUT_TYPES[body.prompt_name or "document"]
        vectors, usage = await engine.outcome(engine.embed(texts, side, request.scope[NOTES]), request)
        if body.truncate is False and usage.get("cut_texts"):
            problem = f"inputs: the model cuts {usage['cut_texts']:,} of {len(texts):,} texts"
            raise RequestError(413, problem, hint="shorten them, or leave truncate out", field="inputs", code="size")
        return Json(await asyncio.to_thread(encoded_rows, _shortened(vectors, body.dimensions)))

    @app.get("/info", responses=DOCUMENTED, summary="The model and the limits, as TEI describes them")
    async def info() -> Json:
        return Json({**describe(engine.index.encoder, engine.limits), "ranker_id": model})

    @app.post(f"/v1{RERANK}", responses=DOCUMENTED, summary="The same as /rerank")
    @app.post(f"/v2{RERANK}", responses=DOCUMENTED, summary="The same as /rerank")
    @app.post(RERANK, responses=DOCUMENTED, summary="Order texts by how well they answer a query")
    async def rerank(body: RerankRequest, request: Request) -> Json:
        texts = _texts(body, engine.limits)
        if body.model not in (None, model):
            hint = f"use {model}, or leave it out"
            raise RequestError(404, "there is no such model", hint=hint, field="model", code="model_not_found")
        work = engine.rerank(body.query, texts, request.scope[NOTES])
        raw, shares = await engine.outcome(work, request)
        # Of equal scores, the first text comes first.
        order = np.argsort(-raw, kind="stable")[: body.top_n].tolist()
        if body.documents is None:
            scores = raw if body.raw_scores else shares
            return Json([
                {"index": row, "score": float(scores[row]), **({"text": texts[row]} if body.return_text else {})}
                for row in order
            ])  # fmt: skip
        results = [
            {
                "index": row, "relevance_score": float(shares[row]),
                **({"document": {"text": texts[row]}} if body.return_documents else {}),
            }
            for row in order
        ]  # fmt: skip
        return Json({"id": str(uuid.uuid4()), "results": results, "meta": {"api_version": {"version": "2"}}})


def describe(encoder: Any, limits: Limits) -> dict[str, Any]:
    """Return the fields of TEI's ``/info``. What is not known of an encoder is null, or ``unknown`` for its pooling."""
    modules = list(getattr(encoder, "model", None) or ())
    known = getattr(encoder, "pooling", "") or "unknown"
    pooling = next((each.pooling_mode for each in modules if type(each).__name__ == "Pooling"), known)
    return {
        "model_id": encoder.name,
        "model_sha": None,
        "model_dtype": _DTYPES.get(getattr(encoder, "precision", ""), "float32"),
        "model_type": {"embedding": {"pooling": "last_token" if pooling == "lasttoken" else pooling}},
        "max_concurrent_requests": limits.queue,
        "max_input_length": getattr(encoder, "max_length", None),
        "max_batch_tokens": limits.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": limits.texts,
        "auto_truncate": True,
        "tokenization_workers": cores(),
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


def _texts(body: RerankRequest, limits: Limits) -> list[str]:
    """Return the texts to order, or refuse them with status 400."""
    if (body.texts is None) == (body.documents is None):
        problem, hint = "exactly one of texts and documents is needed", "send texts, as TEI, or documents, as Cohere"
        raise RequestError(400, problem, hint=hint, field="texts", code="invalid")
    if body.truncate is False:
        raise invalid("truncate", "texts are cut where the model cuts them", "leave truncate out")
    if body.documents is None:
        return _texts_of(body.texts, limits, "texts")
    rows = cast("list[object]", body.documents if isinstance(body.documents, list) else [body.documents])
    texts = [cast("dict[str, object]", row).get("text") if isinstance(row, dict) else row for row in rows]
    return _texts_of(texts, limits, "documents")
