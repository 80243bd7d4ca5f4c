"""Read and write BEIR folders with language and group: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError, located
from panglot._files import atomic_folder, mark_folder
from panglot.data.collection import Collection, Text
from panglot.data.files import RowError, files, numbered_lines, parse_object
from panglot.data.formats.trec import export_ids, judged_twice, whole_number
from panglot.data.language import canonical
from panglot.data.rows import as_text, name_language

_NO_LANGUAGE = "no language"


def read(
    folder: Path,
    *,
    name: str = "",
    split: str | None = None,
    language: str | None = None,
    metadata: Mapping[str, str] | None = None,
    rejected: list[RowError] | None = None,
) -> Collection:
    """Read a BEIR folder, plain or gzipped.

    Lines of ``corpus.jsonl`` are ``{"_id", "title", "text"}`` and of ``queries.jsonl`` ``{"_id", "text"}``,
    each with ``language``, and with ``group`` if it has translations. A title and a line end go before the text. Like
    BEIR, this leaves out questions that the split does not judge.

    Args:
        folder: The folder.
        name: What tables call it. By default it is the folder's name.
        split: Which ``qrels/SPLIT.tsv``. By default it is test, else the only one.
        language: The language of lines without one.
        metadata: What else is known about it.
        rejected: A list to which lines that cannot be used are added, instead of an error. Of a pair that is judged
            twice with different scores, neither line is used.

    Raises:
        PanglotError: A file is broken or missing, a judgement names a text that is not there, or a pair is judged
            twice with different scores. With ``rejected``: a file is missing or not UTF-8, or no line of it has a
            language.
    """
    judged_in = _qrels_file(folder, split)
    broken: list[RowError] = []
    passages = list(_texts(files(folder, "corpus.jsonl")[0], language, broken))
    asking = list(_texts(files(folder, "queries.jsonl")[0], language, broken))
    known = ({text.id for text in asking}, {text.id for text in passages})
    judgements = _judgements(judged_in, known, broken)
    if rejected is not None:
        rejected += broken
    elif broken:
        raise _first_of_many(broken)
    asked = {question for question, _ in judgements}
    questions = [text for text in asking if text.id in asked]
    facts = {"candidates": "passage", "part": judged_in.name.split(".")[0], **(metadata or {})}
    if equal := len(asked & known[1]):
        facts["equal_ids"] = str(equal)
    rows = ((question, passage, relevance) for (question, passage), relevance in judgements.items())
    return Collection.build(name or folder.resolve().name, questions, passages, rows, facts)


def _first_of_many(rejected: Sequence[RowError]) -> PanglotError:
    """Return the error for the first of some rejected rows, which says how many more there are."""
    first, more = rejected[0], len(rejected) - 1
    if not more:
        return first.error()
    problem = (
        f"{first.problem} ({more:,} more faults: `panglot data check` lists them, and `--on-error skip` skips them)"
    )
    return replace(first, problem=problem).error()


def write(collection: Collection, folder: Path, *, split: str = "test") -> None:
    """Write a collection as a BEIR folder, atomically, with :func:`panglot.data.formats.trec.export_ids`.

    Raises:
        PanglotError: The place cannot be written.
    """
    ids = export_ids(collection)
    with atomic_folder(folder) as part:
        mark_folder(part, "beir")
        with (part / "queries.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(_lines(collection.questions, ids[0]))
        with (part / "corpus.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(_lines(collection.passages, ids[1], title=""))
        (part / "qrels").mkdir()
        with (part / "qrels" / f"{split}.tsv").open("w", encoding="utf-8") as out:
            out.write("query-id\tcorpus-id\tscore\n")
            for row in collection.qrels.to_pylist():
                out.write(f"{ids[0][row['question']]}\t{ids[1][row['passage']]}\t{row['relevance']}\n")


def _lines(table: pa.Table, ids: Sequence[str], **more: str) -> Iterator[str]:
    named = iter(ids)
    for batch in table.to_batches(max_chunksize=8192):
        for row in batch.to_pylist():
            values = {"_id": next(named), **more, **{name: row[name] for name in ("text", "language", "group")}}
            yield json.dumps(values, ensure_ascii=False) + "\n"


def _qrels_file(folder: Path, split: str | None) -> Path:
    found = files(folder / "qrels", f"{split or '*'}.tsv")
    if len(found) > 1:
        test = [path for path in found if path.name.startswith("test.")]
        if not test:
            names = ", ".join(path.name.split(".")[0] for path in found)
            hint = "choose one of them as `split`"
            raise PanglotError(f"several splits and no test: {names}", file=folder / "qrels", field="split", hint=hint)
        return test[0]
    return found[0]


def _judgements(
    path: Path, known: tuple[Container[str], Container[str]], rejected: list[RowError]
) -> dict[tuple[str, str], int]:
    """Return the relevance of pairs of known texts."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    wrong: set[tuple[str, str]] = set()
    for line, text in numbered_lines(path):
        parts = [part.strip() for part in text.split("\t")]
        if line == 1 and parts[-1].lower() == "score":
            continue
        try:
            with located(file=path, line=line):
                question, passage, relevance = _judgement(parts, known)
                first, before = found.setdefault((question, passage), (line, relevance))
                if before != relevance:
                    wrong.add((question, passage))
                    raise judged_twice(question, passage, (first, before), relevance)
        except PanglotError as error:
            rejected.append(RowError.of(error, text))
    return {pair: relevance for pair, (_, relevance) in found.items() if pair not in wrong}


