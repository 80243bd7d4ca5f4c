"""LangChain and LlamaIndex, with the real packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_made import Biased, documents, use_memory

from panglot.search.index import Index

OPTIONS: dict[str, Any] = {"k": 4, "language": "de", "mode": "centered"}
WANTED = {f"topic3-{code}" for code in ("de", "en", "ja", "sw")}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    use_memory(monkeypatch)
    return Index.build(documents(), tmp_path / "index", model=Biased())


def test_langchain_finds_documents(index: Index) -> None:
    pytest.importorskip("langchain_core", reason="pip install 'panglot[langchain]'")
    from panglot.search.integrations.langchain import PanglotRetriever

    found = PanglotRetriever(index, **OPTIONS).invoke("<de> topic3")
    assert {each.id for each in found} == WANTED
    assert found[0].page_content.startswith("<")
    assert found[0].metadata["group"] == "topic3"
    assert found[0].metadata["score"] >= found[-1].metadata["score"]
    assert found[0].metadata["n"] == 1


def test_llamaindex_finds_nodes(index: Index) -> None:
    pytest.importorskip("llama_index.core", reason="pip install 'panglot[llama-index]'")
    from panglot.search.integrations.llamaindex import PanglotRetriever

    found = PanglotRetriever(index, **OPTIONS).retrieve("<de> topic3")
    assert {each.node.node_id for each in found} == WANTED
    assert found[0].node.metadata["language"] in {"de", "en", "ja", "sw"}
    assert found[0].score is not None
