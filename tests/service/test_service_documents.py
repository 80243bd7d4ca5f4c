"""Documents are written, deleted and fetched over HTTP."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from service_made import Encoder, serving, until
from service_made import Index as Fake

from panglot._errors import PanglotError
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.storage import graph
from panglot.service.batcher import Limits, StoppedError
from panglot.service.middleware import Access, Key
from panglot.service.writer import Writer

READ, WRITE = "a-key-of-24-characters-1", "b-key-of-24-characters-2"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "index"
    given = [Document("en-1", "Click Print to print the sheet.", "Printing", "en")]
    Index.build(given, folder, model=Encoder(fails=False)).close()
    return folder


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Generator[Index]:
    opened = Index.open(shutil.copytree(built, tmp_path / "index"), model=Encoder(fails=False))
    yield opened
    opened.close()


@pytest.fixture
def client(index: Index) -> Generator[httpx.Client]:
    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as made:
        yield made


def row(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text, **more}


def put(client: httpx.Client, *rows: Any) -> httpx.Response:
    return client.put("/documents", json={"documents": list(rows)})


def first(client: httpx.Client, query: str, **options: Any) -> dict[str, Any]:
    return client.post("/search", json={"query": query, **options}).json()["hits"][0]


def error(response: httpx.Response) -> dict[str, Any]:
    return response.json()["error"]


def test_what_is_written_is_found_by_the_next_search_and_returned_as_it_was_given(client: httpx.Client) -> None:
    given = [
        row("de:garten#1", "Im Sommer den Garten gießen.", title="Garten", group="g", page=3, draft=True),
        row("en/garden?x", "Water the garden in summer.", language="en", group="g"),
    ]
    written = put(client, *given)
    assert written.status_code == 200
    found = written.json()
    assert found["written"] == 2
    assert "languages detected: de 1" in found["notes"][0]
    assert first(client, "den Garten gießen")["id"] == "de:garten#1"
    for each in given:
        back = client.get(f"/documents/{quote(each['id'], safe='')}").json()
        assert back == {"title": "", "language": "de", **each}
        assert put(client, back).status_code == 200
    assert client.get("/about").json()["documents"] == 3


def test_a_document_with_a_known_id_takes_its_place(client: httpx.Client) -> None:
    assert (
        client.post("/documents", json={"documents": [row("en-1", "A duck swims in the pond.")]}).json()["written"] == 1
    )
    hit = first(client, "duck in the pond")
    assert (hit["id"], hit["text"], hit["title"]) == ("en-1", "A duck swims in the pond.", "")
    assert client.get("/about").json()["documents"] == 1


def test_documents_are_deleted_by_id_and_by_a_list(client: httpx.Client) -> None:
    put(client, *(row(f"a/{number}", f"Text number {number}.", language="en") for number in range(4)))
    assert client.delete("/documents/a%2F0").json() == {"deleted": 1}
    assert client.delete("/documents/a%2F0").json() == {"deleted": 0}
    assert client.post("/documents/delete", json={"ids": ["a/1", "a/2", "none"]}).json() == {"deleted": 2}
    missing = client.get("/documents/a%2F1")
    assert (missing.status_code, error(missing)["code"]) == (404, "not_found")
    hits = client.post("/search", json={"query": "text number", "k": 10}).json()["hits"]
    assert {hit["id"] for hit in hits} == {"a/3", "en-1"}


@pytest.mark.parametrize(
    ("rows", "place", "field"),
    [
        ([], "documents", "documents"),
        ("text", "documents", "documents"),
        ([row(str(number), "x") for number in range(501)], "at most 500", "documents"),
        ([row("1", "good"), "text"], "document 2", "documents"),
        ([row("1", "good"), {"id": "2"}], "document 2, text", "text"),
        ([row("1", "good"), row("1", "twice")], "document 2, id", "id"),
        ([row("1", "good", language="klingon!")], "document 1, language", "language"),
        ([row("1", "good", place={"x": 1})], "document 1, place", "place"),
        ([row("1", "good"), row("2", "long " * 30_000)], "document 2, text", "text"),
    ],
)
def test_a_wrong_document_is_named_and_nothing_is_written(
    client: httpx.Client, index: Index, rows: Any, place: str, field: str
) -> None:
    version = index.store.version
    response = client.put("/documents", json={"documents": rows})
    assert response.status_code == 400
    assert (error(response)["param"], bool(error(response)["hint"])) == (field, True)
    assert place in error(response)["message"]
    assert index.store.version == version


def test_a_wrong_list_of_ids_is_refused(client: httpx.Client) -> None:
    for body in ({"ids": []}, {"ids": "en-1"}, {"ids": [1]}, {"id": ["en-1"]}, {}, {"ids": ["\ud800"]}):
        response = client.post(
            "/documents/delete", content=json.dumps(body), headers={"content-type": "application/json"}
        )
        assert (response.status_code, error(response)["param"]) in ((400, "ids"), (400, "ids.0"), (400, "id"))
    assert client.get("/about").json()["documents"] == 1


def test_a_model_that_fails_at_a_document_writes_nothing(index: Index, client: httpx.Client) -> None:
    index.encoder.fails = True  # type: ignore[attr-defined]
    assert put(client, row("2", "good"), row("3", "boom")).status_code == 500
    assert client.get("/about").json()["documents"] == 1
    assert put(client, row("2", "good")).status_code == 200


def test_nobody_may_write_unless_it_is_allowed(index: Index) -> None:
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client:
        for response in (
            put(client, row("1", "x")),
            client.put("/documents", content=b"a" * 9_000_000),
            client.delete("/documents/en-1"),
            client.post("/documents/delete", json={"ids": ["en-1"]}),
        ):
            assert (response.status_code, error(response)["code"]) == (403, "read_only")
            assert "--writable" in error(response)["hint"]
        assert client.get("/documents/en-1").json()["title"] == "Printing"


def test_a_search_is_filtered_by_json_or_text(client: httpx.Client) -> None:
    rows = [row(f"{n}", f"print sheet {n}", language="en", year=2020 + n, tags=["a", "b"][: n % 3]) for n in range(9)]
    assert put(client, *rows).status_code == 200

    def found(response: httpx.Response) -> set[str]:
        return {hit["id"] for hit in response.json()["hits"]}

    text, form = "year >= 2024 and tags contains 'b'", {"year": {"$gte": 2024}, "tags": {"$contains": "b"}}
    assert found(client.post("/search", json={"query": "print", "where": form})) == {"5", "8"}
    assert found(client.post("/search", json={"query": "print", "where": text})) == {"5", "8"}
    assert found(client.get("/search", params={"query": "print", "where": text})) == {"5", "8"}
    assert found(client.get("/search", params={"query": "print", "where": json.dumps(form)})) == {"5", "8"}
    for empty in (None, "", {}):
        assert len(found(client.post("/search", json={"query": "print", "where": empty}))) == 10
    wrong: tuple[tuple[Any, str], ...] = (
        ("year >", "expected a value at character 7"),
        ({"yaer": 1}, "no field `yaer`"),
        ({"year": "2024"}, "`year` is an int"),
        ({"year": {"$above": 1}}, "`$above` of `year` is not an operator"),
        (["year"], "a filter must be a text or an object"),
        ("x" * 10_001, "at most 10,000 characters"),
    )
    for where, message in wrong:
        for place, response in (
            ("", client.post("/search", json={"query": "print", "where": where})),
            ("searches.0.", client.post("/search/batch", json={"searches": [{"query": "print", "where": where}]})),
        ):
            assert response.status_code == 400
            assert message in error(response)["message"]
            assert error(response)["param"] == f"{place}where"
            assert error(response)["hint"]
    refused = put(client, row("x", "print", year="soon"))
    assert refused.status_code == 400
    assert "`year` of 'x' must be int as in the index, got text" in error(refused)["message"]
    (schema,) = client.get("/openapi.json").json()["components"]["schemas"]["SearchBody"]["properties"]["where"][
        "anyOf"
    ][1:2]
    assert schema["type"] == "object"


def test_a_key_to_search_is_no_key_to_write(index: Index) -> None:
    def status(client: httpx.Client, key: str) -> tuple[int, int]:
        client.headers["Authorization"] = f"Bearer {key}".strip()
        return client.get("/documents/en-1").status_code, put(client, row("2", "x")).status_code

    access = Access((Key(READ),), writable=True, write_keys=(Key(WRITE),))
    with serving(index, access=access) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert [status(client, key) for key in ("", "wrong", READ, WRITE)] == [
            (401, 401),
            (401, 401),
            (200, 403),
            (200, 200),
        ]
    with (
        serving(index, access=Access(writable=True, write_keys=(Key(WRITE),))) as url,
        httpx.Client(base_url=url) as client,
    ):
        assert [status(client, key) for key in ("", WRITE)] == [(200, 401), (200, 200)]


@pytest.mark.parametrize("access", [{"write_keys": (Key(WRITE),)}, {"keys": (Key(READ),), "writable": True}])
def test_keys_that_would_not_protect_are_refused(access: dict[str, Any]) -> None:
    with pytest.raises(PanglotError) as caught:
        Access(**access)
    assert caught.value.field == "write-keys"


def test_one_request_writes_at_a_time_and_too_many_are_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    free, entered, inside, most = threading.Event(), threading.Event(), [0], [0]
    upsert = index.store.upsert

    def slow(*given: Any, **more: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        entered.set()
        assert free.wait(30)
        upsert(*given, **more)
        inside[0] -= 1

    monkeypatch.setattr(index.store, "upsert", slow)
    limits = Limits(queue=3)
    with (
        serving(index, limits, access=Access(writable=True)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        waiting = [pool.submit(put, client, row(str(number), f"text {number}")) for number in range(3)]
        assert entered.wait(30)
        until(lambda: "panglot_queue_requests 3.0" in client.get("/metrics").text)
        refused = put(client, row("more", "x"))
        assert (refused.status_code, error(refused)["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        free.set()
        assert [each.result().status_code for each in waiting] == [200, 200, 200]
        assert most == [1]
        assert client.get("/about").json()["documents"] == 4


def test_a_failed_write_is_told_without_names_of_files(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: Any, **_more: Any) -> None:
        raise PanglotError("cannot write: No space left on device", file="/secret/place", hint="free some space")

    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        with monkeypatch.context() as patched:
            patched.setattr(index.store, "upsert", full)
            response = put(client, row("2", "x"))
        assert (response.status_code, error(response)["code"]) == (500, "write")
        assert "secret" not in response.text
        assert put(client, row("2", "x")).status_code == 200


def test_a_write_is_answered_before_segments_are_merged_and_graphs_wait_for_a_pause(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, merging = threading.Event(), threading.Event()
    merge = index.store._merge  # type: ignore[attr-defined]

    def slow(*given: Any, **more: Any) -> Any:
        merging.set()
        assert free.wait(30)
        return merge(*given, **more)

    monkeypatch.setattr(index.store, "_merge", slow)
    monkeypatch.setattr(graph, "MIN_ROWS", 40)
    monkeypatch.setattr(graph, "VISITS", 0)
    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        put(client, *(row(f"{number}", f"text number {number}", language="en") for number in range(50)))
        put(client, *(row(f"b{number}", f"text number {number}", language="en") for number in range(50)))
        assert merging.wait(30)
        assert first(client, "text number 17")["id"] in ("17", "b17")
        # Nor does a later write wait for it.
        put(client, row("later", "text number 999", language="en"))
        assert first(client, "text number 999")["id"] == "later"
        free.set()
        until(lambda: any(each.tables["plain"].graph for each in index.store._current().segments))  # type: ignore[attr-defined]
        assert client.get("/about").json()["documents"] == 102


def test_words_are_those_of_the_documents_after_each_write(client: httpx.Client) -> None:
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    asked = {"query": "x1047", "language": "en", "hybrid": True}
    for name in ("a", "b"):
        put(client, row(name, f"Error x1047 in part {name}.", language="en"))
        hits = client.post("/search", json=asked).json()["hits"]
        assert name in {hit["id"] for hit in hits if hit["explanation"]["lexical"]}
    client.delete("/documents/a")
    assert {hit["id"] for hit in client.post("/search", json=asked).json()["hits"]} == {"b", "en-1"}


def test_a_search_does_not_wait_for_the_words_of_others(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    making, free = threading.Event(), threading.Event()

    def make(_self: object) -> dict[str, Any]:
        making.set()
        assert free.wait(60)
        return {}

    monkeypatch.setattr("panglot.search.ranking.lexical.LexicalIndex.open", make)
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(9) as pool:
        wish = {"query": "print the sheet", "hybrid": True}
        waiting = [pool.submit(httpx.post, f"{url}/search", json=wish, timeout=60) for _ in range(8)]
        assert making.wait(30)
        assert client.post("/search", json={**wish, "hybrid": False}).json()["hits"]
        assert client.get("/ready").status_code == 200
        assert not any(each.done() for each in waiting)
        free.set()
        assert {each.result().status_code for each in waiting} == {200}


def test_a_writer_that_stops_finishes_what_waits_and_takes_no_more(index: Index) -> None:
    writer, free = Writer(lambda: index.store), threading.Event()
    waiting: list[Future[Any]] = [writer.submit(lambda: free.wait(30)), *(writer.submit(lambda: 7) for _ in range(3))]
    assert waiting[2].cancel()
    closing = threading.Thread(target=writer.close)
    closing.start()
    free.set()
    closing.join(30)
    assert [each.result(0) for each in waiting if not each.cancelled()] == [True, 7, 7]
    with pytest.raises(StoppedError):
        writer.submit(lambda: 8)


def test_the_made_index_serves_its_documents() -> None:
    with serving(Fake()) as url:
        assert httpx.get(f"{url}/documents/de-1").json()["language"] == "de"


def write_until_killed(url: str, known: dict[str, str], dice: random.Random, kill: Any) -> dict[str, str]:
    """Write and delete until the service is killed, and return what it would have if the last request was carried out.

    ``known`` has what was acknowledged.
    """
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(100_000):  # far more than there is time for
            names = list({str(dice.randrange(200)): None for _ in range(dice.randrange(1, 8))})
            if dice.random() < 0.75:
                texts = {name: f"{name} is version {number} {dice.random()}" for name in names}
                following, body = {**known, **texts}, [row(name, text, language="en") for name, text in texts.items()]
                request = client.build_request("PUT", "/documents", json={"documents": body})
            else:
                following = {name: text for name, text in known.items() if name not in names}
                request = client.build_request("POST", "/documents/delete", json={"ids": names})
            try:
                assert client.send(request).status_code == 200
            except httpx.TransportError:
                return following
            known.clear()
            known.update(following)
            if not number:
                threading.Timer(dice.random(), kill).start()
    raise AssertionError("it was not killed")


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_that_was_acknowledged_is_lost_when_the_service_is_killed(
    index: Index, tmp_path: Path, kills: int
) -> None:
    known = {each.id: each.text for piece in index.documents() for each in piece}
    dice = random.Random(kills)
    script = Path(__file__).with_name("service_writer.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "index")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(kills):
            process.stdin.write("\n")
            process.stdin.flush()
            words = next(line.split() for line in iter(process.stdout.readline, "") if "http://" in line)
            kill = functools.partial(os.kill, int(words[0]), signal.SIGKILL)
            unanswered = write_until_killed(words[-1], known, dice, kill)
            index.refresh()
            found = {each.id: each.text for piece in index.documents() for each in piece}
            # The request that was not answered was carried out as a whole or not at all.
            assert found in (known, unanswered)
            for name in list(found)[:3]:
                assert index.search(found[name], k=1, language="en").hits[0].document.id == name
            known = found
        process.stdin.close()
