"""Diagnose an index without labels: its language bias, what reduces it, and what that costs within a language.

Every ranking mode is tried, and so are corrections that are fitted on the documents' own vectors. The queries are those
of :mod:`panglot.search.queries`, which also measures the cost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.debiasing.fit import FEWEST, Sample, fit
from panglot.search.audit import CUT, DEPTH, AuditQuery, Figures, best_of, figures, is_fair, rank_others
from panglot.search.document import ScoredDocument
from panglot.search.queries import Trial, differences, own_ranks, share_within, targets_of, within_language
from panglot.search.ranking.modes import MODES, Mode, center
from panglot.search.request import SearchRequest
from panglot.search.searcher import find_candidates
from panglot.search.storage.store import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from panglot.debiasing.correction import Debiasing, Method
    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Filter
    from panglot.search.index import Index
    from panglot.search.storage.store import Doubles

_HALF = 0.5  # The strength of centering that is tried besides the index's own.
_LINEAR: tuple[Method, ...] = ("lsar", "leace")  # Corrections that need no language of a text.
_MOST = 1 << 28  # Numbers of all vectors up to which corrections are tried. They are held in memory, 4 bytes each.
_SHOWN, _LANGUAGES, _CHARACTERS = 10, 12, 240  # Results of an example, examples at most, characters of a text.
_MORE, _TOLERATED = 0.05, 0.01  # What a correction must find more than a mode, and what it may lose in MRR.


@dataclass(frozen=True)
class Diagnosis:
    """What was found, as plain JSON, and the correction of the vectors that the best trial uses, if any."""

    figures: Figures
    debiasing: Debiasing | None


def diagnose(
    index: Index, queries: Sequence[AuditQuery], *, seed: int = 0, progress: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Try all ways of ranking on an index and return their figures, the best one, and examples.

    Args:
        index: The index.
        queries: From :func:`panglot.search.queries.sample_queries` or :func:`panglot.search.queries.read_queries`.
        seed: Of the bootstrap draws for the intervals.
        progress: Called with a line for people before each long step.
    """
    counts = index.counts()
    progress(f"{len(queries)} queries to {sum(counts.values()):,} documents")
    plain = index.encode([each.text for each in queries])
    targets = targets_of(index, queries)
    trials, not_tried = _trials(index, progress)
    depth = DEPTH + max((len(each.versions) for each in queries), default=0) + 1
    found: dict[str, Figures] = {}
    lists: dict[str, list[list[ScoredDocument]]] = {}
    reciprocal: dict[str, Doubles] = {}
    codes = [each.language for each in queries]
    for name, trial in trials.items():
        progress(f"trying {name}")
        vectors = trial.vectors(plain, codes, "question")
        request = SearchRequest(mode=trial.mode)
        ranked = find_candidates(trial.pool, vectors, request, depth, tuple(counts), trial.vector_field)
        lists[name] = [each[:depth] for each in ranked]
        rankings = [rank_others(each, query) for each, query in zip(lists[name], queries, strict=True)]
        own, pooled = own_ranks(trial, vectors, queries, targets, ranked, depth)
        # Ranks behind DEPTH are not known, and count as nothing.
        reciprocal[name] = np.where(np.isnan(own), np.nan, np.where(own <= DEPTH, 1 / np.maximum(own, 1), 0.0))
        found[name] = {
            **figures(queries, rankings, counts),
            "within_language": within_language(own, reciprocal[name], codes),
            f"own_found@{CUT}": share_within(pooled, CUT),
            "corrected": name not in MODES,
        }
    for name, difference in differences(reciprocal, queries, seed).items():
        found[name]["within_language"]["difference"] = difference
    best, worst = best_trial(found), _worst(found["plain"])
    return Diagnosis(
        {
            "pool": counts,
            "queries": len(queries),
            "groups": len({each.group for each in queries}),
            "with_translations": sum(map(_is_translated, queries)),
            "languages": sorted(set(codes)),
            "untranslated": sorted(set(codes) - {each.language for each in queries if _is_translated(each)}),
            "given": not any(each.source for each in queries),
            "not_measured_within": sum(target is None for target in targets),
            "trials": found,
            "not_tried": not_tried,
            "best": best,
            "worst": worst,
            "fair": best is None or is_fair(found[best]),
            "examples": _examples(index, queries, lists, best, worst, reciprocal),
        },
        trials[best].debiasing if best else None,
    )


def _is_translated(query: AuditQuery) -> bool:
    return len({query.language, *query.versions.values()}) > 1


def _trials(index: Index, progress: Callable[[str], None]) -> tuple[dict[str, Trial], list[dict[str, str]]]:
    """Return the trials by name, ``plain`` first and modes before corrections, and what was not tried with reasons."""
    searcher = index.searcher
    fields: dict[str, str] = {name: "centered" if index.debiased else MODES[name].vector_field for name in MODES}
    trials = {
        str(name): Trial(name, searcher.store, fields[name], index.debiasing if fields[name] == "centered" else None)
        for name, mode in MODES.items()
        if not mode.requires
    }
    counts = index.counts()
    what = "corrections"
    if index.debiased:
        return trials, [{"what": what, "why": "the index's model is debiased already"}]
    if sum(counts.values()) * index.stats.means.shape[1] > _MOST:
        return trials, [{"what": what, "why": "the vectors would take more than 1 GiB of memory"}]
    # One stray document of another language must not stop a correction for all.
    enough = [code for code, number in counts.items() if number >= FEWEST]
    if len(enough) < 2:
        return trials, [{"what": what, "why": f"fewer than two languages have {FEWEST} documents"}]
    progress("fitting corrections on the vectors of the documents")
    documents, vectors = _all(index)
    not_tried: list[dict[str, str]] = []
    half = replace(index.debiasing, offset=index.debiasing.offset * _HALF, strength=index.debiasing.strength * _HALF)
    corrections: dict[str, tuple[Mode, Debiasing]] = {
        f"{mode}, half": (mode, half) for mode in ("centered", "balanced")
    }
    by_language = {code: [row for row, each in enumerate(documents) if each.language == code] for code in enough}
    samples = {
        code: Sample(vectors[rows], tuple(documents[row].group for row in rows)) for code, rows in by_language.items()
    }
    for method in _LINEAR:
        try:
            corrections[method] = "plain", fit({"passage": samples}, method)
        except PanglotError as error:
            not_tried.append({"what": method, "why": error.problem})
    languages = [each.language for each in documents]
    for name, (mode, debiasing) in corrections.items():
        corrected = center(debiasing, vectors, languages, "passage")
        trials[name] = Trial(mode, _InMemory(documents, corrected), "", debiasing)
    return trials, not_tried


