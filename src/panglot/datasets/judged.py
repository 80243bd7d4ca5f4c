"""Topics, judgements and a large corpus per language: MIRACL, Mr. TyDi and mMARCO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import QRELS, TEXTS, Collection, Text, text_table
from panglot.data.files import files, numbered_lines, objects
from panglot.data.formats import trec
from panglot.data.language import canonical
from panglot.datasets import tydiqa
from panglot.datasets.catalog import DatasetSpec

Entries = Callable[[Path], Iterator[tuple[str, str]]]
# Passages per Arrow batch. A corpus has up to 33 million of them and must not exist as Python objects at once.
_CHUNK = 65_536


class Source(NamedTuple):
    """The files of one language: questions, judgements, and passages, if they are there."""

    language: str
    topics: Path
    qrels: Path
    corpus: tuple[Path, ...]
    corpus_from: str


def _collect(spec: DatasetSpec, sources: Iterable[Source], entries: Entries, *, parallel: bool = False) -> Collection:
    """Return questions, passages and judgements of the languages. Passages stream into Arrow tables.

    Candidates are ``passage`` (the whole corpus), ``judged`` (only passages that a judgement names) or ``topics``
    (the questions alone, to compare training text with). If the user named languages, each must have its corpus.
    Otherwise, languages without one are left out and named in ``metadata``.

    ``entries`` yields ``(id, text)`` of a corpus file. ``parallel`` says that ids are the same in all languages, so
    that an answer counts in every language.
    """
    name, sources = spec.name, sorted(sources, key=lambda source: source.language)
    if not sources:
        raise PanglotError(f"{name} has none of these languages", field="languages", hint="see `panglot data list`")
    without = [source for source in sources if not source.corpus] if spec.candidates != "topics" else []
    if without and (spec.languages or len(without) == len(sources)):
        codes = ", ".join(source.language for source in without)
        problem = f"{name} has topics and judgements, but no passages in {codes}"
        hint = f"{without[0].corpus_from}, or read the questions alone with `{name}@topics`"
        raise PanglotError(problem, file=without[0].topics.parent, hint=hint)
    used = [source for source in sources if source not in without]
    asked, judged = _questions(used, judged_only=spec.candidates != "topics", parallel=parallel)
    metadata = spec.metadata
    if without:
        metadata["left out, no passages at hand"] = " ".join(source.language for source in without)
    if spec.candidates == "topics":
        return Collection(name, asked, TEXTS.empty_table(), QRELS.empty_table(), metadata)
    wanted = {passage: -1 for _, passage, _ in judged}
    if parallel:
        wanted = dict.fromkeys((f"{source.language}:{p.partition(':')[2]}" for source in used for p in wanted), -1)
    passages = _passages(used, entries, wanted, only_wanted=spec.candidates == "judged", parallel=parallel)
    if missing := [label for label, row in wanted.items() if row < 0]:
        problem = f"the corpus lacks {len(missing)} passages that judgements name, such as {missing[0]!r}"
        raise PanglotError(problem, file=used[0].corpus[0].parent, hint="download all of its files again")
    return Collection(name, asked, passages, _relevance(asked, judged, wanted, used if parallel else ()), metadata)


def _json_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(id, text)`` of lines ``{"docid", "title", "text"}`` or ``{"id", "contents"}``, titles first."""
    for line, entry in objects(path):
        identity = str(entry.get("docid") or entry.get("id") or entry.get("_id") or "")
        text = str(entry.get("text") or entry.get("contents") or "").strip()
        title = str(entry.get("title") or "").strip()
        if not identity or not (text or title):
            raise PanglotError("the line has no docid or no text", file=path, line=line, hint="download the file again")
        yield identity, f"{title}\n{text}" if title and text else title or text


def _table_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(id, text)`` of lines ``id<TAB>text``."""
    for line, raw in numbered_lines(path):
        identity, tab, text = raw.partition("\t")
        if not tab or not identity.strip():
            raise PanglotError("expected `id<TAB>text`", file=path, line=line, hint="download the file again")
        yield identity.strip(), text.strip()


def _questions(
    sources: Sequence[Source], *, judged_only: bool, parallel: bool
) -> tuple[pa.Table, list[tuple[str, str, int]]]:
    rows: list[Text] = []
    judged: list[tuple[str, str, int]] = []
    for source in sources:
        language = source.language
        topics = {identity: text for identity, text in _table_entries(source.topics) if text}
        found = trec.read_qrels(source.qrels) if judged_only else {}
        for identity, text in topics.items():
            if not judged_only or identity in found:
                label = f"{language}:{identity}"
                rows.append(Text(label, language, identity if parallel else label, text))
                judged += [(label, f"{language}:{p}", relevance) for p, relevance in found.get(identity, {}).items()]
    return text_table(rows), judged


def _passages(
    sources: Sequence[Source], entries: Entries, wanted: dict[str, int], *, only_wanted: bool, parallel: bool
) -> pa.Table:
    """Return the passages, and write into ``wanted`` the rows of those that it names."""
    batches: list[pa.RecordBatch] = []
    number = 0
    for source in sources:
        texts = (
            entry
            for entry in chain.from_iterable(map(entries, source.corpus))
            if not only_wanted or f"{source.language}:{entry[0]}" in wanted
        )
        while chunk := list(islice(texts, _CHUNK)):
            labels = [f"{source.language}:{identity}" for identity, _ in chunk]
            wanted.update((label, row) for row, label in enumerate(labels, number) if label in wanted)
            number += len(chunk)
            groups = [identity for identity, _ in chunk] if parallel else labels
            columns = labels, [source.language] * len(chunk), groups, [text for _, text in chunk]
            arrays = [pa.array(column, pa.string()) for column in columns]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=TEXTS))
    return pa.Table.from_batches(batches, schema=TEXTS)


def _relevance(
    asked: pa.Table, judged: Iterable[tuple[str, str, int]], wanted: Mapping[str, int], versions: Sequence[Source]
) -> pa.Table:
    rows = {label: row for row, label in enumerate(asked["id"].to_pylist())}
    found = [
        (rows[question], wanted[label], relevance)
        for question, passage, relevance in judged
        for label in ([f"{v.language}:{passage.partition(':')[2]}" for v in versions] or [passage])
    ]
    columns = tuple(zip(*found, strict=True)) or ((), (), ())
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, QRELS, strict=True)], schema=QRELS)


def _topics(
    folder: Path, spec: DatasetSpec, pattern: str, codes: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str, Path]]:
    """Yield code, publisher's name (the ``*`` of the pattern) and file of questions of each language to read."""
    before, after = pattern.rpartition("/")[2].split("*")
    for path in files(folder, pattern):
        name = path.name.removesuffix(".gz").removeprefix(before).removesuffix(after)
        code = codes.get(name, name) if codes else canonical(name)
        if spec.wants(code):
            yield code, name, path


