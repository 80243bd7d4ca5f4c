"""Topics, judgements and a large corpus of each language: what MIRACL, Mr. TyDi and mMARCO share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import RELEVANCE, TEXTS, Collection
from panglot.data.files import files, numbered_lines, parse_json
from panglot.data.formats import trec
from panglot.data.language import canonical

Entries = Callable[[Path], Iterator[tuple[str, str]]]
_CHUNK = 65_536


@dataclass(frozen=True)
class Source:
    """The files of one language.

    Attributes:
        language: Canonical code.
        topics: A file of lines ``id<TAB>question``.
        qrels: A file of lines ``id 0 passage grade``.
        corpus: The files of passages; empty where they are not there.
        corpus_from: Where to get them, and where to put them.
    """

    language: str
    topics: Path
    qrels: Path
    corpus: tuple[Path, ...]
    corpus_from: str


def collect(
    name: str,
    sources: Sequence[Source],
    entries: Entries,
    *,
    candidates: str,
    chosen: bool,
    parallel: bool = False,
    about: Mapping[str, str],
) -> Collection:
    """Return questions, passages and judgements of the languages; passages stream into Arrow tables.

    Args:
        name: What tables call it.
        sources: The languages.
        entries: Yields ``(id, text)`` of a corpus file.
        candidates: ``passage``: the whole corpus; ``judged``: only the passages that a judgement names; ``topics``:
            the questions alone, without passages or judgements, to compare training text with.
        chosen: Whether the user named the languages: then each must have its corpus. Else those that have none are left
            out, and ``about`` tells which.
        parallel: Whether ids are the same in all languages, so that an answer is one in every language.
        about: What else is known.

    Raises:
        PanglotError: There is no corpus, or it lacks a passage that a judgement names.
    """
    if not sources:
        raise PanglotError(f"{name} has none of these languages", field="languages", hint="see `panglot data list`")
    without = [source for source in sources if not source.corpus] if candidates != "topics" else []
    if without and (chosen or len(without) == len(sources)):
        raise PanglotError(
            f"the passages of {name} in {', '.join(source.language for source in without)} are not there; its topics "
            "and judgements are",
            file=without[0].topics.parent,
            hint=f"{without[0].corpus_from}; `{name}@topics` reads the questions alone",
        )
    used = [source for source in sources if source not in without]
    asked, judged = _questions(used, judged_only=candidates != "topics", parallel=parallel)
    facts = {**about, "candidates": candidates}
    if without:
        facts["left out, no passages at hand"] = " ".join(source.language for source in without)
    if candidates == "topics":
        return Collection(name, asked, TEXTS.empty_table(), RELEVANCE.empty_table(), facts)
    wanted = {passage: -1 for _, passage, _ in judged}
    if parallel:
        wanted = dict.fromkeys((f"{source.language}:{p.partition(':')[2]}" for source in used for p in wanted), -1)
    passages = _passages(used, entries, wanted, only_wanted=candidates == "judged", parallel=parallel)
    missing = [label for label, row in wanted.items() if row < 0]
    if missing:
        raise PanglotError(
            f"the corpus lacks {len(missing)} passages that judgements name, such as {missing[0]!r}",
            file=used[0].corpus[0].parent,
            hint="fetch all of its files again",
        )
    return Collection(name, asked, passages, _relevance(asked, judged, wanted, used if parallel else ()), facts)


def json_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(id, text)`` of lines ``{"docid", "title", "text"}`` or ``{"id", "contents"}``; titles go first.

    Raises:
        PanglotError: A line is not such an object.
    """
    for line, raw in numbered_lines(path):
        values = parse_json(raw, path, line)
        entry = cast("dict[str, object]", values) if isinstance(values, dict) else {}
        identity = str(entry.get("docid") or entry.get("id") or entry.get("_id") or "")
        text = str(entry.get("text") or entry.get("contents") or "").strip()
        title = str(entry.get("title") or "").strip()
        if not identity or not (text or title):
            raise PanglotError("no docid or no text", file=path, line=line, hint="fetch the file again")
        yield identity, f"{title}\n{text}" if title and text else title or text


