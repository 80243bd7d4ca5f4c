"""Several indexes in one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from service_made import Encoder, lines, serving

from panglot._errors import PanglotError
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.service.batcher import Limits
from panglot.service.middleware import Access, Key
from panglot.service.serve import open_indexes

HELP = [Document("h1", "Click Print to print the sheet.", language="en"), Document("h2", "Speichern.", language="de")]
LAW = [Document("l1", "Everyone has the right to life.", language="en")]
ACCESS = Access((Key("a key of a reader"),), writable=True, write_keys=(Key("a key of a writer"),))
KEY = {"Authorization": "Bearer a key of a reader"}
WRITE = {"Authorization": "Bearer a key of a writer"}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[dict[str, Index]]:
    encoder = Encoder(fails=False)
    for name, documents in (("help", HELP), ("law", LAW)):
        Index.build(documents, tmp_path / name, model=encoder).close()
    found = {name: Index.open(tmp_path / name, model=encoder) for name in ("help", "law")}
    yield found
    for each in found.values():
        each.close()


def test_each_index_has_the_routes_of_one(opened: dict[str, Index]) -> None:
    with lines() as kept, serving(opened) as url, httpx.Client(base_url=url, timeout=60) as client:
        listed = client.get("/indexes").json()["indexes"]
        assert [(each["name"], each["documents"]) for each in listed] == [("help", 2), ("law", 1)]
        assert client.get("/indexes/help/about").json()["documents"] == 2
        for name, first in (("help", "h1"), ("law", "l1")):
            asked = {"query": "print the sheet, everyone"}
            assert client.post(f"/indexes/{name}/search", json=asked).json()["hits"][0]["id"] == first
            assert client.get(f"/indexes/{name}/search", params=asked).json()["hits"][0]["id"] == first
            assert client.get(f"/indexes/{name}/ready").json() == {"status": "ok"}
            page = client.get(f"/indexes/{name}/")
            assert "<title>" in page.text
            assert client.get(f"/indexes/{name}/app.js").status_code == 200
            # The addresses of the page are relative to its own.
            moved = client.get(f"/indexes/{name}")
            assert (moved.status_code, str(moved.url.join(moved.headers["location"]))) == (
                307,
                f"{url}/indexes/{name}/",
            )
            moved = client.get(f"/indexes/{name}?q=print&mode=balanced")
            assert moved.headers["location"] == f"{name}/?q=print&mode=balanced"
            assert moved.headers["x-frame-options"] == "DENY"
            described = client.get(f"/indexes/{name}/openapi.json").json()
            assert described["servers"] == [{"url": f"/indexes/{name}"}]
            assert "/search" in described["paths"]
        for path in ("/search?query=x", "/", "/indexes/none/search?query=x", "/indexes/help/indexes/law/about"):
            assert client.get(path).status_code == 404
        assert "docs.js" in client.get("/docs").text
        assert "docs.js" in client.get("/indexes/help/docs").text
        assert client.get("/ready").json() == {"status": "ok"}
        figures = client.get("/metrics").text
        assert 'panglot_requests_total{route="/indexes/law/search",status="200"} 2.0' in figures
        assert "panglot_queue_requests 0.0" in figures
        assert {"/indexes/help/about", "/indexes", "other"} <= {each["route"] for each in kept.requests()}


def test_keys_and_sizes_hold_for_every_index(opened: dict[str, Index]) -> None:
    limits = Limits(body=300_000)
    with serving(opened, limits, access=ACCESS) as url, httpx.Client(base_url=url, timeout=60) as client:
        more = {"documents": [{"id": "new", "text": "Something new.", "language": "en"}]}
        assert client.get("/indexes/help/").status_code == 200
        for path in ("/indexes", "/metrics", "/indexes/help/about", "/indexes/help/metrics"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=KEY).status_code == 200
        assert client.put("/indexes/law/documents", json=more).status_code == 401
        assert client.put("/indexes/law/documents", json=more, headers=KEY).status_code == 403
        # No way of writing the path gets around the key.
        for path in ("/indexes/law/indexes/law/documents", "//indexes/law/documents", "/indexes/law//documents"):
            assert client.put(path, json=more, headers=KEY).status_code in {403, 404}
        assert client.put("/indexes/law/documents", json=more, headers=WRITE).json()["written"] == 1
        found = [client.get(f"/indexes/{name}/about", headers=KEY).json()["documents"] for name in ("help", "law")]
        assert found == [2, 2]
        large = {"query": "x" * 270_000}
        assert client.post("/indexes/help/search", json=large, headers=KEY).status_code == 413
        many = {"input": ["x" * 90_000] * 3, "model": "small/letters"}
        assert client.post("/indexes/help/v1/embeddings", json=many, headers=KEY).status_code == 200


def test_one_model_encodes_for_all_and_the_limits_are_of_the_process(opened: dict[str, Index]) -> None:
    encoder = cast("Encoder", opened["help"].encoder)
    with serving(opened, Limits(queue=1)) as url, httpx.Client(base_url=url, timeout=60) as client:
        encoder.open.clear()
        with httpx.Client(base_url=url, timeout=60) as other:
            answers: list[int] = []
            thread = threading.Thread(
                target=lambda: answers.append(other.get("/indexes/help/search?query=a").status_code)
            )
            encoder.entered.clear()
            thread.start()
            assert encoder.entered.wait(30)
            assert client.get("/indexes/law/search?query=b").status_code == 429
            encoder.open.set()
            thread.join()
        assert answers == [200]
        assert client.get("/indexes/law/search?query=b").status_code == 200


def test_the_names_of_indexes_are_checked(tmp_path: Path, opened: dict[str, Index], monkeypatch: Any) -> None:
    encoder = opened["help"].encoder
    opening = Index.open
    models: list[Any] = []

    def open_with(folder: Any, *, model: Any = None, precision: Any = "auto", reranker: str = "") -> Index:
        models.append((model, precision))
        return opening(folder, model=model or encoder, reranker=reranker)

    monkeypatch.setattr(Index, "open", open_with)
    found = open_indexes([f"help={tmp_path / 'help'}", f"law={tmp_path / 'law'}"])
    assert isinstance(found, dict)
    assert models == [(None, "auto"), (encoder, "auto")]
    # Both were built in one precision, and are served in another one.
    models.clear()
    encoder.fingerprint = "int8"  # type: ignore[attr-defined]
    open_indexes([f"help={tmp_path / 'help'}", f"law={tmp_path / 'law'}"], precision="int8")
    assert models == [(None, "int8"), (encoder, "auto")]
    assert {name: len(each) for name, each in found.items()} == {"help": 2, "law": 1}
    assert isinstance(open_indexes([str(tmp_path / "help")]), Index)
    for wrong, message in (
        (["help", "law=x"], "help has no name"),
        (["a b=x"], "no index here"),
        (["a=x", "a=y"], "a names two indexes"),
        ([f"a={tmp_path / 'none'}"], "no index here"),
        (["a/b=x", "c=y"], "has no name"),
    ):
        with pytest.raises(PanglotError, match=message):
            open_indexes(wrong)
