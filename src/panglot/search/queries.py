"""Take queries from the documents of an index, or read those of a user, in several languages.

They need no labels: a query asks the title of a document, so that document is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError, located
from panglot.data.files import objects
from panglot.data.language import canonical
from panglot.data.sentences import spans
from panglot.search.audit import AuditQuery

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.document import Document
    from panglot.search.index import Index

__all__ = ["example_queries", "read_queries", "sample_queries"]

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


def example_queries(index: Index, number: int = 6) -> list[tuple[str, str]]:
    """Return queries that an index can answer, with their languages: one in each of its largest languages.

    They are titles or first sentences of documents near the mean of their language, each of another group if possible.
    """
    shortest, longest, near = 12, 90, 20
    found: list[tuple[str, str]] = []
    used: set[str] = set()
    for code in list(index.counts())[:number]:
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
            if not str(row.get(name) or "").strip():
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
