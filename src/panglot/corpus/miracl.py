"""MIRACL: questions of native speakers over the Wikipedia of each language (arXiv 2210.09984)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._judged import Source, collect, json_entries
from panglot.corpus.collection import Collection
from panglot.corpus.language import canonical

_TOPICS = re.compile(r"topics\.miracl-v1\.0-(\w+)-\w+\.tsv(?:\.gz)?")
_FROM = "get https://huggingface.co/datasets/miracl/miracl-corpus and put its folder miracl-corpus-v1.0-XX there"


def read(
    folder: Path,
    *,
    name: str = "miracl",
    part: str = "dev",
    candidates: str = "passage",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``topics.…-XX-dev.tsv``, ``qrels.…-XX-dev.tsv`` and ``miracl-corpus-v1.0-XX/docs-*.jsonl``, also in folders.

    Judgements of grade 0 stay: they are passages that a person found not to answer.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``dev`` or ``train``.
        candidates: ``passage``, ``judged`` (only passages that somebody judged) or ``topics`` (questions alone).
        languages: Canonical codes; empty: all whose passages are at hand.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing; without passages the message tells where to get them.
    """
    sources: list[Source] = []
    for topics in files(folder, f"**/topics.miracl-v1.0-*-{part}.tsv"):
        match = _TOPICS.fullmatch(topics.name)
        code = match[1] if match else ""
        if languages and canonical(code) not in languages:
            continue
        qrels = files(folder, f"**/qrels.miracl-v1.0-{code}-{part}.tsv")[0]
        corpus = sorted(folder.glob(f"**/miracl-corpus-v1.0-{code}/docs-*.jsonl*"), key=_number)
        sources.append(Source(canonical(code), topics, qrels, tuple(corpus), _FROM.replace("XX", code)))
    sources.sort(key=lambda source: source.language)
    facts = {**(about or {}), "part": part}
    return collect(name, sources, json_entries, candidates=candidates, chosen=bool(languages), about=facts)


def _number(path: Path) -> int:
    """Return the number of ``docs-12.jsonl.gz``: the publisher's order."""
    return int("".join(filter(str.isdigit, path.name)) or 0)
