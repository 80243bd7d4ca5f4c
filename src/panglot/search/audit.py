"""Measure the bias of an index without labels: which languages fill the results, and which mode would be fairer.

The queries are titles or first sentences of the documents, in every language that the same group has, or queries that
are given in several languages. The document that a query was taken from and its translations do not count as results.
What remains shows nothing but which languages the ranking prefers. Whether the translations are found is a figure of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.evaluation import bias
from panglot.evaluation.bias import rank_correlation
from panglot.evaluation.bootstrap import language_means
from panglot.evaluation.ranks import Ranks
from panglot.search.ranking.modes import MODES, Mode
from panglot.search.ranking.reranking import DEPTH as RERANKED
from panglot.search.ranking.reranking import reranked
from panglot.search.request import SearchRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from panglot.encoders.sentence_transformer import Reranker
    from panglot.search.document import ScoredDocument
    from panglot.search.index import Index

DEPTH = 100  # Ranks that are looked at.
CUT = 10  # Hits of which shares are taken.
_FAIR = 1.25  # A self-preference between the inverse of this and this counts as fair.
_ENOUGH = 0.8  # If a mode is fair and finds this share of the translations, training is not recommended.

Figures = dict[str, Any]


@dataclass(frozen=True)
class AuditQuery:
    """One query in one language."""

    group: str  # Translations share it.
    language: str
    text: str
    versions: Mapping[str, str]  # Languages by id, of the document that it was taken from and of its translations.
    source: str = ""  # The id of the document that it was taken from. Empty for a query that was given.


@dataclass(frozen=True)
class Ranking:
    """What one mode found for one query, best first, without the versions of what the query was taken from."""

    languages: tuple[str, ...]
    groups: tuple[str, ...]  # A document without a group has a name of its own.
    places: Mapping[str, int]  # Ranks by language of the query's other versions. Those beyond DEPTH are missing.


def audit_bias(
    index: Index,
    queries: Sequence[AuditQuery],
    *,
    rerank_depth: int = RERANKED,
    progress: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Return the language bias of an index by each ranking mode that needs no further options, and advice.

    If the index was opened with a reranker, what that makes of each mode follows it under ``MODE + RERANKER``.

    Args:
        index: The index.
        queries: For example from :func:`panglot.search.queries.sample_queries`.
        rerank_depth: Number of first results that a reranker orders.
        progress: Called with a line for people before each long step.

    Returns:
        ``{"queries", "languages", "pool", "modes": {mode: figures}, "advice": [sentence, …]}``.
    """
    counts = index.counts()
    progress(f"{len(queries)} queries to {sum(counts.values()):,} documents")
    vectors = index.encode([each.text for each in queries])
    # The versions of a query are dropped from its ranking, and DEPTH others must remain.
    depth = DEPTH + max((len(each.versions) for each in queries), default=0) + 1
    found: dict[str, Figures] = {}
    reranker, known = index.searcher.reranker, [dict[str, float]() for _ in queries]
    modes: list[Mode] = [name for name, mode in MODES.items() if not mode.requires]
    for mode in modes:
        lists = index.searcher.candidates(
            vectors, [each.language for each in queries], SearchRequest(mode=mode), depth, tuple(counts)
        )
        ways: dict[str, Sequence[Sequence[ScoredDocument]]] = {mode: lists}
        if reranker is not None:
            progress(f"{reranker.name} on the first {rerank_depth} of {mode}")
            parts = zip(lists, queries, known, strict=True)
            ways[f"{mode} + {reranker.name}"] = [
                [*_reranked(index, reranker, query, ranked[:rerank_depth], scores), *ranked[rerank_depth:]]
                for ranked, query, scores in parts
            ]
        for name, each in ways.items():
            rankings = [rank_others(ranked[:depth], query) for ranked, query in zip(each, queries, strict=True)]
            found[name] = figures(queries, rankings, counts)
    return {
        "queries": len(queries),
        "languages": sorted({each.language for each in queries}),
        "pool": counts,
        "modes": found,
        "advice": advice({mode: found[mode] for mode in modes}),
    }


def _reranked(
    index: Index, reranker: Reranker, query: AuditQuery, ranked: Sequence[ScoredDocument], known: dict[str, float]
) -> list[ScoredDocument]:
    """Order documents by a cross-encoder. ``known`` has the scores that earlier modes needed, and gets the new ones."""
    new = [each for each in index.store.get([each.id for each in ranked if each.id not in known]) if each is not None]
    scores = reranker.scores(query.text, [each.full_text for each in new]).tolist()
    known.update({each.id: score for each, score in zip(new, scores, strict=True)})
    there = [each for each in ranked if each.id in known]
    return reranked(there, np.array([known[each.id] for each in there]))


def rank_others(ranked: Sequence[ScoredDocument], query: AuditQuery) -> Ranking:
    """Return a ranking without the query's own versions, and the ranks of its translations."""
    others: list[ScoredDocument] = []
    places: dict[str, int] = {}
    for each in ranked:
        if each.id not in query.versions:
            others.append(each)
        elif each.language != query.language and len(others) < DEPTH:
            # Ranks among the other documents: versions do not push each other down.
            places.setdefault(each.language, len(others) + 1)
    others = others[:DEPTH]
    # A NUL cannot begin a group, so that a document without one does not share the name of a group.
    groups = tuple(each.group or f"\0{each.id}" for each in others)
    return Ranking(tuple(each.language for each in others), groups, places)


