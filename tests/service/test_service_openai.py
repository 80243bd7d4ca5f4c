"""Embeddings by the official client of OpenAI's API."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, Literal, get_args

import httpx
import numpy as np
import openai
import orjson
import pytest
from service_made import Encoder, Index, serving

import panglot
from panglot.encoders.endpoint import EndpointEncoder
from panglot.encoders.protocol import Side
from panglot.service import errors
from panglot.service.batcher import Limits
from panglot.service.embeddings import shorter_dimensions
from panglot.service.middleware import Access, Key

NAME = "small/letters"


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    with serving(
        Index(), Limits(texts=20, characters=1_000), access=Access((Key("a-key-of-24-characters-1"),))
    ) as found:
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="a-key-of-24-characters-1", max_retries=0)


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_vectors_are_the_models(client: openai.OpenAI, form: Literal["float", "base64"] | None) -> None:
    texts = ["Drucken", "print", "印刷"]
    found = client.embeddings.create(input=texts, model=NAME, encoding_format=form or openai.omit)
    assert [each.index for each in found.data] == [0, 1, 2]
    assert (found.model, found.object, found.usage.prompt_tokens) == (NAME, "list", found.usage.total_tokens)
    expected = Encoder().encode(texts, "passage")
    if form == "base64":
        rows = [np.frombuffer(base64.b64decode(str(each.embedding)), "<f4") for each in found.data]
    else:
        rows = [np.asarray(each.embedding, np.float32) for each in found.data]
    assert np.array_equal(np.stack(rows), expected)


def test_vectors_are_written_on_a_thread_of_their_own(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def dumps(row: Any, **options: Any) -> bytes:
        if isinstance(row, np.ndarray):
            threads.append(threading.current_thread().name)
        return orjson.dumps(row, **options)

    monkeypatch.setattr(errors, "orjson", SimpleNamespace(**{**vars(orjson), "dumps": dumps}))
    client.embeddings.create(input=["a", "b"], model=NAME, encoding_format="float")
    assert len(threads) == 2
    assert all(name.startswith("asyncio_") for name in threads)


@pytest.mark.parametrize(
    ("model", "input_type", "side"),
    [
        (NAME, None, "passage"),
        (f"{NAME}:document", None, "passage"),
        (f"{NAME}:query", None, "question"),
        (NAME, "query", "question"),
        (NAME, "passage", "passage"),
        (NAME, "document", "passage"),
        (f"{NAME}:query", "query", "question"),
        (NAME, "search_query", "question"),
        (NAME, "search_document", "passage"),
        (NAME, "retrieval.query", "question"),
        (NAME, "RETRIEVAL_QUERY", "question"),
        (NAME, "RETRIEVAL_DOCUMENT", "passage"),
    ],
)
def test_the_side_is_in_the_models_name_or_beside_it(
    client: openai.OpenAI, model: str, input_type: str | None, side: Side
) -> None:
    extra = {"input_type": input_type} if input_type else None
    found = client.embeddings.create(input="one text", model=model, extra_body=extra)
    expected = Encoder().encode(["one text"], side)[0]
    assert np.allclose(found.data[0].embedding, expected)


@pytest.mark.parametrize("field", ["input_type", "task", "task_type", "prompt_name"])
def test_the_side_is_a_field_of_any_vendor(client: openai.OpenAI, field: str) -> None:
    found = client.embeddings.create(input="one text", model=NAME, extra_body={field: "query"})
    assert np.allclose(found.data[0].embedding, Encoder().encode(["one text"], "question")[0])


def test_the_names_are_listed(client: openai.OpenAI) -> None:
    assert [each.id for each in client.models.list()] == [NAME, f"{NAME}:document", f"{NAME}:query"]
    assert client.models.retrieve(f"{NAME}:query").id == f"{NAME}:query"
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.models.retrieve("other")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dimensions": 8}, "have 16 numbers and are not shortened"),
        ({"input": []}, "there is no text"),
        ({"input": ""}, "a text is empty"),
        ({"input": ["a", ""]}, "a text is empty"),
        ({"input": [1, 2]}, "not token ids"),
        ({"input": [[1, 2]]}, "not token ids"),
        ({"input": ["a"] * 21}, "at most 20"),
        ({"input": "a" * 1_001}, "1,000 characters, got 1,001"),
        ({"encoding_format": "int8"}, "encoding_format"),
        (
            {"extra_body": {"input_type": "classification"}},
            "must be one of query, search_query, .* got 'classification'",
        ),
        ({"extra_body": {"input_type": {}}}, "input_type: must be one of query, .* got {}"),
        ({"extra_body": {"truncate": "NONE"}}, "truncate: Extra inputs are not permitted"),
        ({"model": f"{NAME}:query", "extra_body": {"input_type": "passage"}}, "contradicts the suffix"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(
    client: openai.OpenAI, options: dict[str, Any], says: str
) -> None:
    asked: dict[str, Any] = {"input": "a", "model": NAME, **options}
    with pytest.raises(openai.BadRequestError, match=says) as caught:
        client.embeddings.create(**asked)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param


def test_its_own_length_may_be_asked_for(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(input="a", model=NAME, dimensions=16).data[0].embedding) == 16


def test_another_model_and_a_wrong_key_have_their_errors(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(input="a", model="text-embedding-3-small")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).models.list()
    with pytest.raises(openai.InternalServerError, match="the model failed"):
        client.embeddings.create(input="boom", model=NAME)


def test_panglots_own_client_gets_both_sides() -> None:
    with serving(Index()) as url:
        texts = ["a text", "another"]
        expected = {side: Encoder().encode(texts, side) for side in get_args(Side)}
        for side in get_args(Side):
            # A name without a suffix encodes each side as it must be, and a suffix holds for both.
            assert np.allclose(EndpointEncoder(f"{url}/v1#{NAME}").encode(texts, side), expected[side], atol=1e-6)
            named = EndpointEncoder(f"{url}/v1#{NAME}:query").encode(texts, side)
            assert np.allclose(named, expected["question"], atol=1e-6)


def test_langchain_and_llamaindex_get_both_sides() -> None:
    pytest.importorskip("langchain_core", reason="pip install 'panglot[langchain]'")
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from panglot.search.integrations.langchain import PanglotEmbeddings
    from panglot.search.integrations.llamaindex import PanglotEmbedding

    texts = ["a text", "another"]
    passages, question = Encoder().encode(texts, "passage"), Encoder().encode(["a text"], "question")[0]
    with serving(Index()) as url:
        for model in (Encoder(), f"{url}/v1#{NAME}"):
            embeddings = PanglotEmbeddings(model)
            assert np.allclose(embeddings.embed_documents(texts), passages, atol=1e-6)
            assert np.allclose(embeddings.embed_query("a text"), question, atol=1e-6)
            embedding = PanglotEmbedding(model, embed_batch_size=1)
            assert embedding.model_name == NAME
            assert np.allclose(embedding.get_text_embedding_batch(texts), passages, atol=1e-6)
            assert np.allclose(embedding.get_text_embedding("another"), passages[1], atol=1e-6)
            assert np.allclose(embedding.get_query_embedding("a text"), question, atol=1e-6)
            assert np.allclose(asyncio.run(embedding.aget_query_embedding("a text")), question, atol=1e-6)


@pytest.mark.parametrize("declared", [{"matryoshka_dimensions": [4, 8]}, {"is_matryoshka": True}])
def test_vectors_are_cut_only_where_the_model_declares_it(declared: dict[str, Any]) -> None:
    index = Index()
    config = SimpleNamespace(**declared)
    index.encoder.model = [SimpleNamespace(auto_model=SimpleNamespace(config=config))]  # type: ignore[attr-defined]
    whole = Encoder().encode(["one text", "another"], "passage")
    cut = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client:
        body = {"input": ["one text", "another"], "model": NAME, "dimensions": 8}
        found = client.post("/v1/embeddings", json=body).json()["data"]
        np.testing.assert_allclose([each["embedding"] for each in found], cut, atol=1e-6)
        found = client.post("/embed", json={"inputs": body["input"], "dimensions": 8}).json()
        np.testing.assert_allclose(found, cut, atol=1e-6)
        wrong = [(17, "16 numbers, not 17")]
        if "matryoshka_dimensions" in declared:
            wrong.append((5, "vectors have 4, 8 or 16 numbers, not 5"))
        for dimensions, message in wrong:
            done = client.post("/v1/embeddings", json={**body, "dimensions": dimensions})
            assert (done.status_code, message in done.json()["error"]["message"]) == (400, True)
        described = client.get("/openapi.json").json()["components"]["schemas"]["EmbeddingsRequest"]["properties"]
        assert described["dimensions"]["enum"][-2:] == [16, None]


@pytest.mark.slow
def test_a_real_configuration_declares_its_dimensions() -> None:
    encoder = panglot.load("bundled")
    assert list(shorter_dimensions(encoder, 384)) == []
    encoder.model[0].auto_model.config.matryoshka_dimensions = [128, 384]  # type: ignore[attr-defined]
    assert list(shorter_dimensions(encoder, 384)) == [128]
