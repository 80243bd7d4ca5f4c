"""Topics, judgements and a large corpus of each language: what MIRACL, Mr. TyDi and mMARCO share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus import trec
from panglot.corpus._open import numbered_lines, parse_json
from panglot.corpus.collection import RELEVANCE, TEXTS, Collection

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
        raise PanglotError(f"{name} has none of these languages", field="languages", cure="see `panglot data list`")
    without = [source for source in sources if not source.corpus] if candidates != "topics" else []
    if without and (chosen or len(without) == len(sources)):
        raise PanglotError(
            f"the passages of {name} in {', '.join(source.language for source in without)} are not there; its topics "
            "and judgements are",
            file=without[0].topics.parent,
            cure=f"{without[0].corpus_from}; `{name}@topics` reads the questions alone",
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
            cure="fetch all of its files again",
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
            raise PanglotError("no docid or no text", file=path, line=line, cure="fetch the file again")
        yield identity, f"{title}\n{text}" if title and text else title or text


def table_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(id, text)`` of lines ``id<TAB>text``.

    Raises:
        PanglotError: A line has no tab.
    """
    for line, raw in numbered_lines(path):
        identity, tab, text = raw.partition("\t")
        if not tab or not identity.strip():
            raise PanglotError("not `id<TAB>text`", file=path, line=line, cure="fetch the file again")
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
