"""Read and write BEIR folders with language and group: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pyarrow as pa

from panglot._errors import PanglotError, located
from panglot._files import atomic_folder
from panglot.data.collection import Collection, Text
from panglot.data.files import files, numbered_lines, objects
from panglot.data.language import canonical


def read(
    folder: Path,
    *,
    name: str = "",
    split: str | None = None,
    language: str | None = None,
    about: Mapping[str, str] | None = None,
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
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing, or a judgement names a text that is not there.
    """
    judged_in = _qrels_file(folder, split)
    judgements = list(_judgements(judged_in))
    asked = {question for question, _, _, _ in judgements}
    passages = list(_texts(files(folder, "corpus.jsonl")[0], language))
    questions = [text for text in _texts(files(folder, "queries.jsonl")[0], language) if text.id in asked]
    known = ({text.id for text in questions}, {text.id for text in passages})
    for question, passage, _, line in judgements:
        for side, identity, ids in (("query-id", question, known[0]), ("corpus-id", passage, known[1])):
            if identity not in ids:
                hint = "add the text, or remove the line"
                raise PanglotError(f"no text has the id {identity!r}", file=judged_in, line=line, field=side, hint=hint)
    facts = {"candidates": "passage", "part": judged_in.name.split(".")[0], **(about or {})}
    rows = ((question, passage, grade) for question, passage, grade, _ in judgements)
    return Collection.build(name or folder.resolve().name, questions, passages, rows, facts)


def write(collection: Collection, folder: Path, *, split: str = "test") -> None:
    """Write a collection as a BEIR folder, atomically.

    Raises:
        PanglotError: The place cannot be written.
    """
    ids = [cast("list[str]", table["id"].to_pylist()) for table in (collection.questions, collection.passages)]
    with atomic_folder(folder) as part:
        with (part / "queries.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(_lines(collection.questions))
        with (part / "corpus.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(_lines(collection.passages, title=""))
        (part / "qrels").mkdir()
        with (part / "qrels" / f"{split}.tsv").open("w", encoding="utf-8") as out:
            out.write("query-id\tcorpus-id\tscore\n")
            for row in collection.relevance.to_pylist():
                out.write(f"{ids[0][row['question']]}\t{ids[1][row['passage']]}\t{row['grade']}\n")


def _lines(table: pa.Table, **more: str) -> Iterator[str]:
    for batch in table.to_batches(max_chunksize=8192):
        for row in batch.to_pylist():
            values = {"_id": row["id"], **more, **{name: row[name] for name in ("text", "language", "group")}}
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


def _judgements(path: Path) -> Iterator[tuple[str, str, int, int]]:
    for line, text in numbered_lines(path):
        parts = text.split("\t")
        if line == 1 and parts[-1].strip().lower() == "score":
            continue
        try:
            question, passage, grade = parts
            yield question, passage, int(grade), line
        except ValueError as error:
            problem = "expected `query-id<TAB>corpus-id<TAB>score`"
            hint = "write three columns, the last one a whole number"
            raise PanglotError(problem, file=path, line=line, hint=hint) from error


def _texts(path: Path, language: str | None) -> Iterator[Text]:
    seen: dict[str, int] = {}
    for line, values in objects(path):
        identity, text = str(values.get("_id") or ""), str(values.get("text") or "")
        code = str(values.get("language") or values.get("lang") or language or "")
        if title := str(values.get("title") or ""):
            text = f"{title}\n{text}" if text else title
        for key, value in (("_id", identity), ("text", text.strip()), ("language", code)):
            if not value:
                raise PanglotError(f"no {key.strip('_')}", file=path, line=line, field=key, hint="add it")
        if seen.setdefault(identity, line) != line:
            problem = f"{identity!r} is used before, in line {seen[identity]}"
            raise PanglotError(problem, file=path, line=line, field="_id", hint="give each line its own id")
        with located(file=path, line=line, field="language"):
            code = canonical(code)
        yield Text(identity, code, str(values.get("group") or identity), text)
