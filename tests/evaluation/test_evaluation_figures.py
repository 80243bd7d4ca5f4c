"""The figures that two independent computations gave for the bundled encoder on the real sets."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from panglot.data.collection import Collection, Text
from panglot.evaluation.evaluate import evaluate
from panglot.evaluation.figures import measure
from panglot.evaluation.ranks import rank

from .made import parallel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_xquad_r(data_dir: Path) -> None:
    found = evaluate("bundled", "xquad-r", data_dir=data_dir, measures=["mAP"]).figures["datasets"]["xquad-r"]
    assert (found["questions"], found["passages"], found["groups"]) == (13090, 13014, 1190)
    assert found["monolingual"]["mAP"] == pytest.approx(0.800, abs=0.004)
    assert found["crosslingual"]["mAP"] == pytest.approx(0.640, abs=0.004)
    assert found["multilingual"]["mAP"] == pytest.approx(0.298, abs=0.004)
    assert found["multilingual"]["rank_distance"] == pytest.approx(1214, rel=0.03)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bundled. 42 of 4,488 passages cut at 512 tokens")
def test_tydiqa(data_dir: Path) -> None:
    figures = evaluate("bundled", "tydiqa-goldp", data_dir=data_dir, measures=["mAP"]).figures
    found = figures["datasets"]["tydiqa-goldp"]
    assert (found["passages"], len(found["languages"])) == (4488, 9)
    assert found["monolingual"]["mAP"] == pytest.approx(0.898, abs=0.004)
    assert found["multilingual"]["mAP"] == pytest.approx(0.897, abs=0.004)
    assert found["multilingual"]["rank_distance"] is None


def test_misses_say_what_came_first() -> None:
    """The order is p0 … p3. Only the first question has its answer there."""
    passages = [Text("p0", "en", "a", "zero"), Text("p1", "de", "a", "one"),
                Text("p2", "de", "b", "two"), Text("p3", "en", "c", "three")]  # fmt: skip
    questions = [Text("hit", "en", "1", "?"), Text("version", "de", "1", "wie?"), Text("miss", "en", "2", "who?"),
                 Text("unanswered", "en", "3", "?")]  # fmt: skip
    judged = [("hit", "p0", 1), ("version", "p1", 1), ("miss", "p3", 1), ("miss", "p2", 2), ("unanswered", "p0", 0)]
    collection = Collection.build("hand", questions, passages, judged)
    vectors = np.array([[4.0], [3], [2], [1]], np.float32)
    zero = {"passage": "p0", "language": "en", "text": "zero"}
    found = list(measure(np.ones((4, 1), np.float32), vectors, collection, draws=0).misses())
    assert found == [
        {"question": "version", "language": "de", "text": "wie?", "rank": 2,
         "relevant": {"passage": "p1", "language": "de", "text": "one"}, "first": zero, "version": True},
        {"question": "miss", "language": "en", "text": "who?", "rank": 3,
         "relevant": {"passage": "p2", "language": "de", "text": "two"}, "first": zero, "version": False},
    ]  # fmt: skip


def test_memory_is_bounded_by_blocks() -> None:
    questions, passages, collection = parallel(groups=1000, passages=2000, dimension=16)
    whole = len(questions) * len(passages) * 8
    tracemalloc.start()
    try:
        rank(questions, passages, collection, cells=1 << 17)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < whole / 8
