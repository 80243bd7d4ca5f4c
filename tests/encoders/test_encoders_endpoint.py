"""Endpoints: against a real server on the loopback, with real faults."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import fastapi
import numpy as np
import pytest
import uvicorn

from panglot._errors import PanglotError
from panglot.encoders.cache import Cached
from panglot.encoders.endpoint import EndpointEncoder
from panglot.encoders.load import load
from panglot.encoders.protocol import Encoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from panglot.encoders.protocol import Vectors


def hashed(texts: list[str], dimension: int = 16) -> Vectors:
    """Unit vectors drawn from the digests of the texts."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") for text in texts]
    rows = np.stack([np.random.default_rng(seed).normal(size=dimension) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Server:
    """The requests that the server got, and the faults that it answers with, in order."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    scale: float = 1.0
    encoder: Any = None
    most: int | None = None
    longest: int | None = None
    refusal: int = 400

    def embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = self.encoder(body["input"]) if self.encoder else hashed(body["input"], body.get("dimensions", 16))
        rows = [
            {"object": "embedding", "index": i, "embedding": (self.scale * row).tolist()}
            for i, row in enumerate(vectors)
        ]
        return {"object": "list", "model": body["model"], "data": rows[::-1]}


def application(state: Server) -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.post("/v1/embeddings")
    async def embeddings(request: fastapi.Request) -> fastapi.Response:  # pyright: ignore[reportUnusedFunction]
        body = await request.json()
        state.asked.append(body)
        state.keys.append(request.headers.get("authorization"))
        state.queries.append(request.url.query)
        if state.most and len(body["input"]) > state.most:
            return fastapi.Response("too large", 413)
        if state.longest and max(map(len, body["input"])) > state.longest:
            return fastapi.Response("the reason is here", state.refusal)
        fault = state.faults.pop(0) if state.faults else None
        if isinstance(fault, tuple):
            status, headers = fault
            return fastapi.Response("the reason is here", status, headers)
        answer = state.embeddings(body)
        if callable(fault):
            answer = fault(answer)
        return fastapi.Response(answer if isinstance(answer, bytes) else json.dumps(answer), 200)

    return app


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    state = Server()
    server = uvicorn.Server(uvicorn.Config(application(state), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    state.url = f"http://127.0.0.1:{port}/v1"
    yield state
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name in ("PANGLOT_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    running.asked, running.keys, running.queries, running.faults = [], [], [], []
    running.scale, running.encoder, running.most, running.longest = 1.0, None, None, None
    return running


def encoder(server: Server, query: str = "", **options: Any) -> tuple[EndpointEncoder, list[float]]:
    pauses: list[float] = []
    return EndpointEncoder(f"{server.url}{query}#model-x", pause=pauses.append, **options), pauses


def test_one_text_or_a_wrong_side_is_refused(server: Server, tmp_path: Path) -> None:
    wrong: Any = "query"  # as other libraries call a side
    for client in (load("panglot-small"), load("panglot-small", backend="auto"), load(f"{server.url}#model-x")):
        for each in (client, Cached(client, tmp_path)):
            with pytest.raises(PanglotError, match="expected a list of texts, got one text"):
                each.encode("text", "question")
            with pytest.raises(PanglotError, match="a text is a question or a passage, got 'query'"):
                each.encode(["text"], wrong)


def test_vectors_in_order_at_unit_length(server: Server) -> None:
    server.scale = 7.5
    texts = [f"text {i}" for i in range(10)]
    client = load(f"{server.url}#model-x", batch_size=4)
    found = client.encode(texts, "question")
    np.testing.assert_allclose(found, hashed(texts), atol=1e-6)
    assert found.dtype == np.float32
    assert [len(body["input"]) for body in server.asked] == [4, 4, 2]
    assert {body["model"] for body in server.asked} == {"model-x"}
    assert isinstance(client, Encoder)
    assert client.name == "model-x"
    assert client.encode([], "question").shape == (0, 16)


def test_prompts_key_and_what_goes_along(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = encoder(server, "?question_prompt=query:%20&passage_prompt=P:&api-version=3&dimensions=4")
    client.encode(["a", ""], "question")
    monkeypatch.setenv("OPENAI_API_KEY", "open")
    client.encode(["a"], "passage")
    monkeypatch.setenv("PANGLOT_API_KEY", "mine")
    assert client.encode(["a"], "passage").shape == (1, 4)
    assert [body["input"] for body in server.asked] == [["query: a", "query: "], ["P:a"], ["P:a"]]
    assert server.keys == [None, "Bearer open", "Bearer mine"]
    assert set(server.queries) == {"api-version=3"}
    plain, _ = encoder(server)
    plain.encode([""], "question")
    assert server.asked[-1]["input"] == [" "]
    assert "dimensions" not in server.asked[-1]


def test_waits_as_long_as_asked(server: Server) -> None:
    client, pauses = encoder(server)
    server.faults = [(429, {"retry-after": "3"}), (429, {}), (503, {"retry-after": "nonsense"})]
    np.testing.assert_allclose(client.encode(["a"], "question"), hashed(["a"]), atol=1e-6)
    assert pauses == [3.0, 1.0, 2.0]
    assert len(server.asked) == 4


def test_gives_up_after_so_many_failures(server: Server) -> None:
    client, pauses = encoder(server, retries=3)
    server.faults = [(500, {})] * 10
    with pytest.raises(PanglotError, match=r"status 500.*the reason is here"):
        client.encode(["a"], "question")
    assert pauses == [0.5, 1.0, 2.0]


def test_halves_a_request_that_is_too_large(server: Server) -> None:
    server.most = 3
    client, _ = encoder(server, batch_size=16)
    texts = [f"t{i}" for i in range(9)]
    np.testing.assert_allclose(client.encode(texts, "question"), hashed(texts), atol=1e-6)
    assert [len(body["input"]) for body in server.asked] == [9, 4, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(("ids", "which"), [(None, "text 3 of 4"), (["p1", "p2", "p3", "p4"], "the text 'p3'")])
def test_the_text_that_is_refused_is_named(server: Server, status: int, ids: list[str] | None, which: str) -> None:
    server.longest, server.refusal = 5, status
    client, pauses = encoder(server)
    with pytest.raises(
        PanglotError, match=rf"refuses {which}, of 6 characters \(status {status}\): 'the reason"
    ) as caught:
        client.encode(["a", "b", "longer", "c"], "passage", ids=ids)
    assert "shorten the text" in (caught.value.hint or "")
    assert pauses == []


def test_base64_is_understood(server: Server) -> None:
    def packed(answer: dict[str, Any]) -> dict[str, Any]:
        for row in answer["data"]:
            row["embedding"] = base64.b64encode(np.asarray(row["embedding"], "<f4").tobytes()).decode()
        return answer

    server.faults = [packed]
    client, _ = encoder(server)
    np.testing.assert_allclose(client.encode(["a", "b"], "question"), hashed(["a", "b"]), atol=1e-6)


def _drop(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"data": answer["data"][: len(answer["data"]) // 2]}


def _same_index(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"data": [row | {"index": 0} for row in answer["data"]]}


def _put(value: Any) -> Any:
    return lambda answer: answer | {"data": [answer["data"][0] | {"embedding": value}, *answer["data"][1:]]}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_drop, "4 texts were sent, but 2 vectors came back"),
        (_same_index, "4 texts were sent"),
        (_put([1.0] * 5), r"got \[5, 16\]"),
        (_put([float("nan")] * 16), "zero or not finite"),
        (_put([0.0] * 16), "zero or not finite"),
        (_put("no base64!"), "not a list of embeddings"),
        (_put([[1.0]]), "not a list of embeddings"),
        (_put(None), "not a list of embeddings"),
        (lambda _: b"<html>proxy</html>", "not a list of embeddings: '<html>proxy"),
        (lambda _: {"data": None}, "not a list of embeddings"),
        (lambda _: {"error": "quota"}, "not a list of embeddings"),
        (lambda _: [1], "not a list of embeddings"),
        (lambda _: {"data": [{"index": "x", "embedding": [1]}]}, "not a list of embeddings"),
        ((401, {}), "refuses access.*PANGLOT_API_KEY"),
        ((404, {}), "status 404.*model's name"),
    ],
)
def test_bad_responses_are_explained(server: Server, fault: Any, message: str) -> None:
    server.faults = [fault]
    client, pauses = encoder(server)
    with pytest.raises(PanglotError, match=message):
        client.encode(["a", "b", "c", "d"], "question")
    assert pauses == []


def test_another_dimension_later_is_an_error(server: Server) -> None:
    client, _ = encoder(server)
    client.encode(["a"], "question")
    server.encoder = lambda texts: np.ones((len(texts), 3))
    with pytest.raises(PanglotError, match="must have 16 numbers"):
        client.encode(["b"], "question")


def test_nobody_listens() -> None:
    pauses: list[float] = []
    client = EndpointEncoder("http://127.0.0.1:9/v1#m", pause=pauses.append)
    with pytest.raises(PanglotError, match="cannot be reached"):
        client.encode(["a"], "question")
    assert len(pauses) == 2


def test_a_silent_server_times_out(server: Server) -> None:
    def slow(answer: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.6)
        return answer

    server.faults = [slow]
    client, pauses = encoder(server, timeout=0.3)
    client.encode(["a"], "question")
    assert len(pauses) >= 1


@pytest.mark.parametrize("url", ["http://host/v1", "http:///v1#m", "https://#m"])
def test_addresses_without_host_or_model(url: str) -> None:
    with pytest.raises(PanglotError, match="does not name an endpoint and a model"):
        load(url)


@pytest.mark.parametrize("query", ["dimensions=0", "dimensions=many", "batch_size=-1"])
def test_numbers_in_the_address(query: str) -> None:
    with pytest.raises(PanglotError, match="must be a number above 0"):
        load(f"http://host/v1?{query}#m")


def test_fingerprints_follow_model_and_prompts_not_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [
        "http://h/v1#a",
        "http://h/v1#b",
        "http://h/v1?passage_prompt=x#a",
        "http://h/v1?dimensions=3#a",
        "http://i/v1#a",
    ]
    marks = [load(url).fingerprint for url in urls]
    assert len(set(marks)) == len(urls)
    monkeypatch.setenv("PANGLOT_API_KEY", "another")
    assert load(urls[0]).fingerprint == marks[0]
    assert load("http://h/v1?batch_size=7#a").fingerprint == marks[0]


def test_the_bundled_model_behind_an_endpoint(server: Server, tmp_path: Path) -> None:
    bundled = load("bundled", precision="fp32")
    server.encoder = lambda texts: bundled.model.encode(texts)  # type: ignore[attr-defined]
    texts = ["How many bones has an adult?", "成人有206块骨头。", "ผู้ใหญ่มีกระดูก 206 ชิ้น"]
    remote, _ = encoder(server, "?question_prompt=query:%20&passage_prompt=passage:%20")
    cached = Cached(remote, tmp_path)
    np.testing.assert_allclose(cached.encode(texts, "passage"), bundled.encode(texts, "passage"), atol=1e-5)
    asked = len(server.asked)
    np.testing.assert_allclose(
        Cached(remote, tmp_path).encode(texts, "passage"), bundled.encode(texts, "passage"), atol=1e-5
    )
    assert len(server.asked) == asked
