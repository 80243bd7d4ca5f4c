"""Collapse the translations of a document into one result."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_made import Biased, documents

from panglot.search.document import Document, ScoredDocument
from panglot.search.index import Index
from panglot.search.ranking.modes import MODES
from panglot.search.request import SearchRequest, SearchResult
from panglot.search.searcher import collapsed
from panglot.search.storage.store import by_score

LINK = "https://example.org/"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Return an index whose groups have one to five versions, two of them in one language, and of lone documents."""
    dice = random.Random(0)
    some = [dataclasses.replace(each, metadata={"url": LINK + each.id}) for each in documents() if dice.random() < 0.6]
    twice = [dataclasses.replace(each, id=f"{each.id}-2", text=f"{each.text} again") for each in some[::5]]
    alone = [dataclasses.replace(each, id=f"alone-{each.id}", group="") for each in some[::7]]
    # A document that is called like a group is none of its versions.
    alone.append(Document("topic3", "<sw> topic3", "", "sw"))
    return Index.build([*some, *twice, *alone], tmp_path_factory.mktemp("collapse") / "index", model=Biased())


def test_collapsing_keeps_the_best_of_each_group_by_score() -> None:
    rows = [("1-de", "de", "1", 0.9), ("x", "de", "", 0.8), ("1-fr", "fr", "1", 0.7), ("y", "fr", "", 0.6),
            ("1-fr2", "fr", "1", 0.5)]  # fmt: skip
    given = [ScoredDocument(name, score, code, group) for name, code, group, score in rows]
    assert [each.id for each in collapsed(given)] == ["1-de", "x", "y"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=20))
def test_collapsing_loses_no_group_and_is_idempotent(drawn: list[tuple[int, int]]) -> None:
    given = by_score(ScoredDocument(f"{row}", 1 / (1 + row), f"x{language}", f"{group}" if group else "")
                     for row, (group, language) in enumerate(drawn))  # fmt: skip
    best = collapsed(given)
    assert {each.id for each in best} <= {each.id for each in given}
    assert {each.group for each in given} == {each.group for each in best}
    assert [each.id for each in collapsed(best)] == [each.id for each in best]


REQUESTS: list[dict[str, Any]] = [
    *({"mode": mode, "preferred_languages": prefer, "boost": boost, "language": language}
      for mode in MODES for prefer in ("ja", "sw,ja") for boost in (0.0, 0.3) for language in ("de", "")),
    *({"mode": mode, "language": "en"} for mode in ("plain", "centered", "balanced")),
    *({"mode": mode, "language": "en", "languages": "de,ja", "preferred_languages": "sw"} for mode in MODES),
]  # fmt: skip


@pytest.mark.parametrize("options", REQUESTS, ids=lambda options: "-".join(map(str, options.values())))
def test_groups_are_in_the_order_of_their_best_versions_and_list_all(index: Index, options: dict[str, Any]) -> None:
    query = "<de> topic3 topic7"
    every = index.search(query, k=1000, **options).hits
    best: dict[str, Any] = {}
    versions: dict[str, dict[str, Any]] = {}
    for hit in every:
        name = hit.document.group or f"the document {hit.document.id}"
        best.setdefault(name, hit)
        if hit.document.group:
            versions.setdefault(name, {}).setdefault(hit.document.language, hit)
    # Of three groups, only some versions are among the candidates.
    for k in (3, 1000):
        hits = index.search(query, k=k, collapse=True, **options).hits
        wanted = list(best.items())[:k]
        assert [hit.document.group or f"the document {hit.document.id}" for hit in hits] == [name for name, _ in wanted]
        for hit, (name, first) in zip(hits, wanted, strict=True):
            assert (hit.score, hit.matched, hit.explanation) == (first.score, first.document.id, first.explanation)
            known = versions.get(name, {})
            assert [(each.document, each.score) for each in hit.versions] == [
                (each.document, each.score) for each in known.values()
            ]
            read = (*options.get("preferred_languages", "").split(","), options["language"])
            shown = next((code for code in read if code in known), first.document.language)
            assert hit.document.language == shown
            assert hit.document == known.get(shown, first).document
            assert next(iter(hit.languages.items())) == (shown, hit.document.id)
            assert hit.languages == ({c: each.document.id for c, each in known.items()} or {shown: hit.document.id})
            assert not known or hit.score == max(each.score for each in hit.versions)


@pytest.mark.parametrize("options", REQUESTS[::3], ids=lambda options: "-".join(map(str, options.values())))
def test_pages_lose_no_group_and_repeat_none(index: Index, options: dict[str, Any]) -> None:
    whole = index.search("<de> topic3", k=1000, collapse=True, **options).hits
    pages = [index.search("<de> topic3", k=4, offset=at, collapse=True, **options).hits for at in range(0, 60, 4)]
    assert tuple(hit for page in pages for hit in page) == whole
    assert pages[-1] == ()


def test_with_matching_words_all_versions_are_listed_too(index: Index) -> None:
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    asked: dict[str, Any] = {"k": 1000, "language": "de", "mode": "balanced"}
    plain = {hit.document.id: hit.score for hit in index.search("topic3 said-sw", **asked).hits}
    hits = index.search("topic3 said-sw", **asked, collapse=True, hybrid=True).hits
    assert len({(hit.document.group, hit.document.group or hit.document.id) for hit in hits}) == len(hits)
    assert {hit.document.group for hit in hits} == {each.group for each in _all(index)}
    for hit in hits:
        languages = {each.language for each in _all(index) if each.group == hit.document.group}
        assert not hit.document.group or {each.document.language for each in hit.versions} == languages
        assert all(each.score == pytest.approx(plain[each.document.id], abs=1e-9) for each in hit.versions)
        assert hit.matched in {hit.document.id, *hit.languages.values()}


def test_a_reranker_reads_the_version_that_was_found(index: Index) -> None:
    class Ends:
        def scores(self, query: str, texts: list[str]) -> np.ndarray:
            del query
            return np.array([sum(map(ord, text)) % 97 for text in texts], np.float64)

    searcher = dataclasses.replace(index.searcher, reranker=Ends())  # type: ignore[arg-type]
    vector = index.encode(["<de> topic3"])[0]
    results: list[SearchResult] = [
        searcher.search(
            SearchRequest("q", 20, language=code, preferred_languages=prefer, boost=0, collapse=True), vector
        )
        for code, prefer in (("de", ""), ("de", "ja"), ("ja", "sw"))
    ]
    # Whichever version is shown, the order is the same.
    assert len({tuple((hit.matched, hit.score) for hit in result.hits) for result in results}) == 1
    for hit in results[1].hits:
        (matched,) = index.store.get([hit.matched])
        assert matched is not None
        assert hit.score == hit.explanation["reranker"] == sum(map(ord, matched.full_text)) % 97


def test_json_has_all_versions(index: Index) -> None:
    result = index.search("<de> topic3", k=2, language="de", mode="balanced", collapse=True)
    found = result.as_json()["hits"][0]
    for version in found["versions"]:
        assert set(version) == {"id", "language", "score", "title", "metadata"}
        assert version["metadata"] == {"url": LINK + version["id"].removesuffix("-2")}
        assert found["languages"][version["language"]] == version["id"]
    named = index.search("<de> topic3", k=1, language="de", collapse=True, fields="url").as_json()["hits"][0]
    assert {each["title"] for each in named["versions"]} == {""}


def _all(index: Index) -> list[Document]:
    return [each for piece in index.documents() for each in piece]
