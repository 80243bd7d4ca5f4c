"""Ranking modes: searches agree with the evaluation, and languages have the weight of the mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_made import DIMENSION, LANGUAGES, Biased, MemoryStore, documents

from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import ScoredDocument
from panglot.search.ranking.modes import (
    EVERY,
    FEW,
    MODES,
    VECTOR_FIELDS,
    LanguageStats,
    center,
    query_offset,
)
from panglot.search.request import SearchRequest, language_shares
from panglot.search.searcher import find_candidates
from panglot.search.storage.store import by_score


@pytest.fixture(scope="module")
def world() -> dict[str, Any]:
    given = documents()
    vectors = Biased().encode([each.full_text for each in given], "passage")
    codes = [each.language for each in given]
    pool = LanguageStats.of([(codes, vectors)], DIMENSION)
    remedy = pool.centering()
    store = MemoryStore(VECTOR_FIELDS, DIMENSION)
    store.upsert(given, {"plain": vectors, "centered": remedy.apply(vectors, codes, "passage")})
    return {"store": store, "pool": pool, "remedy": remedy, "vectors": vectors, "codes": codes, "documents": given}


def asked(language: str = "de", topic: str = "topic3") -> Any:
    return Biased().encode([f"<{language}> {topic}"], "question")


def ranked(
    world: dict[str, Any], request: SearchRequest, depth: int = 10, language: str = "de"
) -> list[ScoredDocument]:
    plain = asked(language)
    moved = world["remedy"].apply(plain, [language], "question")
    vectors = moved if MODES[request.mode].vector_field == "centered" else plain
    return find_candidates(world["store"], vectors, request, depth, LANGUAGES)[0][:depth]


def test_plain_is_the_cosine_and_is_biased(world: dict[str, Any]) -> None:
    found = ranked(world, SearchRequest())
    cosine = world["vectors"] @ asked()[0]
    assert [each.id for each in found] == [world["documents"][row].id for row in np.argsort(-cosine)[:10]]
    assert {each.language for each in found} == {"de"}
    assert all(each.explanation == {"cosine": each.score} for each in found)


@pytest.mark.parametrize("mode", ["centered", "balanced"])
def test_centering_and_balancing_bring_every_language_to_the_head(world: dict[str, Any], mode: Any) -> None:
    found = ranked(world, SearchRequest(mode=mode), 12)
    assert {each.language for each in found} == set(LANGUAGES)
    assert {each.language for each in found if each.group == "topic3"} == set(LANGUAGES)


@pytest.mark.parametrize("mode", ["plain", "centered", "balanced", "preferred"])
@pytest.mark.parametrize("languages", [(), ("ja", "sw")])
def test_the_first_k_do_not_hang_on_how_the_pool_is_searched(
    world: dict[str, Any], mode: Any, languages: tuple[str, ...]
) -> None:
    request = SearchRequest(mode=mode, preferred_languages=("sw",), boost=0.3, languages=languages)
    few, all_ = ranked(world, request, 7), ranked(world, request, 1000)
    assert few == all_[:7]
    assert len(all_) == (60 if languages else 120)
    assert {each.language for each in all_} == set(languages or LANGUAGES)


def test_balanced_takes_half_of_what_the_best_of_a_language_score(world: dict[str, Any]) -> None:
    centered = {each.id: each for each in ranked(world, SearchRequest(mode="centered"), 1000)}
    best = {code: [each.score for each in centered.values() if each.language == code][:5] for code in LANGUAGES}
    for each in ranked(world, SearchRequest(mode="balanced"), 1000):
        assert each.explanation["cosine"] == pytest.approx(centered[each.id].score)
        assert each.explanation["language"] == pytest.approx(-0.5 * np.mean(best[each.language]))
        assert each.explanation["cosine"] + each.explanation["language"] == pytest.approx(each.score)


def balanced(cosine: Any, codes: list[str]) -> Any:
    adjustment = MODES["balanced"].adjustment
    assert adjustment is not None
    return adjustment(cosine, codes)


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from("ab")), min_size=1, max_size=20), st.floats(-0.5, 0.5))
def test_balancing_leaves_the_order_within_a_language(drawn: list[tuple[float, str]], shift: float) -> None:
    cosine = np.array([score for score, _ in drawn])
    codes = [code for _, code in drawn]
    more = balanced(cosine, codes)
    assert all(len({more[row] for row, each in enumerate(codes) if each == code}) <= 1 for code in "ab")
    # What all passages of a language score more counts half.
    lifted = cosine + np.where(np.array(codes) == "a", shift, 0)
    change = lifted + balanced(lifted, codes) - cosine - more
    np.testing.assert_allclose(change, np.where(np.array(codes) == "a", shift / 2, 0), atol=1e-9)


def test_preferred_languages_get_the_boost_and_no_more(world: dict[str, Any]) -> None:
    plain = {each.id: each.score for each in ranked(world, SearchRequest(), 1000)}
    for each in ranked(world, SearchRequest(mode="preferred", preferred_languages=("sw", "fr"), boost=0.25), 1000):
        assert each.score == pytest.approx(plain[each.id] + (0.25 if each.language == "sw" else 0))
        assert each.explanation["language"] == (0.25 if each.language == "sw" else 0)
    assert {
        each.language
        for each in ranked(world, SearchRequest(mode="preferred", preferred_languages=("sw",), boost=2.0), 30)
    } == {"sw"}
    assert [each.id for each in ranked(world, SearchRequest(mode="preferred", preferred_languages=("fr",)))] == [
        each.id for each in ranked(world, SearchRequest())
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=30))
def test_shares_are_of_all_hits_and_of_all_documents(drawn: list[tuple[str, int]]) -> None:
    counts = {code: 1 + number for code, number in drawn}
    found = [code for code, _ in drawn]
    shares = language_shares(found, counts)
    assert sum(hits for hits, _ in shares.values()) == pytest.approx(1)
    assert sum(pool for _, pool in shares.values()) == pytest.approx(1)
    assert language_shares([], counts)[found[0]][0] == 0


def test_a_pool_is_the_same_in_pieces_and_on_disk(world: dict[str, Any], tmp_path: Any) -> None:
    codes, vectors = world["codes"], world["vectors"]
    halves = LanguageStats.of([(codes[:50], vectors[:50]), (codes[50:], vectors[50:])], DIMENSION)
    halves.save(tmp_path)
    again = LanguageStats.open(tmp_path)
    assert again.languages == world["pool"].languages == (*LANGUAGES, EVERY)
    assert again.counts == (30, 30, 30, 30, 0)
    np.testing.assert_allclose(again.means, world["pool"].means, atol=1e-12)
    centering = again.centering()
    unknown, every = (center(centering, vectors[:2], [code, code], "passage") for code in ("fr", EVERY))
    np.testing.assert_array_equal(unknown, every)


@given(st.integers(1, 40), st.integers(1, 3))
def test_means_of_few_documents_are_held_and_of_many_are_theirs(number: int, languages: int) -> None:
    generator = np.random.default_rng(number)
    vectors = generator.standard_normal((number * languages, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = [f"x{row % languages}" for row in range(number * languages)]
    pool = LanguageStats.of([(codes, vectors.astype(np.float32))], 8)
    own = np.stack([vectors[np.array(codes) == code].mean(axis=0) for code in pool.languages[:-1]])
    share = number / (number + FEW)
    np.testing.assert_allclose(pool.means[:-1] - pool.means[-1], share * (own - pool.means[-1]), atol=1e-6)
    # No document equals the mean of its language, so that none is zero once the mean is subtracted.
    centered = pool.centering().apply(vectors.astype(np.float32), codes, "passage")
    np.testing.assert_allclose(np.linalg.norm(centered, axis=1), 1, atol=1e-5)


class _BySide:
    name = fingerprint = "by side"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        del ids
        return np.tile(np.array([1, 0] if side == "question" else [0, 1], np.float32), (len(texts), 1))


def test_queries_lose_what_they_have_more_than_documents() -> None:
    offset = query_offset(_BySide())
    np.testing.assert_allclose(offset, [1, -1])
    pool = LanguageStats(("de", EVERY), (1, 0), np.array([[0.2, 0.1], [0.0, 0.0]]))
    queries, held = pool.centering(offset).offset
    np.testing.assert_allclose(held, pool.means, rtol=1e-6)
    np.testing.assert_allclose(queries, [[1.2, -0.9], [1, -1]], rtol=1e-6)
    # At a quarter of the strength, a quarter of both is subtracted.
    some = pool.centering(offset, 0.25)
    assert some.strength == 0.25
    np.testing.assert_allclose(some.offset, [queries / 4, held / 4], rtol=1e-6)


def test_equal_scores_are_in_the_order_of_ids() -> None:
    given = [ScoredDocument(name, 0.5, "de") for name in ("b", "c", "a")]
    assert [each.id for each in by_score(given)] == ["a", "b", "c"]