def _judgement(parts: Sequence[str], known: tuple[Container[str], Container[str]]) -> tuple[str, str, int]:
    if len(parts) != 3:
        problem = f"expected `query-id<TAB>corpus-id<TAB>score`, got {len(parts)} columns"
        raise PanglotError(problem, hint="write three columns, the last one a whole number")
    question, passage, score = parts
    relevance = whole_number(score, "score")
    for field, identity, ids in (("query-id", question, known[0]), ("corpus-id", passage, known[1])):
        if identity not in ids:
            raise PanglotError(f"no text has the id {identity!r}", field=field, hint="add the text, or remove the line")
    return question, passage, relevance


def _texts(path: Path, language: str | None, rejected: list[RowError]) -> Iterator[Text]:
    seen: dict[str, int] = {}
    for line, raw in numbered_lines(path):
        try:
            with located(file=path, line=line):
                text = _text(parse_object(raw, path, line), language)
                _refuse_repeated(text.id, seen.setdefault(text.id, line), line)
        except PanglotError as error:
            # Genuine BEIR folders name no language, so that each of their lines would be wrong.
            if error.problem == _NO_LANGUAGE and not seen:
                raise
            rejected.append(RowError.of(error, raw))
        else:
            yield text


def _refuse_repeated(identity: str, first: int, line: int) -> None:
    if first != line:
        problem = f"{identity!r} is used before, in line {first}"
        raise PanglotError(problem, field="_id", hint="give each line its own id")


def _text(values: Mapping[str, object], language: str | None) -> Text:
    values = name_language(values)
    found = {key: as_text(values.get(key), key) for key in ("_id", "title", "text", "language", "group")}
    code = found["language"] or language
    text = "\n".join(each for each in (found["title"], found["text"]) if each)
    hints = {"language": "add it to each line, or read the folder with `--language en`"}
    for key, value in (("_id", found["_id"]), ("text", text), ("language", code)):
        if not value:
            problem = _NO_LANGUAGE if key == "language" else f"no {key.strip('_')}"
            raise PanglotError(problem, field=key, hint=hints.get(key, "add it"))
    identity = str(found["_id"])
    with located(field="language"):
        return Text(identity, canonical(str(code)), found["group"] or identity, text)
