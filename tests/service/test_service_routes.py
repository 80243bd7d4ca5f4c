"""The responses of the routes, and the requests that they reject."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from service_made import Index, lines, serving, until

from panglot.search.document import Document
from panglot.search.ranking.reranking import MATCH, MAX_SENTENCES, Sentences
from panglot.service.app import add_page
from panglot.service.batcher import Limits
from panglot.service.middleware import Access, Key
from panglot.service.serve import JsonLines

KEYS = ("a-key-of-24-characters-1", "a-key-of-24-characters-2")


@pytest.fixture(scope="module")
def index() -> Index:
    return Index()


@pytest.fixture(scope="module")
def client(index: Index) -> Generator[httpx.Client]:
    with serving(index, Limits(body=100_000, refresh=0.05)) as url, httpx.Client(base_url=url, timeout=60) as found:
        yield found


def error(response: httpx.Response) -> dict[str, Any]:
    found = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code", "hint"}
    return found


def test_an_answer_has_the_form_that_the_page_reads(client: httpx.Client) -> None:
    asked = {"query": "print the sheet", "k": 2, "languages": ["en", "deu"], "highlight": True}
    found = client.post("/search", json=asked).json()
    assert list(found) == [
        "query", "language", "detected", "language_source", "language_confidence", "mode", "hits", "shares", "seconds",
    ]  # fmt: skip
    assert (found["query"], found["language"], found["detected"], found["mode"]) == (
        "print the sheet", "en", True, "plain",
    )  # fmt: skip
    assert set(found["seconds"]) == {"wait", "encode", "search", "rank"}
    assert found["shares"] == {"en": {"hits": 0.5, "pool": 0.5}, "de": {"hits": 0.5, "pool": 0.25}}
    first = found["hits"][0]
    assert list(first) == [
        "id", "rank", "score", "title", "text", "language", "languages", "metadata", "explanation", "highlight",
        "matched", "versions",
    ]  # fmt: skip
    assert (first["id"], first["rank"], first["languages"], first["highlight"]) == ("en-1", 1, {"en": "en-1"}, None)
    assert first["explanation"] == {"cosine": first["score"]}


def test_numbers_and_characters_that_json_lacks_harm_nobody(client: httpx.Client) -> None:
    hits = {hit["id"]: hit for hit in client.post("/search", json={"query": "save"}).json()["hits"]}
    assert hits["en-1"]["metadata"] == {"page": 3, "weight": None}
    assert hits["en-2"]["text"] == "Click Save ? to keep the file."


def test_an_address_asks_the_same_as_a_body(client: httpx.Client) -> None:
    body = {
        "query": "drucken",
        "languages": ["de", "en"],
        "k": 3,
        "mode": "preferred",
        "preferred_languages": ["de"],
        "collapse": True,
    }
    by_body = client.post("/search", json=body).json()
    for codes in ({"languages": "de,en"}, {"languages": ["de", "en"]}):
        by_address = client.get("/search", params={**body, "collapse": "true", **codes}).json()
        assert {**by_address, "seconds": 0} == {**by_body, "seconds": 0}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \n"}, "query"),
        ({"query": 5}, "query"),
        ({"query": "a" * 10_001}, "query"),
        ({"query": "\ud800"}, "query"),
        ({"query": "a", "k": 0}, "k"),
        ({"query": "a", "k": 1001}, "k"),
        ({"query": "a", "k": 10**30}, "k"),
        ({"query": "a", "mode": "fair"}, "mode"),
        ({"query": "a", "mode": "preferred"}, "preferred_languages"),
        ({"query": "a", "language": "klingon"}, "language"),
        ({"query": "a", "languages": ["de", "q!"]}, "languages"),
        ({"query": "a", "languages": {"de": 1}}, "languages"),
        ({"query": "a", "boost": 3}, "boost"),
        ({"query": "a", "boost": float("nan")}, "boost"),
        ({"query": "a", "offset": -1}, "offset"),
        ({"query": "a", "k": 1000, "offset": 9500}, "offset"),
        ({"query": "a", "score_threshold": "high"}, "score_threshold"),
        ({"query": "a", "fields": ["title"], "highlight": True}, "fields"),
        ({"query": "a", "fields": ["title", "titel"]}, "fields"),
        ({"query": "a", "size": 3}, "size"),
        ({"question": "a"}, "question"),  # the name before 0.2; `query` is missing too
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, asked: dict[str, Any], field: str) -> None:
    response = client.post("/search", content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    found = error(response)
    assert (found["param"], found["type"]) == (field, "invalid_request_error")
    assert field in found["message"]
    assert found["hint"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("q", "query"), ("top_k", "k"), ("prefer", "preferred_languages"), ("filter", "where"), ("languges", "languages")],
)
def test_a_field_that_has_another_name_elsewhere_has_a_suggestion(client: httpx.Client, name: str, meant: str) -> None:
    asked = {"query": "a", name: "x"}
    for response in (
        client.post("/search", json=asked), client.get("/search", params=asked),
        client.post("/search/batch", json={"searches": [asked]}),
    ):  # fmt: skip
        assert response.status_code == 400
        assert error(response)["hint"] == f"did you mean `{meant}`?"
    assert error(client.post("/v1/embeddings", json={"model": "m", "input": "a", name: "x"}))["hint"] == "leave it out"


def test_a_body_without_its_kind_is_told_what_it_lacks(client: httpx.Client) -> None:
    response = client.post("/search", content=b'{"query": "print"}')
    assert response.status_code == 400
    assert "Content-Type: application/json" in error(response)["hint"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"a"', b"[" * 50_000, b"\xff\xfe", b'{"k": ' + b"9" * 5_000 + b"}"]
)
def test_a_body_that_is_no_question_is_refused(client: httpx.Client, body: bytes) -> None:
    for kind in ("application/json", "text/plain"):
        for route in ("/search", "/v1/embeddings"):
            response = client.post(route, content=body, headers={"Content-Type": kind})
            assert response.status_code == 400
            assert error(response)["hint"]


def test_an_empty_body_is_said(client: httpx.Client) -> None:
    assert error(client.post("/search"))["message"] == "the body is empty"


@pytest.mark.parametrize("value", ["9" * 5_000, "-" + "9" * 5_000, "1e999", "NaN", "[" * 500 + "]" * 500, "0x10"])
def test_a_number_in_an_address_that_nobody_can_mean_is_refused(client: httpx.Client, value: str) -> None:
    for parameters in ({"query": "a", "k": value}, {"query": "a", "boost": value}):
        response = client.get("/search", params=parameters)
        assert response.status_code == 400
        assert error(response)["param"] in ("k", "boost")


def test_no_route_answers_with_a_slash_behind(client: httpx.Client) -> None:
    assert error(client.post("/search/", json={"query": "print"}))["message"] == "Not Found"


def test_many_wrong_items_are_one_error(client: httpx.Client) -> None:
    found = error(client.post("/v1/embeddings", json={"model": "small/letters", "input": [{}] * 20_000}))
    assert found["param"] == "input"
    assert len(found["message"]) < 200


@pytest.mark.parametrize("given", [None, 5, {}, [1, "a"], [["a"]], ["a", "\ud800"], [[1, 2]]])
def test_what_is_no_text_is_told_of_the_input(client: httpx.Client, given: object) -> None:
    body = json.dumps({"model": "small/letters", "input": given})
    response = client.post("/v1/embeddings", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert error(response)["param"] == "input"


def test_fields_that_clients_send_empty_are_taken(client: httpx.Client) -> None:
    given = {"model": "small/letters", "input": "a", "encoding_format": None, "dimensions": None, "input_type": None}
    assert isinstance(client.post("/v1/embeddings", json=given).json()["data"][0]["embedding"], list)


def test_a_host_may_be_named_with_its_port(index: Index) -> None:
    with serving(index, hosts=("search.example:8443",)) as url:
        for host, status in (("search.example", 200), ("search.example:8443", 200), ("other.example", 421)):
            assert httpx.get(f"{url}/health", headers={"Host": host}).status_code == status


def test_a_request_that_is_too_large_is_refused_however_it_comes(client: httpx.Client) -> None:
    large = json.dumps({"query": "a" * 200_000}).encode()
    for content in (large, iter([large[:50_000], large[50_000:]])):
        response = client.post("/search", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 413
        assert error(response)["code"] == "size"
    assert client.get("/health").json() == {"status": "ok"}


def test_about_tells_model_languages_and_modes(client: httpx.Client) -> None:
    found = client.get("/about").json()
    assert (found["model"], found["documents"]) == ("small/letters", 4)
    languages = {each["code"]: each for each in found["languages"]}
    assert list(languages) == ["en", "ar", "de"]
    assert [languages[code]["direction"] for code in ("ar", "de")] == ["rtl", "ltr"]
    assert sum(each["share"] for each in languages.values()) == 1
    assert [mode["name"] for mode in found["modes"]] == ["plain", "centered", "balanced", "preferred"]
    assert found["options"]["k"] == {"default": 10, "minimum": 1, "maximum": 1000}
    assert found["options"]["score_threshold"]["default"] is None
    # One in each language, of another group than the others, so that there is none in English.
    assert found["examples"] == [
        {"query": "انقر فوق حفظ لحفظ الملف.", "language": "ar"},
        {"query": "Klicken Sie auf Drucken, um die Tabelle zu drucken.", "language": "de"},
    ]


def test_a_search_without_a_mode_has_that_of_the_service(index: Index) -> None:
    with serving(index, mode="balanced") as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/about").json()["default_mode"] == "balanced"
        asked: list[dict[str, Any]] = [{"query": "a"}, {"query": "a", "mode": "plain"}]
        found = [client.post("/search", json=body).json()["mode"] for body in asked]
        several = client.post("/search/batch", json={"searches": asked}).json()["results"]
        assert found == [each["mode"] for each in several] == ["balanced", "plain"]
        assert client.get("/search?query=a").json()["mode"] == "balanced"
        # The description of the routes says so too, of this service alone.
        described = client.get("/openapi.json").json()
        (by_address,) = (
            each["schema"] for each in described["paths"]["/search"]["get"]["parameters"] if each["name"] == "mode"
        )
        body = described["components"]["schemas"]["SearchBody"]["properties"]["mode"]
        assert [by_address["default"], body["default"]] == ["balanced", "balanced"]
    with serving(index) as url:
        described = httpx.get(f"{url}/openapi.json").json()
        assert described["components"]["schemas"]["SearchBody"]["properties"]["mode"]["default"] == "plain"


def test_a_fault_tells_nothing_of_the_inside(client: httpx.Client) -> None:
    with lines() as kept:
        response = client.post("/search", json={"query": "broken secret"})
        # The service logs after it has responded.
        until(lambda: any(record.exc_info for record in kept.records))
    assert response.status_code == 500
    assert error(response)["type"] == "server_error"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    shown = "\n".join(JsonLines().format(record) for record in kept.records)
    assert "RuntimeError" in shown
    assert "service_made.py" in shown
    assert "secret" not in shown


def test_logs_are_json_and_hold_no_text() -> None:
    with serving(Index()) as url, httpx.Client(base_url=url, timeout=60) as client, lines() as kept:
        client.post("/search", json={"query": "hush print", "languages": ["xq"]})
        client.post("/search", json={"query": "hush print"})
        client.post("/v1/embeddings", json={"input": ["hush", "hush boom"], "model": "small/letters"})
        client.get("/hush/../hush?hush")
        until(lambda: len(kept.requests()) == 4)
    shown = [json.loads(JsonLines().format(record)) for record in kept.records]
    assert not any("hush" in json.dumps(line) or "Click" in json.dumps(line) for line in shown)
    asked = [line for line in shown if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in asked] == [
        ("/search", 400), ("/search", 200), ("/v1/embeddings", 500), ("other", 404),
    ]  # fmt: skip
    assert {"time", "level", "ms", "batch", "texts"} <= set(asked[1])


def test_figures_are_prometheus_and_count(client: httpx.Client) -> None:
    def figures() -> dict[tuple[str, str], float]:
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    before = figures()
    client.post("/search", json={"query": "count"})
    client.get("/no-such-route")
    after = figures()

    def grew(name: str, labels: str = "") -> float:
        return after[name, labels] - before.get((name, labels), 0)

    assert grew("panglot_requests_total", "/search,200") == 1
    assert grew("panglot_requests_total", "other,404") == 1
    assert grew("panglot_request_seconds_count", "/search") == 1
    assert grew("panglot_batch_texts_sum") == 1
    assert grew("panglot_rejected_total", "not_found") == 1
    assert after["panglot_queue_requests", ""] == 0
    assert ("process_resident_memory_bytes", "") in after


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/app.py", "//etc/passwd", "/page/index.html", "/app.py",
     "/v1/models/../../../etc/passwd", "/v1/models/%2fetc%2fpasswd", "/index.html", "/%00", "/docs.html",
     "/static/a.js"],
)  # fmt: skip
def test_a_path_never_reaches_the_files(client: httpx.Client, path: str) -> None:
    import http.client

    plain = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80)
    plain.request("GET", path)  # as it is, where httpx would tidy it
    response = plain.getresponse()
    assert response.status == 404
    assert "error" in json.loads(response.read())
    plain.close()


def test_another_method_is_refused(client: httpx.Client) -> None:
    response = client.delete("/search")
    assert response.status_code == 405
    error(response)


def test_every_answer_has_the_safe_headers(client: httpx.Client) -> None:
    for response in (client.get("/health"), client.get("/nothing"), client.post("/search", content=b"a" * 200_000)):
        assert response.headers["content-security-policy"].startswith("default-src 'self';")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


def test_the_openapi_page_describes_every_route_and_its_errors(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/search", "/search/batch", "/about", "/documents", "/documents/{id}", "/documents/delete",
        "/documents/stream", "/v1/embeddings",
        "/embed", "/info", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/models", "/v1/models/{model}", "/health",
        "/live", "/ready", "/metrics",
    }  # fmt: skip
    for path in described["paths"].values():
        for operation in path.values():
            assert set(operation["responses"]) == {"200", "4XX", "5XX"}


def test_only_threads_that_rank_touch_the_index_and_one_looks_again_after_an_error(
    client: httpx.Client, index: Index
) -> None:
    client.post("/search", json={"query": "a"})
    assert {name.rpartition("_")[0] for name in index.threads} == {"panglot-rank"}
    until(lambda: index.refreshed > 2)


def test_a_page_is_files_under_fixed_routes(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "docs.html").write_text("<p>")
    (tmp_path / "app.js").write_text("1")
    (tmp_path / "secret.txt").write_text("no")
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    assert add_page(app, tmp_path) == {"/", "/docs", "/app.js"}
    assert add_page(app, tmp_path, search=False) == {"/docs", "/app.js"}
    assert not app.openapi()["paths"]


@pytest.mark.parametrize("path", ["/", "/docs", "/app.js", "/health", "/live", "/ready", "/about", "/metrics",
    "/v1/models", "/openapi.json", "/search?query=print", "/search", "/nothing"])  # fmt: skip
def test_head_answers_as_get_without_the_content(client: httpx.Client, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_another_web_site_can_make_no_visitor_search(client: httpx.Client) -> None:
    def status(path: str, site: str, method: str = "GET", **options: Any) -> int:
        return client.request(method, path, headers={"Sec-Fetch-Site": site}, **options).status_code

    for site, allowed in (("same-origin", True), ("none", True), ("same-site", True), ("cross-site", False)):
        assert status("/search?query=a", site) == (200 if allowed else 403)
        assert status("/search", site, "POST", json={"query": "a"}) == (200 if allowed else 403)
        assert status("/about", site) == (200 if allowed else 403)
        # A link to the page from another site is followed.
        assert status("/", site) == 200
    response = client.get("/search?query=a", headers={"Sec-Fetch-Site": "cross-site"})
    assert error(response)["code"] == "cross_site"


def test_highlights_wait_their_turn_and_are_not_encoded_where_the_index_is_used() -> None:
    index = Index()
    limits = Limits(batch_tokens=40)
    with serving(index, limits) as url, ThreadPoolExecutor(1) as pool:
        asked = {"query": "drucken", "k": 4, "languages": ["de"], "highlight": True}
        assert httpx.post(f"{url}/search", json=asked).json()["hits"][0]["highlight"] == [0, 51]
        # The query, then both sentences of the one German text.
        assert [len(batch) for batch in index.encoder.batches] == [1, 2]
        index.encoder.hold = "Klicken"
        waiting = pool.submit(httpx.post, f"{url}/search", json=asked, timeout=60)
        until(lambda: index.encoder.held.is_set())
        # The model works on the sentences, and the index answers others.
        assert httpx.get(f"{url}/about").status_code == 200
        index.encoder.open.set()
        assert waiting.result().status_code == 200


def test_several_searches_give_what_each_gives_alone_and_are_encoded_together() -> None:
    index = Index()
    searches = [
        {"query": "drucken", "k": 2},
        {"query": "drucken, um die Tabelle", "languages": ["de", "en"], "highlight": True},
        {"query": "print", "languages": ["en"], "fields": ["title"]},
    ]
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client:
        found = client.post("/search/batch", json={"searches": searches})
        assert found.status_code == 200
        assert index.encoder.batches[0] == [each["query"] for each in searches]
        alone = [client.post("/search", json=each).json() for each in searches]
        assert [{**each, "seconds": 0} for each in found.json()["results"]] == [
            {**each, "seconds": 0} for each in alone
        ]
        assert alone[1]["hits"][0]["highlight"]


@pytest.mark.parametrize(
    ("searches", "field"),
    [
        ([], "searches"),
        ([{"query": "a"}, {"query": "b", "k": 0}], "searches.1.k"),
        ([{"query": "a"}, {"query": "b", "language": "klingon"}], "searches.1.language"),
        ([{"query": "a"}, {"query": "b", "mode": "preferred"}], "searches.1.preferred_languages"),
        ([{"query": "a"}] * 101, "searches"),
        ([{"query": "a", "k": 1000}] * 11, "searches"),
        ([5, {}], "searches.0"),
        ([5] * 5_000, "searches"),
    ],
)
def test_a_wrong_search_of_several_is_named(client: httpx.Client, searches: list[Any], field: str) -> None:
    response = client.post("/search/batch", json={"searches": searches})
    assert response.status_code == 400
    assert error(response)["param"] == field
    assert len(error(response)["message"]) <= 500


def test_a_choice_of_fields_leaves_the_highlight(client: httpx.Client) -> None:
    asked = {"query": "drucken", "languages": ["de", "en"], "highlight": True, "fields": ["text"]}
    whole, found = (client.post("/search", json=body).json()["hits"] for body in ({**asked, "fields": []}, asked))
    assert {hit["title"] for hit in whole} == {"", "Printing"}
    assert found == [{**hit, "title": "", "metadata": {}} for hit in whole]
    found = client.get("/search?query=drucken&languages=en&fields=page,title").json()["hits"]
    assert [(hit["text"], hit["title"], hit["metadata"]) for hit in found] == [
        ("", "Printing", {"page": 3}), ("", "", {}),
    ]  # fmt: skip


def test_sentences_of_highlights_are_limited_in_number() -> None:
    long = Document("long", "One sentence. " * 300, "", "en")
    short = Document("short", "Only this one.", "", "en")
    sentences = Sentences.of([long, short, long, short, Document("empty", "", "", "en")])
    assert len(sentences.texts) == 300 <= MAX_SENTENCES
    assert [len(found) for found in sentences.spans] == [300, 1, 0, 1, 0]
    scores = np.zeros(300, np.float32)
    scores[7] = 1
    # The only sentence of a text is not marked, nor is one that does not match.
    assert sentences.best(scores) == [sentences.spans[0][7], None, None, None, None]
    scores[7] = MATCH - 0.01
    assert sentences.best(scores) == [None] * 5


def test_without_a_key_only_health_and_the_page_answer() -> None:
    with (
        serving(Index(), access=Access(tuple(map(Key, KEYS)))) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        for path in ("/health", "/live", "/ready", "/", "/docs", "/docs.js"):
            assert client.get(path).status_code == 200
        for path in ("/about", "/metrics", "/openapi.json", "/v1/models", "/search?query=a"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEYS[0]}"}):
                response = client.get(path, headers=headers)
                assert response.status_code == 401
                assert error(response)["code"] == "invalid_api_key"
                assert response.headers["www-authenticate"].startswith("Bearer")
            for key in KEYS:
                assert client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert client.post("/search", content=b"a" * 10_000_000).status_code == 401


def test_another_host_name_is_refused() -> None:
    with serving(Index(), hosts=("localhost", "127.0.0.1", "[::1]")) as url:
        assert httpx.get(f"{url}/health").status_code == 200
        response = httpx.get(f"{url}/health", headers={"Host": "elsewhere.example:80"})
        assert response.status_code == 421
        assert "--allow-host" in error(response)["hint"]