_MIRACL_FROM = "get https://huggingface.co/datasets/miracl/miracl-corpus and put its folder miracl-corpus-v1.0-XX there"


def read_miracl(folder: Path, spec: DatasetSpec) -> Collection:
    """Read MIRACL: ``topics.…-XX-dev.tsv``, ``qrels.…-XX-dev.tsv`` and ``miracl-corpus-v1.0-XX/docs-*.jsonl``.

    The files may be in any subfolders of ``folder``. Judgements of relevance 0 are kept: a person found that
    these passages do not answer.
    """
    sources: list[Source] = []
    for language, code, topics in _topics(folder, spec, f"**/topics.miracl-v1.0-*-{spec.part}.tsv"):
        qrels = files(folder, f"**/qrels.miracl-v1.0-{code}-{spec.part}.tsv")[0]
        # The publisher orders the files by the number in docs-12.jsonl.gz.
        corpus = sorted(
            folder.glob(f"**/miracl-corpus-v1.0-{code}/docs-*.jsonl*"),
            key=lambda path: int("".join(filter(str.isdigit, path.name)) or 0),
        )
        sources.append(Source(language, topics, qrels, tuple(corpus), _MIRACL_FROM.replace("XX", code)))
    return _collect(spec, sources, _json_entries)


_MRTYDI_NAMES = {code: name for name, code in tydiqa.NAMES.items()}
_MRTYDI_FROM = (
    "get https://huggingface.co/datasets/castorini/mr-tydi-corpus and put its folder mrtydi-v1.1-LANGUAGE there"
)


def read_mrtydi(folder: Path, spec: DatasetSpec) -> Collection:
    """Read Mr. TyDi: ``topics.mrtydi-v1.1-XX.test.txt``, its ``qrels`` and ``mrtydi-v1.1-LANGUAGE/corpus.jsonl``.

    The passages may also be those of the first release, ``mrtydi-v1.1-LANGUAGE/collection/docs.jsonl``. Only passages
    that answer were judged.
    """
    sources: list[Source] = []
    for language, code, topics in _topics(folder, spec, f"**/topics.mrtydi-v1.1-*.{spec.part}.txt"):
        qrels = files(folder, f"**/qrels.mrtydi-v1.1-{code}.{spec.part}.txt")[0]
        name = _MRTYDI_NAMES.get(code, code)
        home = f"**/mrtydi-v1.1-{name}"
        corpus = sorted({*folder.glob(f"{home}/corpus.jsonl*"), *folder.glob(f"{home}/collection/docs.jsonl*")})
        sources.append(Source(language, topics, qrels, tuple(corpus[-1:]), _MRTYDI_FROM.replace("LANGUAGE", name)))
    return _collect(spec, sources, _json_entries)


_MMARCO_NAMES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "indonesian": "id", "italian": "it", "japanese": "ja", "portuguese": "pt", "russian": "ru", "spanish": "es",
    "vietnamese": "vi",
}  # fmt: skip
_MMARCO_FROM = (
    "get data/google/collections/LANGUAGE_collection.tsv of https://huggingface.co/datasets/unicamp-dl/mmarco"
)


def read_mmarco(folder: Path, spec: DatasetSpec) -> Collection:
    """Read mMARCO: ``collections/LANGUAGE_collection.tsv``, ``queries/PART/LANGUAGE_queries.*.tsv`` and the ``qrels``.

    The files may be in any subfolders of ``folder``. Ids are those of MS MARCO in every language, so each passage
    answers in all languages that are read. ``dev`` is the small dev part of 6,980 questions (``queries.dev.small``,
    ``qrels.dev.small.tsv``).
    """
    suffix = "dev.small" if spec.part == "dev" else spec.part
    qrels = files(folder, f"**/qrels.{suffix}.tsv")[0]
    sources: list[Source] = []
    pattern = f"**/queries/{spec.part}/*_queries.{suffix}.tsv"
    for language, name, topics in _topics(folder, spec, pattern, _MMARCO_NAMES):
        corpus = sorted(folder.glob(f"**/collections/{name}_collection.tsv*"))[:1]
        sources.append(Source(language, topics, qrels, tuple(corpus), _MMARCO_FROM.replace("LANGUAGE", name)))
    return _collect(spec, sources, _table_entries, parallel=True)
