"""Take queries from the documents of an index, or read those of a user, and find the documents they came from.

They need no labels: a query asks the title of a document, so that document is known. Its rank among the documents of
its language says what a way of ranking costs within a language. Title and query are taken out of the document first,
because its own words would find it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError, located
from panglot.data.files import objects
from panglot.data.language import canonical
from panglot.data.sentences import spans
from panglot.encoders.cache import cached
from panglot.evaluation.bootstrap import Sums, draw, interval
from panglot.search.audit import AuditQuery, Figures
from panglot.search.ranking.modes import Mode, center

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.debiasing.correction import Debiasing
    from panglot.encoders.protocol import Side, Vectors
    from panglot.search.document import Document, ScoredDocument
    from panglot.search.index import Index
    from panglot.search.searcher import Searchable
    from panglot.search.storage.store import Doubles

_DRAWS = 1000
_EXAMPLES = 6
_PART = re.compile(r"#\d+/\d+$")  # What `cut_documents` adds to the group of a section for each of its passages.


def sample_queries(documents: Iterable[Sequence[Document]], number: int = 50, seed: int = 0) -> list[AuditQuery]:
    """Return the titles of some documents as queries, in each language of their group.

    For a document without a title, its first sentence is taken. The passages of a section that was cut all have its
    title, so they count as one document, of which one passage is looked for. If no group has two languages or more,
    documents of each language are sampled instead of groups. Otherwise a language that few of these groups have is
    asked too, by further groups or documents, up to a fifth of ``number``.

    Args:
        documents: All documents, in pieces.
        number: The largest number of groups, or of documents per language.
        seed: Of the sample.

    Raises:
        PanglotError: No document has a title or a sentence.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for each in chain.from_iterable(documents):
        key = f"g{_PART.sub('', each.group)}" if each.group else f"d{each.id}"
        groups.setdefault(key, []).append((each.id, each.language, _query_text(each)))
    languages = {key: {code for _, code, text in found if text} for key, found in groups.items()}
    pools = {"": parallel} if (parallel := [key for key, codes in languages.items() if len(codes) > 1]) else {}
    for key, codes in languages.items():
        if codes and not parallel:
            pools.setdefault(min(codes), []).append(key)
    generator = np.random.default_rng(seed)
    chosen: dict[str, None] = {}
    for _, keys in sorted(pools.items()):
        chosen |= dict.fromkeys(keys[row] for row in sorted(generator.permutation(len(keys))[:number].tolist()))
    times = Counter(code for key in chosen for code in languages[key])
    others = [key for key, codes in languages.items() if codes and key not in chosen]
    # Groups with translations come first, because more can be measured on them.
    mixed = sorted(generator.permutation(len(others)).tolist(), key=lambda row: len(languages[others[row]]) == 1)
    for key in (others[row] for row in mixed):
        if any(times[code] < max(number // 5, 1) for code in languages[key]):
            chosen[key] = None
            times.update(languages[key])
    if not chosen:
        raise PanglotError("no document has a title or a sentence to ask", hint="give queries with `--queries`")
    queries: list[AuditQuery] = []
    for key in chosen:
        versions = {name: code for name, code, _ in groups[key]}
        # Of two versions in one language, the first is asked.
        asked = {code: (text, name) for name, code, text in reversed(groups[key]) if text}
        queries += [AuditQuery(key, code, text, versions, name) for code, (text, name) in sorted(asked.items())]
    return queries


def example_queries(index: Index) -> list[tuple[str, str]]:
    """Return queries that an index can answer, with their languages: one in each of its six largest languages.

    They are titles or first sentences of documents near the mean of their language, each of another group if possible.
    """
    shortest, longest, near = 12, 90, 20
    found: list[tuple[str, str]] = []
    used: set[str] = set()
    for code in list(index.counts())[:_EXAMPLES]:
        known = index.stats.languages.index(code) if code in index.stats.languages else -1
        mean = index.stats.means[known][None]
        query = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
        (ranked,) = index.store.search("plain", query, near, languages=(code,))
        texts = [
            (_query_text(each), each.group)
            for each in index.store.get([each.id for each in ranked])
            if each is not None and not (each.group and each.group in used)
        ]
        text, group = next((pair for pair in texts if shortest <= len(pair[0]) <= longest), ("", ""))
        if text:
            used.add(group)
            found.append((text, code))
    return found


def read_queries(path: Path) -> list[AuditQuery]:
    """Read JSON lines of ``group, language, text``. The same query in several languages shares its group."""
    found: list[AuditQuery] = []
    for line, row in objects(path):
        for name in ("group", "language", "text"):
            if row.get(name) is None or not str(row[name]).strip():
                raise PanglotError(f"`{name}` is missing or empty", file=path, line=line, field=name, hint="add it")
        with located(file=path, line=line, field="language"):
            found.append(AuditQuery(str(row["group"]), canonical(str(row["language"])), str(row["text"]), {}))
    if not found:
        raise PanglotError("the file has no query", file=path, hint='write lines of {"group", "language", "text"}')
    return found


def _query_text(document: Document) -> str:
    """Return the title or first sentence of a document. It is empty if it has less than two letters or digits."""
    found = spans(document.text, document.language or "en")
    text = document.title.strip() or (document.text[slice(*found[0])] if found else "")
    return text if sum(letter.isalnum() for letter in text) > 1 else ""


@dataclass(frozen=True)
class Trial:
    """A way of ranking: a mode over the vectors of an index, or over vectors that a correction made of them."""

    mode: Mode
    pool: Searchable
    vector_field: str
    debiasing: Debiasing | None  # What the vectors have undergone. None for plain vectors.

    def vectors(self, plain: Vectors, languages: Sequence[str], side: Side) -> Vectors:
        """Return plain vectors in the form in which they are compared."""
        return plain if self.debiasing is None else center(self.debiasing, plain, languages, side)


def targets_of(index: Index, queries: Sequence[AuditQuery]) -> list[Vectors | None]:
    """Return for each query the plain vector of the document it was taken from, without title and query.

    It is None for a query that was given, or if nothing remains of the document.
    """
    sources = index.store.get([each.source for each in queries])
    texts = [_without(each, query.text) for each, query in zip(sources, queries, strict=True)]
    known = [row for row, text in enumerate(texts) if text]
    found: list[Vectors | None] = [None] * len(queries)
    if known:
        # Kept, so that the same command does not encode them again.
        encoder = cached(index.encoder)
        for row, vector in zip(known, encoder.encode([texts[row] for row in known], "passage"), strict=True):
            found[row] = vector
    return found


def _without(document: Document | None, query: str) -> str:
    """Return the text of a document without the query at its beginning, or nothing if hardly anything remains.

    >>> from panglot.search.document import Document
    >>> _without(Document("1", "Click Print. Then wait for it."), "Click Print.")
    'Then wait for it.'
    """
    text = document.text.strip().removeprefix(query).strip() if document is not None else ""
    return text if sum(letter.isalnum() for letter in text) > 1 else ""


def own_ranks(
    trial: Trial,
    vectors: Vectors,
    queries: Sequence[AuditQuery],
    targets: Sequence[Vectors | None],
    ranked: Sequence[Sequence[ScoredDocument]],
    depth: int,
) -> tuple[Doubles, Doubles]:
    """Return the rank of each query's own document in its language, and in the pool, shape ``[queries]``.

    Its versions are left out of both rankings. A rank beyond DEPTH is DEPTH + 1 or more. It is NaN without a target.
    """
    own, pooled = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    measured: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        if targets[row] is not None:
            measured.setdefault(query.language, []).append(row)
    for code, rows in measured.items():
        plain = np.stack([target for row in rows if (target := targets[row]) is not None])
        cosines = (vectors[rows] * trial.vectors(plain, [code] * len(rows), "passage")).sum(axis=1).tolist()
        lists = trial.pool.search(trial.vector_field, vectors[rows], depth, languages=[code])
        for row, cosine, neighbours in zip(rows, cosines, lists, strict=True):
            versions = queries[row].versions
            own[row] = 1 + sum(each.score > cosine for each in neighbours if each.id not in versions)
            # What a mode adds depends on the language alone.
            added = next((each.explanation.get("language", 0.0) for each in ranked[row] if each.language == code), 0.0)
            pooled[row] = 1 + sum(each.score > cosine + added for each in ranked[row] if each.id not in versions)
    return own, pooled


def within_language(ranks: Doubles, reciprocal: Doubles, codes: Sequence[str]) -> Figures:
    """Return how well documents are found among those of their language: means over languages, and of each."""
    rows = {code: [row for row, other in enumerate(codes) if other == code] for code in sorted(set(codes))}
    known = {code: [row for row in at if np.isfinite(ranks[row])] for code, at in rows.items()}
    by_language = {
        code: {"MRR": float(reciprocal[at].mean()), "R@1": float((ranks[at] == 1).mean()), "queries": len(at)}
        for code, at in known.items()
        if at
    }
    names = ("MRR", "R@1") if by_language else ()
    means = {name: float(np.mean([each[name] for each in by_language.values()])) for name in names}
    return {"MRR": None, "R@1": None, **means, "by_language": by_language, "difference": None}


def share_within(ranks: Doubles, cut: int) -> float | None:
    """Return the share of known ranks that are at most ``cut``."""
    known = ranks[np.isfinite(ranks)]
    return float((known <= cut).mean()) if len(known) else None


def differences(reciprocal: Mapping[str, Doubles], queries: Sequence[AuditQuery], seed: int) -> Mapping[str, Any]:
    """Return the difference of each trial's MRR within a language to that of ``plain``, and its interval."""
    group = np.unique([each.group for each in queries], return_inverse=True)[1]
    language = np.unique([each.language for each in queries], return_inverse=True)[1]
    sums = {name: Sums.of(values, language, group) for name, values in reciprocal.items()}
    if not np.isfinite(reciprocal["plain"]).any():
        return {}
    drawn = draw(sums, _DRAWS, seed)
    return {
        name: {"MRR": each.mean() - sums["plain"].mean(), "interval": interval(drawn[name] - drawn["plain"])}
        for name, each in sums.items()
        if name != "plain"
    }
