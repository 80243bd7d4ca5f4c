"""Write collections to files that panglot reads back: Arrow, and BEIR, JSON lines, Parquet and TREC for other tools."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_file, is_marked
from panglot.data.collection import Collection
from panglot.data.columns import BATCH, Bools
from panglot.data.files import ending_of
from panglot.data.formats import beir, trec
from panglot.data.ingest import ingest


class Line(NamedTuple):
    """One row to write."""

    group: str
    language: str
    question: str | None
    passage: str | None

    def json(self) -> str:
        """Return the row as a line of JSON, without empty fields."""
        values = {key: value for key, value in self._asdict().items() if value is not None}
        return json.dumps(values, ensure_ascii=False)


def _lines(collection: Collection, *, untie: bool) -> tuple[list[Line], dict[str, int]]:
    """Return a collection as rows, and counts of what rows cannot hold.

    With ``untie``, questions that do not fit get groups of their own, one for each passage. Otherwise they are an
    error, as a blank text is.
    """
    questions, passages = collection.questions.to_pylist(), collection.passages.to_pylist()
    answers: dict[int, list[int]] = defaultdict(list)
    for question, passage in zip(*(side.tolist() for side in collection.pairs), strict=True):
        answers[question].append(passage)
    # Readers join equal passages of one language, so they are joined here too.
    first: dict[tuple[str, str], int] = {}
    same = [first.setdefault((p["language"], p["text"]), row) for row, p in enumerate(passages)]
    _refuse_blank(questions, "question")
    _refuse_blank(passages, "passage")
    lost = Counter[str]()
    lost["judgements of relevance 0 or less"] = collection.qrels.num_rows - sum(map(len, answers.values()))
    lost["equal passages joined"] = len(passages) - len(first)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, question in enumerate(questions):
        if row in answers:
            groups[question["group"]].append(row)
        else:
            lost["questions without a relevant passage"] += 1
    out: list[Line] = []
    used: set[int] = set()
    taken = {*groups, *(p["group"] for p in passages)}
    misfits: list[str] = []
    for group, members in groups.items():
        mine = [sorted({same[p] for p in answers[q]}) for q in members]
        if _fits([questions[q]["language"] for q in members], mine, [p["language"] for p in passages]):
            asked = {questions[q]["language"]: questions[q]["text"] for q in members}
            answering = {passages[p]["language"]: passages[p]["text"] for p in mine[0]}
            both = dict.fromkeys((*asked, *answering))
            out += [Line(group, language, asked.get(language), answering.get(language)) for language in both]
        else:
            misfits.append(group)
            lost["questions untied"] += len(members)
            for q, found in zip(members, mine, strict=True):
                for passage in found:
                    own = _free(f"{group}~{len(misfits)}-{q}-{passage}", taken)
                    asks, says = questions[q], passages[passage]
                    if asks["language"] == says["language"]:
                        out.append(Line(own, asks["language"], asks["text"], says["text"]))
                    else:
                        out.append(Line(own, asks["language"], asks["text"], None))
                        out.append(Line(own, says["language"], None, says["text"]))
        used |= {p for found in mine for p in found}
    if misfits and not untie:
        raise PanglotError(
            f"{len(misfits)} groups do not fit into rows (the first: {misfits[0]!r}), for two passages of one "
            "language answer them, or other passages answer their translations",
            hint="write beir or trec, which hold any judgements, or add `--untie`",
        )
    seen = {(line.group, line.language) for line in out}
    for row, passage in enumerate(passages):
        if row in used or same[row] != row:
            continue
        # In a group with a question it would answer the question, so it gets a group of its own.
        pool = passage["group"] if passage["group"] not in groups else f"{passage['group']}~pool"
        if (pool, passage["language"]) in seen:
            pool = _free(f"{pool}~{row}", taken)
        seen.add((pool, passage["language"]))
        out.append(Line(pool, passage["language"], None, passage["text"]))
    return out, {why: number for why, number in lost.items() if number}


def _fits(asking: Sequence[str], answering: Sequence[Sequence[int]], language: Sequence[str]) -> bool:
    """Return whether questions in ``asking`` languages, answered by these passages, fit into one group of rows."""
    answered_in = [language[passage] for passage in answering[0]]
    return (
        len(set(asking)) == len(asking)
        and len(set(answered_in)) == len(answered_in)
        and all(found == answering[0] for found in answering)
    )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    taken.add(name)
    return name


def _refuse_blank(texts: Sequence[dict[str, str]], side: str) -> None:
    for text in texts:
        if not text["text"].strip():
            raise PanglotError(f"the {side} {text['id']!r} has no text", field=side, hint="leave it out")


_ROWS = pa.schema([(name, pa.string()) for name in Line._fields])


@dataclass(frozen=True)
class Converted:
    """How much was written to a file or folder."""

    path: Path
    questions: int
    passages: int
    judgements: int
    lost: Mapping[str, int] = field(default_factory=dict)  # what the format could not hold, by reason


def write(
    collection: Collection,
    to: str,
    output: str | Path,
    *,
    split: str = "test",
    untie: bool = False,
    marks: tuple[Bools, Bools] | None = None,
) -> Converted:
    """Write a collection in the format ``to``, which :func:`panglot.read` reads back.

    Arrow (:meth:`Collection.save`) holds everything, is opened without parsing, and is written piece by piece. BEIR and
    TREC hold everything except questions without judgements, and give back the same ids, texts, languages, groups and
    judgements. If a question has the id of a passage, questions get other ids there. JSON lines and Parquet hold
    groups: a question in several languages, answered by one passage per language. Levels of relevance are lost, and
    equal passages become one. If a group does not fit (two passages of one language, translations with other answers),
    it is an error or is untied.

    Args:
        collection: What to write.
        to: One of :data:`FORMATS`.
        output: A folder for ``arrow``, ``beir`` and ``trec``. A file for ``jsonl`` (``.gz`` is compressed) and
            ``parquet``.
        split: The name of the BEIR split.
        untie: For ``jsonl`` and ``parquet``, give each question that does not fit a group of its own with each of its
            passages. Such a question may occur several times, and is no longer tied to its translations.
        marks: The questions and passages to write, as :func:`panglot.data.transform.select_rows` marks them,
            or None for all.

    Raises:
        PanglotError: The format is unknown or cannot hold the collection, or the place cannot be written.
    """
    path = Path(output)
    check_place(to, path)
    if to == "arrow":
        if marks:
            return _all_of(collection.keep(*marks, path), path)
        collection.save(path)
        return _all_of(collection, path)
    collection = collection.keep(*marks) if marks else collection
    if to not in _TABLES:
        _check_ids(collection)
        if to == "beir":
            beir.write(collection, path, split=split)
        else:
            trec.write(collection, path)
        number = collection.questions.num_rows
        unjudged = number - len(set(collection.qrels["question"].to_pylist()))
        lost = {"questions that nobody judged": unjudged} if unjudged else {}
        if trec.export_ids(collection)[0] != collection.questions["id"].to_pylist():
            lost["questions that got an id of their own, since a passage has theirs"] = number - unjudged
        return Converted(path, number - unjudged, collection.passages.num_rows, collection.qrels.num_rows, lost)
    rows, lost = _lines(collection, untie=untie)
    _TABLES[to](rows, path)
    questions = collection.questions.num_rows - lost.get("questions without a relevant passage", 0)
    return Converted(path, questions, collection.passages.num_rows - lost.get("equal passages joined", 0),
                     collection.qrels.num_rows - lost.get("judgements of relevance 0 or less", 0), lost)  # fmt: skip


def convert_rows(paths: Sequence[Path], output: Path, progress: Callable[[int], None], *, on_ray: bool) -> Converted:
    """Write the collection of JSON lines or Parquet files as ``arrow``, without holding it in memory.

    ``progress`` is called with the number of rows just read. With ``on_ray``, Ray's workers read the rows.
    """
    check_place("arrow", output)
    if not on_ray:
        return _all_of(ingest(paths, output, progress=progress).collection, output)
    from panglot.data.ray import ray_reader

    with ray_reader() as read:
        return _all_of(ingest(paths, output, progress=progress, read=read).collection, output)


def check_place(to: str, path: Path) -> None:
    """Refuse an unknown format, and a place that holds something else."""
    if to not in FORMATS:
        raise PanglotError(f"unknown format {to!r}", field="to", hint=f"choose one of {', '.join(FORMATS)}")
    folder = to not in _TABLES
    if not folder:
        _check_ending(path, to)
    if path.is_dir() != folder and path.exists():
        problem = f"{to} is written to {'a folder' if folder else 'a file'}"
        raise PanglotError(problem, file=path, hint="choose another place")
    if folder:
        check_folder(path, to)


def check_folder(path: Path, form: str = "arrow") -> None:
    """Refuse to replace a folder with anything in it that panglot did not write in the format ``form``."""
    if path.is_mount():
        problem = "the folder is a volume of its own, which cannot be replaced by another folder"
        raise PanglotError(problem, file=path, hint="name a folder in it")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    ours = all((path / name).is_file() for name in ("collection.json", "questions.arrow"))
    if not (ours if form == "arrow" else is_marked(path, form)):
        problem = f"there is something that panglot did not write as {form}, and it would be replaced"
        raise PanglotError(problem, file=path, hint="choose another place, or remove what is there")


def check_source(output: Path, sources: Iterable[Path | None]) -> None:
    """Refuse a place that is one of the files or folders that are read, is inside of one, or has one inside."""
    place = output.resolve()
    for source in (each for each in sources if each and each.exists()):
        whole = source.resolve()
        same = place.is_relative_to(whole) or whole.is_relative_to(place) or (place.exists() and place.samefile(whole))
        if same:
            problem = f"this is in the data that is read, {source}, or holds it"
            raise PanglotError(problem, file=output, hint="choose another place")


def _all_of(collection: Collection, path: Path) -> Converted:
    tables = (collection.questions, collection.passages, collection.qrels)
    return Converted(path, *(table.num_rows for table in tables))


def write_rows(rows: Iterable[Line], output: str | Path) -> None:
    """Write rows to a ``.jsonl`` (``.jsonl.gz``) or ``.parquet`` file, atomically."""
    path = Path(output)
    form = "parquet" if ending_of(path) == "parquet" else "jsonl"
    _check_ending(path, form)
    _TABLES[form](rows, path)


def _check_ending(path: Path, form: str) -> None:
    """Refuse a name by which the file would be read as something else."""
    zipped = form == "parquet" and path.suffix == ".gz"
    if zipped or ending_of(path) not in {"parquet": ("parquet",), "jsonl": ("jsonl", "ndjson", "json")}[form]:
        raise PanglotError(f"the name of a {form} file must end with .{form}", file=path, hint="choose another name")


def _check_ids(collection: Collection) -> None:
    """Refuse ids with which a line of judgements could not be read back."""
    for side, table in (("question", collection.questions), ("passage", collection.passages)):
        for identity in table["id"].to_pylist():
            if not identity or any(letter in identity for letter in "\t\n\r") or identity.strip() != identity:
                problem = f"the {side} id {identity!r} is empty, or holds a tab or line end"
                raise PanglotError(problem, field="id", hint="change it")


def _jsonl(rows: Iterable[Line], path: Path) -> None:
    import gzip

    with contextlib.ExitStack() as stack:
        out = stack.enter_context(stack.enter_context(atomic_file(path)).open("wb"))
        if path.suffix == ".gz":
            # Level 6 takes a fraction of the time of 9 for a few per cent more bytes. Without a time in the header,
            # the same rows give the same bytes.
            out = stack.enter_context(gzip.GzipFile("", "wb", 6, out, 0))
        out.writelines((row.json() + "\n").encode() for row in rows)


def _parquet(rows: Iterable[Line], path: Path) -> None:
    import pyarrow.parquet as pq

    with atomic_file(path) as part, pq.ParquetWriter(part, _ROWS) as out:
        left = iter(rows)
        while some := list(itertools.islice(left, BATCH)):
            out.write_batch(pa.RecordBatch.from_pylist([row._asdict() for row in some], schema=_ROWS))


_TABLES: Mapping[str, Callable[[Iterable[Line], Path], None]] = {"jsonl": _jsonl, "parquet": _parquet}
#: What :func:`write` can write.
FORMATS = ("beir", "jsonl", "parquet", "trec", "arrow")
