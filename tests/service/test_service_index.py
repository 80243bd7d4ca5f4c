"""The service over a real index."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from service_made import Encoder, serving, until

from panglot._environment import cpu_precision
from panglot._errors import PanglotError
from panglot.debiasing.correction import Debiased, Debiasing
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.metadata import snapshot
from panglot.search.ranking.modes import LanguageStats
from panglot.service.batcher import Limits
from panglot.service.engine import Engine
from panglot.service.middleware import Access, Metrics

TEXTS = {
    "en": (
        "Click Print to print the sheet. The printer starts.",
        "Choose Save to keep the file. It is written at once.",
    ),
    "de": ("Auf Drucken klicken, um die Tabelle zu drucken.", "Speichern wählen, um die Datei zu behalten."),
    "ar": ("انقر فوق طباعة لطباعة الورقة.", "اختر حفظ للاحتفاظ بالملف."),
}
DOCUMENTS = [
    Document(f"{code}-{place}", text, language=code, group=str(place), metadata={"page": place})
    for code, texts in TEXTS.items()
    for place, text in enumerate(texts)
]


def _index_of(folder: Path, *documents: Document, name: str = "small/letters") -> Path:
    encoder = Encoder(fails=False)
    encoder.name = encoder.fingerprint = name
    Index.build(documents or DOCUMENTS, folder, model=encoder).close()
    return folder


@pytest.mark.parametrize("link", [True, False])
def test_another_index_in_its_place_is_served_and_no_request_is_lost(tmp_path: Path, link: bool) -> None:
    """Deployments switch a link, or rename folders, while clients search."""
    new = Document("new", "print the sheet", language="en")
    first, second = _index_of(tmp_path / "first"), _index_of(tmp_path / "second", new)
    served = tmp_path / "served"
    served.symlink_to(first)
    place = served if link else first
    encoder = Encoder(fails=False)
    encoder.name = encoder.fingerprint = "small/letters"
    index = Index.open(place, model=encoder)
    statuses: list[int] = []
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=120) as client:
            while not stop.is_set():
                found = client.get("/search?query=print the sheet&k=1")
                statuses.append(found.status_code)
                assert found.json()["hits"][0]["id"] in {"en-0", "new"}

    with (
        serving(index, Limits(refresh=0.05), access=Access(writable=True)) as url,
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        asking = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for each in asking:
            each.start()
        until(lambda: len(statuses) > 10)
        if link:
            (tmp_path / "link").symlink_to(second)
            (tmp_path / "link").replace(served)
        else:
            first.rename(tmp_path / "old")
            second.rename(first)
        until(lambda: client.get("/about").json()["documents"] == 1)
        seen = len(statuses)
        until(lambda: len(statuses) > seen + 10)
        stop.set()
        for each in asking:
            each.join()
        assert client.get("/search?query=print the sheet").json()["hits"][0]["id"] == "new"
        # What is written from now on is in the new index.
        more = {"documents": [{"id": "more", "text": "Watering the garden.", "language": "en"}]}
        assert client.put("/documents", json=more).json()["written"] == 1
        assert client.get("/about").json()["documents"] == 2
    assert set(statuses) == {200}
    index.close()
    again = Index.open(place, model=encoder)
    assert len(again) == 2
    again.close()


def test_another_index_of_the_same_size_has_examples_of_its_own(tmp_path: Path) -> None:
    encoder = Encoder(fails=False)
    places = [tmp_path / "first", tmp_path / "second"]
    for place, title in zip(places, ("Print the sheet", "Water the garden"), strict=True):
        Index.build([Document("1", "A text.", title, "en")], place, model=encoder).close()
    (tmp_path / "served").symlink_to(places[0])
    index = Index.open(tmp_path / "served", model=encoder)
    with serving(index, Limits(refresh=0.05)) as url, httpx.Client(base_url=url, timeout=120) as client:

        def example() -> str:
            return client.get("/about").json()["examples"][0]["query"]

        assert example() == "Print the sheet"
        (tmp_path / "link").symlink_to(places[1])
        (tmp_path / "link").replace(tmp_path / "served")
        until(lambda: example() == "Water the garden")
    index.close()


def test_going_back_to_a_snapshot_is_noticed_too(tmp_path: Path) -> None:
    encoder = Encoder(fails=False)
    first = tmp_path / "first"
    Index.build(DOCUMENTS, first, model=encoder).close()
    snapshot(first, tmp_path / "before")
    (tmp_path / "served").symlink_to(first)
    index = Index.open(tmp_path / "served", model=encoder)
    assert index.successor() is None
    index.delete(["en-0", "de-0"])
    assert len(index) == 4
    # Both have the same name, because one is a copy of the other.
    (tmp_path / "link").symlink_to(tmp_path / "before")
    (tmp_path / "link").replace(tmp_path / "served")
    back = index.successor()
    assert back is not None
    assert (len(back), len(index)) == (6, 4)
    assert back.search("drucken", hybrid=True, language="de").hits[0].document.id == "de-0"
    for each in (index, back):
        each.close()


def test_an_index_with_another_model_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = Index.open(_index_of(tmp_path / "index", name="1"), model=Encoder(fails=False))
    shutil.move(tmp_path / "index", tmp_path / "old")
    _index_of(tmp_path / "index", Document("new", "print", language="en"), name="2")
    engine = Engine(index, Limits(), Metrics())
    with pytest.raises(PanglotError, match="built with another model, 2"):
        engine._refresh()
    (said,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "another model" in said.fields["problem"]  # type: ignore[attr-defined]
    assert engine.index is index
    hits = index.search("how to print the sheet", language="en").hits
    assert {hit.document.id for hit in hits} == {each.id for each in DOCUMENTS}
    asyncio.run(engine.close())
    index.close()


def test_two_requests_are_ranked_at_once(tmp_path: Path) -> None:
    Index.build(DOCUMENTS, tmp_path / "index", model=Encoder(fails=False)).close()
    index = Index.open(tmp_path / "index", model=Encoder(fails=False))
    engine = Engine(index, Limits(), Metrics())
    both = threading.Barrier(2, timeout=30)

    async def rank() -> None:
        await asyncio.gather(engine.ranked(both.wait), engine.ranked(both.wait))
        await engine.close()

    asyncio.run(rank())
    index.close()


def test_the_service_gives_the_vectors_of_a_debiased_model(tmp_path: Path) -> None:
    base = Encoder(fails=False)
    vectors = base.encode([each.text for each in DOCUMENTS], "passage")
    means = LanguageStats.of([([each.language for each in DOCUMENTS], vectors)], vectors.shape[1]).centering()
    own = Debiasing("center", ("ar", "de", "en"), means.offset[:, :3], means.directions[:, :3], means.subspace)
    index = Index.build(DOCUMENTS, tmp_path / "index", model=Debiased(base, own))
    texts = ["Wie kann ich die ganze Tabelle drucken?", "How do I print the whole table?", DOCUMENTS[0].text]
    with serving(index) as url, httpx.Client(base_url=url, timeout=120) as client:
        for name, side in (("small/letters", "passage"), ("small/letters:query", "question")):
            found = client.post("/v1/embeddings", json={"input": texts, "model": name}).json()
            given = np.array([each["embedding"] for each in found["data"]])
            np.testing.assert_allclose(given, Debiased(base, own).encode(texts, side), atol=1e-6)  # type: ignore[arg-type]
            assert np.abs(given - base.encode(texts, side)).max() > 0.01  # type: ignore[arg-type]
        ranks = client.post("/rerank", json={"query": texts[1], "texts": texts, "raw_scores": True}).json()
        model = Debiased(base, own)
        expected = model.encode(texts, "passage") @ model.encode([texts[1]], "question")[0]
        np.testing.assert_allclose([each["score"] for each in ranks], sorted(expected, reverse=True), atol=1e-6)
    index.close()


def test_an_index_is_searched_in_every_mode_and_what_joins_it_is_found(tmp_path: Path) -> None:
    Index.build(DOCUMENTS, tmp_path / "index", model=Encoder(fails=False)).close()
    index = Index.open(tmp_path / "index", model=Encoder(fails=False))
    with serving(index, Limits(refresh=0.1)) as url, httpx.Client(base_url=url, timeout=120) as client:
        about = client.get("/about").json()
        assert {each["code"]: each["documents"] for each in about["languages"]} == {"ar": 2, "de": 2, "en": 2}
        for mode in about["modes"]:
            wish = {
                "query": "how to print the sheet",
                "mode": mode["name"],
                "preferred_languages": ["de"],
                "highlight": True,
            }
            found = client.post("/search", json=wish).json()
            assert (len(found["hits"]), found["language"], found["mode"]) == (6, "en", mode["name"])
            first = found["hits"][0]
            assert first["id"] == "en-0"
            assert first["text"][slice(*first["highlight"])].startswith(("Click", "The printer"))
            assert sum(share["pool"] for share in found["shares"].values()) == pytest.approx(1)
        folded = client.get("/search?query=drucken&collapse=true&languages=de,en").json()
        assert [sorted(hit["languages"]) for hit in folded["hits"]] == [["de", "en"]] * 2
        vectors = client.post("/v1/embeddings", json={"input": DOCUMENTS[0].text, "model": about["model"]}).json()
        stored = index.store.vectors("plain", ["en-0"])[0]
        assert vectors["data"][0]["embedding"] == pytest.approx(stored.tolist(), abs=2e-3)  # stored in half precision

        writer = Index.open(tmp_path / "index", model=Encoder(fails=False))
        writer.add([Document("new", "Watering the garden in summer.", language="en")])
        writer.close()
        until(lambda: client.get("/about").json()["documents"] == 7)
        assert client.get("/search?query=watering the garden").json()["hits"][0]["id"] == "new"
    index.close()


@pytest.mark.slow
def test_the_command_serves_the_bundled_model_until_sigterm(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": each.id, "text": each.text}, ensure_ascii=False) + "\n" for each in DOCUMENTS)
    (tmp_path / "docs.jsonl").write_text(lines, encoding="utf-8")
    panglot = [sys.executable, "-m", "panglot.cli.main"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([*panglot, "index", "docs.jsonl", "--output", "index"], cwd=tmp_path, env=environment, check=True)
    with subprocess.Popen(
        [*panglot, "serve", "index", "--port", "0"], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            url = next(line.split()[-1] for line in iter(process.stderr.readline, "") if "http://" in line)
            found = httpx.post(f"{url}search", json={"query": "如何打印表格?", "k": 3}, timeout=600).json()
            assert {hit["id"][-1] for hit in found["hits"]} == {"0"}
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=600)
            assert process.returncode == 0
            assert '"route": "/search", "status": 200' in out
            assert "打印" not in out
        finally:
            process.kill()


def test_the_examples_in_the_description_are_valid_requests(tmp_path: Path) -> None:
    Index.build(DOCUMENTS, tmp_path / "index", model="bundled").close()
    index = Index.open(tmp_path / "index")
    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=120) as client:
        described = client.get("/openapi.json").json()
        schemas, sent = described["components"]["schemas"], list[tuple[str, str]]()
        # What is fetched must have been written, and not yet deleted.
        order = ["put", "post", "get", "delete"]
        routes = [(method, path) for path, found in described["paths"].items() for method in found]
        for method, path in sorted(routes, key=lambda route: ("/delete" in route[1], order.index(route[0]))):
            operation, place, query = described["paths"][path][method], path, dict[str, str]()
            for each in operation.get("parameters", []):
                value = each["schema"].get("examples", each["schema"].get("enum", [None]))[0]
                if each["in"] == "path":
                    place = place.replace(f"{{{each['name']}}}", quote(value, safe=""))
                elif each["required"]:
                    query[each["name"]] = value
            headers, bodies = dict[str, str](), [b""]
            if "requestBody" in operation:
                ((headers["Content-Type"], form),) = operation["requestBody"]["content"].items()
                name = form["schema"].get("$ref", "").rpartition("/")[2]
                examples = [form["example"]] if "example" in form else schemas[name]["examples"]
                bodies = [each.encode() if isinstance(each, str) else json.dumps(each).encode() for each in examples]
            for body in bodies:
                answer = client.request(method, place, params=query, content=body, headers=headers)
                assert answer.status_code == 200, (method, path, answer.text)
                sent.append((method, path))
        assert set(sent) == set(routes)
        assert len(sent) == len(routes) + 4  # Of searches and of each of three routes that rerank, there are two.
        assert client.get("/about").json()["documents"] == len(DOCUMENTS)
    index.close()


def test_texts_that_the_model_cuts_are_counted_and_refused_if_asked(tmp_path: Path) -> None:
    index = Index.build(DOCUMENTS[:1], tmp_path / "index", model="bundled")
    texts = ["water " * 600, "short", "Wasser " * 10]
    with (
        serving(index, access=Access(writable=True)) as url,
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        assert (
            client.post("/v1/embeddings", json={"input": texts, "model": "bundled"}).json()["usage"]["cut_texts"] == 1
        )
        body = {"documents": [{"id": str(row), "text": text} for row, text in enumerate(texts)]}
        assert client.put("/documents", json=body).json()["cut_texts"] == 1
        assert len(client.post("/embed", json={"inputs": texts, "truncate": True}).json()) == 3
        refused = client.post("/embed", json={"inputs": texts, "truncate": False})
        assert (refused.status_code, refused.json()["error"]["param"]) == (413, "inputs")
        assert "1 of 3" in refused.json()["error"]["message"]
        info = client.get("/info").json()
        assert (info["model_id"], info["model_type"]) == ("bundled", {"embedding": {"pooling": "mean"}})
        dtype = {"fp32": "float32", "bf16": "bfloat16"}[cpu_precision()]
        assert (info["max_input_length"], info["model_dtype"]) == (512, dtype)
    index.close()


def test_the_first_answers_come_without_torch(tmp_path: Path) -> None:
    Index.build(DOCUMENTS, tmp_path / "index", model="bundled").close()
    script = """
import sys
sys.path.insert(0, sys.argv[2])
import httpx
from service_made import serving
from panglot.encoders import light
from panglot.search.index import Index

index = Index.open(sys.argv[1])
with serving(index) as address:
    found = httpx.get(f"{address}/search", params={"query": "drucken", "highlight": True}, timeout=60).json()
    vectors = httpx.post(f"{address}/v1/embeddings", json={"model": "bundled", "input": ["a", "b"]}, timeout=60).json()
    assert found["hits"] and len(vectors["data"]) == 2
    assert httpx.get(f"{address}/info").json()["model_type"] == {"embedding": {"pooling": "mean"}}
heavy = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
assert not heavy, heavy
assert index.encoder.limit < light.LIMIT
"""
    command = [sys.executable, "-c", script, str(tmp_path / "index"), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
