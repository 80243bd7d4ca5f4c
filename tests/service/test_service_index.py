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

import httpx
import numpy as np
import pytest
from service_made import Encoder, serving, until

from panglot._errors import PanglotError
from panglot.debiasing.transform import Debiased, Debiasing
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ranking.stats import LanguageStats
from panglot.service.engine import Engine
from panglot.service.limits import Limits
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


def test_another_index_in_its_place_is_in_the_log_and_not_in_the_hits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Index.build(DOCUMENTS, tmp_path / "index", model=Encoder(fails=False)).close()
    index = Index.open(tmp_path / "index", model=Encoder(fails=False))
    shutil.move(tmp_path / "index", tmp_path / "old")
    Index.build([Document("new", "print", language="en")], tmp_path / "index", model=Encoder(fails=False)).close()
    engine = Engine(index, Limits(), Metrics())
    with pytest.raises(PanglotError, match="another index"):
        engine._refresh()
    (said,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "another index was put in the place" in said.fields["problem"]  # type: ignore[attr-defined]
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
        assert (info["max_input_length"], info["model_dtype"]) == (512, "float32")
    index.close()