def figures(queries: Sequence[AuditQuery], rankings: Sequence[Ranking], counts: Mapping[str, int]) -> Figures:
    """Return one mode's figures: ``self_preference@10``, ``rank_correlation``, ``translation_found@10``, and tables."""
    ranks = _as_ranks(queries, rankings, counts)
    languages, asked = ranks.languages, ranks.question_language
    shares = language_means(bias.head_shares(ranks, CUT), asked, len(languages))
    preference = language_means(bias.self_preference(ranks, CUT), asked, len(languages))
    pairs: dict[str, dict[str, list[bool]]] = {}
    for query, each in zip(queries, rankings, strict=True):
        for code in sorted({code for code in query.versions.values() if code != query.language}):
            found = each.places.get(code, DEPTH + 1) <= CUT
            pairs.setdefault(query.language, {}).setdefault(code, []).append(found)
    matrix = {x: {y: float(np.mean(found)) for y, found in row.items()} for x, row in pairs.items()}
    cells = [value for row in matrix.values() for value in row.values()]
    return {
        f"self_preference@{CUT}": _mean(preference),
        "rank_correlation": _mean(rank_correlation(ranks)),
        f"translation_found@{CUT}": float(np.mean(cells)) if cells else None,
        f"language_share@{CUT}": {
            x: {y: round(share, 6) for y, share in zip(languages, row, strict=True) if counts.get(y)}
            for x, row in zip(languages, shares.tolist(), strict=True)
            if np.isfinite(row).all()
        },
        f"self_preference@{CUT}_by_language": {
            code: value for code, value in zip(languages, preference.tolist(), strict=True) if np.isfinite(value)
        },
        f"translation_found@{CUT}_by_pair": matrix,
        "pool_share": {code: number / sum(counts.values()) for code, number in counts.items()},
    }


def _as_ranks(queries: Sequence[AuditQuery], rankings: Sequence[Ranking], counts: Mapping[str, int]) -> Ranks:
    """Return rankings in the form that the measures of bias take, without relevant documents, which are unknown."""
    languages = tuple(sorted({*counts, *(each.language for each in queries)}))
    number = {code: row for row, code in enumerate(languages)}
    languages_found = [number[code] for each in rankings for code in each.languages]
    groups_found = [group for each in rankings for group in each.groups]
    none = np.zeros(0, np.int64)
    # A query whose versions are most of the index has a shorter ranking than others.
    lengths = np.array([len(each.groups) for each in rankings], np.int64)
    listed = np.arange(lengths.max(initial=0)) < lengths[:, None]
    top = np.full(listed.shape, -1, np.int32)
    top[listed] = np.arange(len(groups_found))
    return Ranks(
        languages=languages,
        question_language=np.array([number[each.language] for each in queries], np.int64),
        question_group=_numbered([each.group for each in queries]),
        passage_language=np.array(languages_found, np.int64),
        passage_group=_numbered(groups_found),
        pool=np.array([counts.get(code, 0) for code in languages], np.int64),
        question=none, passage=none, relevance=none, rank_in_language=none, rank_in_pool=none,
        top=top, top_scores=np.zeros(top.shape, np.float32),
    )  # fmt: skip


def _numbered(names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return a number per name, in the order in which the names first occur."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def advice(modes: Mapping[str, Figures]) -> list[str]:
    """Return in sentences what the figures of some modes, ``plain`` among them, suggest to do.

    >>> fair = {"self_preference@10": 1.1, "translation_found@10": 0.9}
    >>> biased = {"self_preference@10": 4.0, "translation_found@10": 0.3}
    >>> for line in advice({"plain": biased, "centered": fair}):
    ...     print(line)
    The first 10 contain 4.0 times as many documents in the query's language as the pool does.
    The mode centered reduces this to 1.1 times, and finds 90% of the translations among the first 10 instead of 30%.
    >>> advice({"plain": fair})
    ["The first 10 contain 1.1 times as many documents in the query's language as the pool does. No mode is needed."]
    """
    preference, found = f"self_preference@{CUT}", f"translation_found@{CUT}"
    plain = modes["plain"]
    if plain[preference] is None:
        return ["No query is in a language of the documents, or they are too few, so preference cannot be measured."]
    fact = f"The first {CUT} contain {plain[preference]:.1f} times as many documents in the query's language as the "
    if is_fair(plain):
        return [f"{fact}pool does. No mode is needed."]
    lines = [f"{fact}pool does."]
    if (best := best_of(modes)) is not None:
        after = modes[best]
        gain = ""
        if after[found] is not None:
            shares = f"{after[found]:.0%} of the translations among the first {CUT} instead of {plain[found]:.0%}"
            gain = f", and finds {shares}"
        verb = "reduces" if after[preference] < plain[preference] else "raises"
        lines.append(f"The mode {best} {verb} this to {after[preference]:.1f} times{gain}.")
        if is_fair(after) and (after[found] is None or after[found] >= _ENOUGH):
            return lines
    lines.append(
        "Training on parallel text with hybrid batches goes further: panglot train MODEL --batches hybrid-row."
    )
    return lines


def best_of(modes: Mapping[str, Figures]) -> str | None:
    """Return the name of the best of those that are fairer than ``plain``, or None if none is.

    What is found comes before what is fair, because a random ranking is fair. Of two that are equally good, the first
    is taken.
    """
    found = f"translation_found@{CUT}"
    fairer = [name for name in modes if _unfairness(modes[name]) < _unfairness(modes["plain"])]
    return max(
        fairer, key=lambda name: (round((modes[name][found] or 0) / 0.05), -_unfairness(modes[name])), default=None
    )


def is_fair(found: Figures) -> bool:
    """Return whether the query's own language is neither preferred nor avoided by more than :data:`_FAIR`."""
    return _unfairness(found) <= float(np.log(_FAIR))


def _unfairness(found: Figures) -> float:
    """Return how far a mode's self-preference is from 1, in either direction, as a logarithm."""
    return float(abs(np.log(max(found[f"self_preference@{CUT}"], 1e-3))))


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
