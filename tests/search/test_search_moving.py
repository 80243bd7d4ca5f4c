"""The code in docs/search-moving.md does what it says."""

from __future__ import annotations

import re
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_made import Biased, documents, use_memory

import panglot
from panglot.search.index import Index

PAGE = Path(__file__).parents[2] / "docs" / "search-moving.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the page's blocks share, after the first three."""
    use_memory(monkeypatch)
    index = Index.build(documents(), tmp_path / "index", model=Biased())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(panglot.Index, "open", lambda _: index)
    found: dict[str, Any] = {}
    for block in BLOCKS[:3]:
        exec(block, found)
    return found


def test_questions_are_centered_alike_with_and_without_panglot(names: dict[str, Any]) -> None:
    plain = names["index"].encode([names["question"]])[0]
    np.testing.assert_allclose(names["centered"](plain, names["language"]), names["vector"], atol=1e-6)
    unknown = names["centered"](plain, "fr")
    assert np.linalg.norm(unknown) == pytest.approx(1)
    assert not np.allclose(unknown, names["vector"])


@pytest.mark.skipif(util.find_spec("qdrant_client") is None, reason="qdrant-client is not installed")
def test_qdrant_finds_what_the_index_finds(names: dict[str, Any]) -> None:
    exec(BLOCKS[3], names)
    there = [point.payload["id"] for point in names["found"]]
    answer = names["index"].search(names["question"], language=names["language"], mode="centered")
    assert there == [hit.document.id for hit in answer.hits]
