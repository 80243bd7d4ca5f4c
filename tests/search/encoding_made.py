"""Made documents, and an encoder that is quick, exact and writes down what it was asked."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from panglot._errors import PanglotError
from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document

DIMENSION = 8


class Made:
    """Vectors from the digests of texts, and a log with the first id and the number of texts of each call."""

    def __init__(self, log: Path | None = None, *, seconds: float = 0.0, fingerprint: str = "made") -> None:
        self.name, self.fingerprint = "made", fingerprint
        self.log, self.seconds = log, seconds

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        assert side == "passage"
        assert ids is not None
        if self.log:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{ids[0]} {len(ids)}\n")
        time.sleep(self.seconds)
        if "die" in texts:
            os._exit(1)
        if "fail" in texts:
            raise PanglotError("the encoder is out of order", hint="wait")
        rows = [np.frombuffer(hashlib.sha256(text.encode()).digest()[:DIMENSION], np.int8) for text in texts]
        vectors = np.asarray(rows, np.float32) + 0.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def calls(self) -> list[str]:
        """Return the lines of the log."""
        assert self.log is not None
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []


def documents(count: int) -> list[Document]:
    return [Document(f"d{number}", f"text {number}", language="en") for number in range(count)]


def pieces(count: int, size: int = 7) -> Iterator[list[Document]]:
    made = documents(count)
    for begin in range(0, count, size):
        yield made[begin : begin + size]


class OnNode(Made):
    """It also logs the node of the Ray cluster on which it runs."""

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        import ray

        assert self.log is not None
        assert ids is not None
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{ids[0]} {len(ids)} {ray.get_runtime_context().get_node_id()}\n")
        return Made(seconds=self.seconds).encode(texts, side, ids=ids)
