"""Serve ``/embed``, ``/info`` and ``/rerank`` as Text Embeddings Inference has them, and ``/rerank`` as Cohere does."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from panglot import __version__
from panglot._environment import cores
from panglot.service.embeddings import INPUT_TYPES, TEXTS, check_dimensions, known_type, shortened, texts_of
from panglot.service.engine import Engine
from panglot.service.errors import DOCUMENTED, Json, RequestError, encoded_rows
from panglot.service.limits import Limits
from panglot.service.middleware import EMBED, NOTES, RERANK

_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
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
    prompt_name: Annotated[str | None, BeforeValidator(known_type)] = Field(
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
    model = ranker_name(engine)

    @app.post(EMBED, responses=DOCUMENTED, summary="Vectors of texts, as TEI returns them")
    async def embed(body: EmbedRequest, request: Request) -> Json:
        texts = texts_of(body.inputs, engine.limits, "inputs")
        dimension = engine.index.store.dimension
        check_dimensions(body.dimensions, engine.index.encoder, dimension)
        side = INPUT_TYPES[body.prompt_name or "document"]
        vectors, usage = await engine.outcome(engine.embed(texts, side, request.scope[NOTES]), request)
        if body.truncate is False and usage.get("cut_texts"):
            problem = f"inputs: the model cuts {usage['cut_texts']:,} of {len(texts):,} texts"
            raise RequestError(413, problem, hint="shorten them, or leave truncate out", field="inputs", code="size")
        return Json(await asyncio.to_thread(encoded_rows, shortened(vectors, body.dimensions)))

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


def ranker_name(engine: Engine) -> str:
    """Return the name of what orders texts: the cross-encoder, or else the encoder."""
    reranker = engine.index.searcher.reranker
    return engine.index.encoder.name if reranker is None else reranker.name


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
        problem = "exactly one of texts and documents is needed"
        raise RequestError(
            400, problem, hint="send texts, as TEI, or documents, as Cohere", field="texts", code="invalid"
        )
    if body.truncate is False:
        problem = "truncate: texts are cut where the model cuts them"
        raise RequestError(400, problem, hint="leave truncate out", field="truncate", code="invalid")
    if body.documents is None:
        return texts_of(body.texts, limits, "texts")
    rows = cast("list[object]", body.documents if isinstance(body.documents, list) else [body.documents])
    texts = [cast("dict[str, object]", row).get("text") if isinstance(row, dict) else row for row in rows]
    return texts_of(texts, limits, "documents")