def table_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(id, text)`` of lines ``id<TAB>text``.

    Raises:
        PanglotError: A line has no tab.
    """
    for line, raw in numbered_lines(path):
        identity, tab, text = raw.partition("\t")
        if not tab or not identity.strip():
            raise PanglotError("not `id<TAB>text`", file=path, line=line, hint="fetch the file again")
        yield identity.strip(), text.strip()


def _questions(
    sources: Sequence[Source], *, judged_only: bool, parallel: bool
) -> tuple[pa.Table, list[tuple[str, str, int]]]:
    rows: list[tuple[str, str, str, str]] = []
    judged: list[tuple[str, str, int]] = []
    for source in sources:
        language = source.language
        topics = {identity: text for identity, text in table_entries(source.topics) if text}
        found = trec.read_qrels(source.qrels) if judged_only else {}
        for identity, text in topics.items():
            if not judged_only or identity in found:
                label = f"{language}:{identity}"
                rows.append((label, language, identity if parallel else label, text))
                judged += [(label, f"{language}:{p}", grade) for p, grade in found.get(identity, {}).items()]
    columns = tuple(zip(*rows, strict=True)) or ((), (), (), ())
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=TEXTS), judged


def _passages(
    sources: Sequence[Source], entries: Entries, wanted: dict[str, int], *, only_wanted: bool, parallel: bool
) -> pa.Table:
    """Return the passages in chunks, and note in ``wanted`` in which rows those are that it names."""
    batches: list[pa.RecordBatch] = []
    number = 0
    for source in sources:
        for some in _chunks(_texts(source, entries, wanted, only_wanted=only_wanted)):
            labels = [f"{source.language}:{identity}" for identity, _ in some]
            for row, label in enumerate(labels, number):
                if label in wanted:
                    wanted[label] = row
            number += len(some)
            groups = [identity for identity, _ in some] if parallel else labels
            columns = labels, [source.language] * len(some), groups, [text for _, text in some]
            arrays = [pa.array(column, pa.string()) for column in columns]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=TEXTS))
    return pa.Table.from_batches(batches, schema=TEXTS)


def _texts(
    source: Source, entries: Entries, wanted: Mapping[str, int], *, only_wanted: bool
) -> Iterator[tuple[str, str]]:
    for path in source.corpus:
        for identity, text in entries(path):
            if not only_wanted or f"{source.language}:{identity}" in wanted:
                yield identity, text


def _chunks(entries: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    some: list[tuple[str, str]] = []
    for entry in entries:
        some.append(entry)
        if len(some) == _CHUNK:
            yield some
            some = []
    if some:
        yield some


def _relevance(
    asked: pa.Table, judged: Iterable[tuple[str, str, int]], wanted: Mapping[str, int], versions: Sequence[Source]
) -> pa.Table:
    rows = {label: row for row, label in enumerate(asked["id"].to_pylist())}
    found = [
        (rows[question], wanted[label], grade)
        for question, passage, grade in judged
        for label in ([f"{v.language}:{passage.partition(':')[2]}" for v in versions] or [passage])
    ]
    columns = tuple(zip(*found, strict=True)) or ((), (), ())
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RELEVANCE, strict=True)], schema=RELEVANCE)


_TOPICS = re.compile(r"topics\.miracl-v1\.0-(\w+)-\w+\.tsv(?:\.gz)?")
_FROM = "get https://huggingface.co/datasets/miracl/miracl-corpus and put its folder miracl-corpus-v1.0-XX there"


def read_miracl(
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


_NAMES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian", "ja": "japanese",
    "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu", "th": "thai",
}  # fmt: skip
_MRTYDI_TOPICS = re.compile(r"topics\.mrtydi-v1\.1-(\w+)\.\w+\.txt(?:\.gz)?")
_MRTYDI_FROM = (
    "get https://huggingface.co/datasets/castorini/mr-tydi-corpus and put its folder mrtydi-v1.1-LANGUAGE there"
)


def read_mrtydi(
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
        match = _MRTYDI_TOPICS.fullmatch(topics.name)
        code = match[1] if match else ""
        if languages and canonical(code) not in languages:
            continue
        qrels = files(folder, f"**/qrels.mrtydi-v1.1-{code}.{part}.txt")[0]
        home = f"**/mrtydi-v1.1-{_NAMES.get(code, code)}"
        corpus = sorted({*folder.glob(f"{home}/corpus.jsonl*"), *folder.glob(f"{home}/collection/docs.jsonl*")})[-1:]
        told = _MRTYDI_FROM.replace("LANGUAGE", _NAMES.get(code, code))
        sources.append(Source(canonical(code), topics, qrels, tuple(corpus), told))
    sources.sort(key=lambda source: source.language)
    facts = {**(about or {}), "part": part}
    return collect(name, sources, json_entries, candidates=candidates, chosen=bool(languages), about=facts)


_MMARCO_NAMES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "indonesian": "id", "italian": "it", "japanese": "ja", "portuguese": "pt", "russian": "ru", "spanish": "es",
    "vietnamese": "vi",
}  # fmt: skip
_MMARCO_FROM = (
    "get data/google/collections/LANGUAGE_collection.tsv of https://huggingface.co/datasets/unicamp-dl/mmarco"
)


def read_mmarco(
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
        code = _MMARCO_NAMES.get(spelled, spelled)
        if not languages or code in languages:
            corpus = sorted(folder.glob(f"**/collections/{spelled}_collection.tsv*"))[:1]
            sources.append(Source(code, topics, qrels, tuple(corpus), _MMARCO_FROM.replace("LANGUAGE", spelled)))
    sources.sort(key=lambda source: source.language)
    facts = {**(about or {}), "part": part}
    return collect(
        name, sources, table_entries, candidates=candidates, chosen=bool(languages), parallel=True, about=facts
    )
