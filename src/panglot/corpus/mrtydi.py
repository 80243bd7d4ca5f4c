"""Mr. TyDi: TyDi QA's questions over the Wikipedia of each language (arXiv 2108.08787)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._judged import Source, collect, json_entries
from panglot.corpus.collection import Collection
from panglot.corpus.language import canonical

_NAMES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian", "ja": "japanese",
    "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu", "th": "thai",
}  # fmt: skip
_TOPICS = re.compile(r"topics\.mrtydi-v1\.1-(\w+)\.\w+\.txt(?:\.gz)?")
_FROM = "get https://huggingface.co/datasets/castorini/mr-tydi-corpus and put its folder mrtydi-v1.1-LANGUAGE there"


def read(
    folder: Path,
    *,
    name: str = "mrtydi",
    part: str = "test",
    candidates: str = "passage",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``topics.mrtydi-v1.1-XX.test.txt``, its ``qrels`` and ``mrtydi-v1.1-LANGUAGE/corpus.jsonl``.

    The passages may also be the first release's, ``mrtydi-v1.1-LANGUAGE/collection/docs.jsonl``. Only passages that
    answer were judged.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``test``, ``dev`` or ``train``.
        candidates: ``passage``, ``judged`` or ``topics``, as for MIRACL.
        languages: Canonical codes; empty: all whose passages are at hand.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing; without passages the message tells where to get them.
    """
    sources: list[Source] = []
    for topics in files(folder, f"**/topics.mrtydi-v1.1-*.{part}.txt"):
        match = _TOPICS.fullmatch(topics.name)
        code = match[1] if match else ""
        if languages and canonical(code) not in languages:
            continue
        qrels = files(folder, f"**/qrels.mrtydi-v1.1-{code}.{part}.txt")[0]
        home = f"**/mrtydi-v1.1-{_NAMES.get(code, code)}"
        corpus = sorted({*folder.glob(f"{home}/corpus.jsonl*"), *folder.glob(f"{home}/collection/docs.jsonl*")})[-1:]
        told = _FROM.replace("LANGUAGE", _NAMES.get(code, code))
        sources.append(Source(canonical(code), topics, qrels, tuple(corpus), told))
    sources.sort(key=lambda source: source.language)
    facts = {**(about or {}), "part": part}
    return collect(name, sources, json_entries, candidates=candidates, chosen=bool(languages), about=facts)