def _all(index: Index) -> tuple[list[ScoredDocument], Vectors]:
    """Return all documents of an index without their texts, and their plain vectors."""
    documents: list[ScoredDocument] = []
    parts: list[Vectors] = []
    for ids in index.store.ids():
        there = [each for each in index.store.get(ids) if each is not None]
        documents += [ScoredDocument(each.id, 0.0, each.language, each.group) for each in there]
        parts.append(index.store.vectors("plain", [each.id for each in there]))
    return documents, np.concatenate(parts)


@dataclass(frozen=True)
class _InMemory:
    """Exact search over corrected vectors."""

    documents: Sequence[ScoredDocument]
    vectors: Vectors

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        """Return for each query the ``k`` nearest documents, best first."""
        del vector_field, where  # A diagnosis has no filter.
        among = [languages is None or each.language in languages for each in self.documents]
        rows = np.flatnonzero(among)
        vectors = self.vectors if languages is None else self.vectors[rows]
        # Query by query, because the scores of all would take as much memory as the vectors.
        return [
            [
                self.documents[row]._replace(score=score)
                for score, _, row in first(
                    k, (vectors @ query).astype(np.float64), rows, lambda row: self.documents[row].id
                )
            ]
            for query in queries
        ]


def best_trial(found: Mapping[str, Figures]) -> str | None:
    """Return the trial to use, or None if ``plain`` is fair or nothing is fairer.

    A mode needs nothing to be made again. So a correction must find more translations than the best mode, or be fair
    where that is not, and must not cost more within a language.
    """
    plain, key = found["plain"], f"translation_found@{CUT}"
    if plain[f"self_preference@{CUT}"] is None or is_fair(plain):
        return None
    mode = best_of({name: each for name, each in found.items() if not each["corrected"]})
    if mode is None:
        return best_of(found)
    cost = (found[mode]["within_language"]["MRR"] or 0) - _TOLERATED
    cheap = {
        name: each
        for name, each in found.items()
        if not each["corrected"] or (each["within_language"]["MRR"] or 0) >= cost
    }
    best = best_of(cheap) or mode
    more = (found[best][key] or 0) - (found[mode][key] or 0)
    return best if more >= _MORE or (is_fair(found[best]) and not is_fair(found[mode])) else mode


def _worst(plain: Figures) -> str | None:
    """Return the language whose own documents are most over-represented, or None."""
    by_language: Mapping[str, float] = plain[f"self_preference@{CUT}_by_language"]
    shares = plain[f"language_share@{CUT}"]
    known = [code for code in by_language if code in shares.get(code, {})]
    return max(known, key=lambda code: (by_language[code], code), default=None)


def _examples(
    index: Index,
    queries: Sequence[AuditQuery],
    lists: Mapping[str, Sequence[Sequence[ScoredDocument]]],
    best: str | None,
    worst: str | None,
    reciprocal: Mapping[str, Doubles],
) -> list[Figures]:
    """Return typical queries with their rankings before and after, and the one whose own document loses most.

    Each language has one typical query: its share of its own language falls by the median of its language's queries.
    The language that is preferred most comes first, then those with more documents, up to twelve.
    """
    before, after = lists["plain"], lists[best or "plain"]

    def share(ranked: Sequence[ScoredDocument], code: str) -> float:
        shown = ranked[:_SHOWN]
        return sum(each.language == code for each in shown) / max(len(shown), 1)

    rows: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        rows.setdefault(query.language, []).append(row)
    chosen: list[tuple[str, int]] = []
    codes = dict.fromkeys([*([worst] if worst else []), *index.counts()])
    for code in [code for code in codes if code in rows][:_LANGUAGES]:
        ordered = sorted(rows[code], key=lambda row: (share(after[row], code) - share(before[row], code), row))
        chosen.append(("typical", ordered[len(ordered) // 2]))
    if best is not None:
        loss = reciprocal["plain"] - reciprocal[best]
        if np.isfinite(loss).any() and np.nanmax(loss) > 0:
            chosen.append(("worse", int(np.nanargmax(loss))))
    return [
        {
            "kind": kind,
            "query": queries[row].text,
            "language": queries[row].language,
            "before": _shown(index, before[row], queries[row]),
            "after": _shown(index, after[row], queries[row]) if best is not None else None,
        }
        for kind, row in chosen
    ]


def _shown(index: Index, ranked: Sequence[ScoredDocument], query: AuditQuery) -> list[dict[str, Any]]:
    """Return the first results as a reader sees them. ``version`` is whether it is what the query was taken from."""
    shown = ranked[:_SHOWN]
    return [
        {"id": each.id, "language": each.language, "title": document.title, "text": document.text[:_CHARACTERS],
         "version": each.id in query.versions}
        for each, document in zip(shown, index.store.get([each.id for each in shown]), strict=True)
        if document is not None
    ]  # fmt: skip
