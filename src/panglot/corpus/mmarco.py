"""mMARCO: MS MARCO's passages and questions, machine-translated into 13 languages (arXiv 2108.13897)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._judged import Source, collect, table_entries
from panglot.corpus.collection import Collection

_NAMES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "indonesian": "id", "italian": "it", "japanese": "ja", "portuguese": "pt", "russian": "ru", "spanish": "es",
    "vietnamese": "vi",
}  # fmt: skip
_FROM = "get data/google/collections/LANGUAGE_collection.tsv of https://huggingface.co/datasets/unicamp-dl/mmarco"


def read(
    folder: Path,
    *,
    name: str = "mmarco",
    part: str = "dev",
    candidates: str = "passage",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``collections/LANGUAGE_collection.tsv``, ``queries/PART/LANGUAGE_queries.*.tsv`` and MS MARCO's ``qrels``.

    Ids are MS MARCO's in every language: each passage answers in all languages read. ``dev`` is the small dev part of
    6,980 questions (``queries.dev.small``, ``qrels.dev.small.tsv``).

    Args:
        folder: Where they lie, in any folders below.
        name: What tables call it.
        part: ``dev`` or ``train``.
        candidates: ``passage``, ``judged`` or ``topics``, as for MIRACL; a language has 8,841,823 passages.
        languages: Canonical codes; empty: all whose passages are at hand.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing.
    """
    suffix = "dev.small" if part == "dev" else part
    qrels = files(folder, f"**/qrels.{suffix}.tsv")[0]
    sources: list[Source] = []
    for topics in files(folder, f"**/queries/{part}/*_queries.{suffix}.tsv"):
        spelled = topics.name.partition("_")[0]
        code = _NAMES.get(spelled, spelled)
        if not languages or code in languages:
            corpus = sorted(folder.glob(f"**/collections/{spelled}_collection.tsv*"))[:1]
            sources.append(Source(code, topics, qrels, tuple(corpus), _FROM.replace("LANGUAGE", spelled)))
    sources.sort(key=lambda source: source.language)
    facts = {**(about or {}), "part": part}
    return collect(
        name, sources, table_entries, candidates=candidates, chosen=bool(languages), parallel=True, about=facts
    )
