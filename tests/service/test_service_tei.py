"""The routes of Text Embeddings Inference, and reranking as Cohere has it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from service_made import Index, serving

from panglot.encoders.sentence_transformer import Reranker
from panglot.service.batcher import Limits

TEXTS = ["click save to keep the file", "click print to print the sheet", "water the garden"]
QUERY = "how to print the sheet"


@pytest.fixture(scope="module")
def index() -> Index:
    return Index()


@pytest.fixture(scope="module")
def client(index: Index) -> Generator[httpx.Client]:
    with serving(index, Limits(texts=20)) as url, httpx.Client(base_url=url, timeout=60) as made:
        yield made


def error(response: httpx.Response) -> dict[str, Any]:
    return response.json()["error"]


def test_embed_gives_a_list_of_vectors_of_documents_or_queries(client: httpx.Client, index: Index) -> None:
    for name, side in ((None, "passage"), ("query", "question"), ("passage", "passage"), ("document", "passage")):
        for inputs in (TEXTS, TEXTS[0]):
            body = {"inputs": inputs, "normalize": True, "truncate": True, "prompt_name": name}
            found = np.array(client.post("/embed", json=body).json())
            texts = [inputs] if isinstance(inputs, str) else inputs
            np.testing.assert_allclose(found, index.encoder.encode(texts, side), atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ""}, "inputs"),
        ({"inputs": [[1, 2]]}, "inputs"),
        ({"inputs": ["a"] * 21}, "inputs"),
        ({"inputs": "a", "normalize": False}, "normalize"),
        ({"inputs": "a", "truncation_direction": "Left"}, "truncation_direction"),
        ({"inputs": "a", "prompt_name": "poem"}, "prompt_name"),
        ({"inputs": "a", "dimensions": 3}, "dimensions"),
        ({"inputs": "a", "pooling": "cls"}, "pooling"),
    ],
)
def test_what_would_give_other_vectors_is_refused(client: httpx.Client, asked: dict[str, Any], field: str) -> None:
    response = client.post("/embed", json=asked)
    assert response.status_code == 400
    assert (error(response)["param"], bool(error(response)["hint"])) == (field, True)


def test_info_has_the_fields_of_tei(client: httpx.Client) -> None:
    found = client.get("/info").json()
    assert {
        "model_id", "model_dtype", "model_type", "max_concurrent_requests", "max_input_length", "max_batch_tokens",
        "max_client_batch_size", "auto_truncate", "tokenization_workers", "version",
    } <= set(found)  # fmt: skip
    assert (found["model_id"], found["ranker_id"]) == ("small/letters", "small/letters")
    assert (found["max_client_batch_size"], found["auto_truncate"]) == (20, True)


def cosines(index: Any, query: str, texts: list[str]) -> np.ndarray:
    return index.encoder.encode(texts, "passage") @ index.encoder.encode([query], "question")[0]


def test_without_a_cross_encoder_texts_are_in_the_order_of_their_cosines(client: httpx.Client, index: Index) -> None:
    expected = cosines(index, QUERY, TEXTS)
    order = np.argsort(-expected).tolist()
    body = {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True, "truncate": True}
    found = client.post("/rerank", json=body).json()
    assert [(each["index"], each["text"]) for each in found] == [(row, TEXTS[row]) for row in order]
    assert order[0] == 1
    np.testing.assert_allclose([each["score"] for each in found], expected[order], atol=1e-6)
    found = client.post("/rerank", json={"query": QUERY, "texts": TEXTS}).json()
    np.testing.assert_allclose([each["score"] for each in found], (1 + expected[order]) / 2, atol=1e-6)
    assert all(set(each) == {"index", "score"} for each in found)


@pytest.mark.parametrize("route", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_are_ordered_as_cohere_has_them(client: httpx.Client, index: Index, route: str) -> None:
    expected = cosines(index, QUERY, TEXTS)
    documents = [TEXTS[0], {"text": TEXTS[1]}, TEXTS[2]]
    body = {"model": "small/letters", "query": QUERY, "documents": documents, "top_n": 2, "return_documents": True}
    found = client.post(route, json=body).json()
    assert found["id"]
    assert found["meta"]["api_version"] == {"version": "2"}
    first, second = found["results"]
    assert (first["index"], first["document"]) == (1, {"text": TEXTS[1]})
    assert first["relevance_score"] == pytest.approx((1 + expected[1]) / 2, abs=1e-6)
    assert 1 > first["relevance_score"] > second["relevance_score"] > 0
    plain = client.post(route, json={"query": QUERY, "documents": documents}).json()["results"]
    assert [set(each) for each in plain] == [{"index", "relevance_score"}] * 3


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"texts": ["a"]}, 400, "query"),
        ({"query": "", "texts": ["a"]}, 400, "query"),
        ({"query": "a"}, 400, "texts"),
        ({"query": "a", "texts": ["a"], "documents": ["a"]}, 400, "texts"),
        ({"query": "a", "texts": []}, 400, "texts"),
        ({"query": "a", "texts": "a"}, 200, ""),
        ({"query": "a", "texts": ["a", 5]}, 400, "texts"),
        ({"query": "a", "texts": ["a"], "truncate": False}, 400, "truncate"),
        ({"query": "a", "documents": ["a", {"title": "b"}]}, 400, "documents"),
        ({"query": "a", "documents": ["a"] * 21}, 400, "documents"),
        ({"query": "a", "documents": ["a"], "top_n": 0}, 400, "top_n"),
        ({"query": "a", "documents": ["a"], "max_tokens_per_doc": 10}, 400, "max_tokens_per_doc"),
        ({"query": "a", "documents": ["a"], "model": "rerank-v3.5"}, 404, "model"),
    ],
)
def test_a_wrong_request_to_rerank_is_named(
    client: httpx.Client, asked: dict[str, Any], status: int, field: str
) -> None:
    response = client.post("/rerank", json=asked)
    assert response.status_code == status
    if field:
        assert (error(response)["param"], bool(error(response)["hint"])) == (field, True)


def test_a_cross_encoder_orders_texts_by_its_scores(cross_encoder: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    index = Index()
    index.reranker = Reranker(str(cross_encoder))  # type: ignore[assignment]
    texts = [f"{text} {number}" for number in range(14) for text in TEXTS]  # more than are scored at a time
    pairs = [(QUERY, text) for text in texts]
    logits = CrossEncoder(str(cross_encoder)).predict(pairs, activation_fn=nn.Identity())
    order = np.argsort(-np.asarray(logits, np.float64), kind="stable")
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/info").json()["ranker_id"] == cross_encoder.name
        raw, shares = (
            client.post("/rerank", json={"query": QUERY, "texts": texts, "raw_scores": raw}).json()
            for raw in (True, False)
        )
        results = client.post("/v2/rerank", json={"query": QUERY, "documents": texts}).json()["results"]
    assert np.ptp(logits) > 0.1
    np.testing.assert_allclose([each["score"] for each in raw], logits[order], atol=1e-5)
    np.testing.assert_allclose([each["score"] for each in shares], 1 / (1 + np.exp(-logits[order])), atol=1e-5)
    np.testing.assert_allclose([each["relevance_score"] for each in results], [each["score"] for each in shares])
    assert not index.encoder.batches
