"""A small index to serve: exact search over letters in Python, which a test can delay or break."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
import zlib
from collections.abc import Generator, Sequence
from typing import Any, cast

import numpy as np
import uvicorn

from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document, ScoredDocument, check_fields, kinds_of
from panglot.search.ranking.modes import LanguageStats
from panglot.search.request import Hit, SearchRequest, SearchResult
from panglot.search.storage.store import Store
from panglot.service.app import create_app
from panglot.service.batcher import Limits
from panglot.service.serve import server_config

DIMENSION = 16
DOCUMENTS = [
    Document("en-1", "Click Print to print the sheet.", "Printing", "en", "1", {"page": 3, "weight": float("nan")}),
    Document("de-1", "Klicken Sie auf Drucken, um die Tabelle zu drucken. Dann warten Sie.", "", "de", "1"),
    Document("ar-2", "انقر فوق حفظ لحفظ الملف.", "", "ar", "2"),
    Document("en-2", "Click Save \ud800 to keep the file.", "", "en", "2"),
]


class Encoder:
    """Counts the three-letter pieces of a text; fails at ``boom`` and ``nan``, waits while ``open`` is not set.

    At ``forever`` it hangs.
    """

    name = "small/letters"
    fingerprint = "1"

    def __init__(self, *, fails: bool = True) -> None:
        self.fails = fails
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.hold = ""
        """A text with this in it closes ``open`` and sets ``held``."""
        self.held = threading.Event()
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        self.entered.set()
        if self.hold and any(self.hold in text for text in texts):
            self.open.clear()
            self.held.set()
        assert self.open.wait(30)
        self.batches.append(list(texts))
        if self.fails and any("boom" in text for text in texts):
            raise RuntimeError(f"cannot encode {texts}")
        if self.fails and any("forever" in text for text in texts):
            threading.Event().wait()
        found = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in enumerate(texts):
            padded = f" {text.lower()} "
            for place in range(len(padded) - 2):
                piece = padded[place : place + 3].encode("utf-8", "replace")
                found[row, zlib.crc32(piece) % (DIMENSION - 1)] += 1
            found[row, -1] = 1 if side == "question" else 2
            if self.fails and "nan" in text:
                found[row] = np.nan
        return found / np.linalg.norm(found, axis=1, keepdims=True)


class _Store:
    dimension, build = DIMENSION, "made"

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        known = {document.id: document for document in DOCUMENTS}
        return [known.get(each) for each in ids]

    def kinds(self) -> dict[str, str]:
        return kinds_of(DOCUMENTS, {})

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Sequence[str]
    ) -> list[list[ScoredDocument]]:
        assert vector_field == "plain"
        found = [ScoredDocument(each.id, 1.0, each.language) for each in DOCUMENTS if each.language in languages]
        return [found[:k] for _ in queries]


class Index:
    """The part of an index that the service needs."""

    debiased = False
    reranker = None

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.store = cast("Store", _Store())
        self.threads: set[str] = set()
        self.refreshed = 0
        self.rows = self.encoder.encode([document.full_text for document in DOCUMENTS], "passage")
        self.stats = LanguageStats.of([([document.language for document in DOCUMENTS], self.rows)], DIMENSION)
        # Nothing is subtracted, so that the shares of equal letters remain.
        self.debiasing = self.stats.centering(strength=0)
        self.encoder.batches.clear()
        self.encoder.entered.clear()

    @property
    def searcher(self) -> Index:
        return self

    def find(self, request: SearchRequest, vector: Vectors) -> SearchResult:
        self.threads.add(threading.current_thread().name)
        if "broken" in request.query:
            raise RuntimeError(request.query)
        check_fields(request.fields, self.store.kinds())
        scores = (self.rows @ vector).tolist()
        best = sorted(range(len(scores)), key=lambda row: -scores[row])
        rows = [row for row in best if not request.languages or DOCUMENTS[row].language in request.languages]
        hits = tuple(
            Hit(
                DOCUMENTS[row], rank, scores[row], {"cosine": scores[row]},
                {DOCUMENTS[row].language: DOCUMENTS[row].id},
            )
            for rank, row in enumerate(rows[: request.k], 1)
        )  # fmt: skip
        shares = {"en": (0.5, 0.5), "de": (0.5, 0.25)}
        seconds = {"search": 0.001, "rank": 0.002}
        language, detected = request.language or "en", not request.language
        return SearchResult(request.query, language, detected, request.mode, hits, shares, seconds)

    def successor(self) -> None:
        pass

    def refresh(self) -> bool:
        self.refreshed += 1
        if self.refreshed == 1:
            raise OSError("not there for a moment")
        return False

    def counts(self) -> dict[str, int]:
        return {"ar": 1, "de": 1, "en": 2}


class Lines(logging.Handler):
    """Keep the log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def requests(self) -> list[dict[str, Any]]:
        return [getattr(record, "fields", {}) for record in self.records if record.msg == "request"]


@contextlib.contextmanager
def lines() -> Generator[Lines]:
    """Yield the log records of the service until the block ends."""
    kept, logger = Lines(), logging.getLogger("panglot.service")
    before = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    try:
        yield kept
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before)


@contextlib.contextmanager
def serving(index: Any, limits: Limits | None = None, **options: Any) -> Generator[str]:
    """Serve on a free port of the loopback; yields the address; stops as SIGTERM would."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(index, limits, **options)
    server = uvicorn.Server(server_config(app, limits or Limits()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def until(holds: Any, seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)


if __name__ == "__main__":
    from panglot.service.serve import serve

    serve(cast("Any", Index()), Limits(), port=0, progress=lambda line: print(line, file=sys.stderr, flush=True))
