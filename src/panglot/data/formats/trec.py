"""Read and write TREC runs and judgements (qrels), and collections of tagged documents and topics, as CLEF's are."""

from __future__ import annotations

import contextlib
import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from panglot._errors import PanglotError, located
from panglot._files import atomic_folder, mark_folder, write_text
from panglot.data.collection import MAX_RELEVANCE, Collection, Text
from panglot.data.files import RowError, numbered_lines, read_bytes
from panglot.data.language import canonical
from panglot.data.names import choose, pieces_of
from panglot.data.rows import set_aside

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]

_DOCUMENT = re.compile(r"<DOC>(.*?)</DOC>", re.DOTALL | re.IGNORECASE)
_TOPIC = re.compile(r"<top(?:\s+lang\s*=\s*[\"']?([\w-]+)[\"']?)?\s*>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(
    r"<(?:([A-Za-z]{2})-)?(\w+)[^>]*>(.*?)(?=</|<(?:[A-Za-z]{2}-)?(?:num|title|desc|narr|group)\b|\Z)", re.DOTALL
)
_NUMBER = re.compile(r"^(?:Number:|Topic:)?\s*", re.IGNORECASE)
_START = 20_000  # characters of a file from which its language is detected
_TEXTS = ("HEADLINE", "TITLE", "HEAD", "LEAD", "LD", "SUMMARY", "TEXT", "BODY", "TE")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read lines ``question 0 passage relevance``: the relevance of each judged passage by question.

    Raises:
        PanglotError: A line has another shape, or two lines judge a pair differently.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for line, (question, _, passage, relevance) in _fields(path, 4, "question 0 passage relevance"):
        with located(file=path, line=line):
            value = whole_number(relevance, "relevance")
            first, before = found.setdefault(question, {}).setdefault(passage, (line, value))
            if before != value:
                raise judged_twice(question, passage, (first, before), value)
    return {question: {passage: value for passage, (_, value) in judged.items()} for question, judged in found.items()}


def whole_number(text: str, field: str) -> int:
    """Return a whole number of at most 16 bits, which may have zeros behind a point.

    >>> whole_number("2", "relevance"), whole_number("1.0", "relevance")
    (2, 1)
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value.is_integer() and abs(value) <= MAX_RELEVANCE):
        problem = f"expected a whole number of at most {MAX_RELEVANCE:,}, got {text!r}"
        raise PanglotError(problem, field=field, hint="write 0, 1 or more")
    return int(value)


def judged_twice(question: str, passage: str, first: tuple[int, int], relevance: int) -> PanglotError:
    """Return the error for a pair that an earlier line, ``(line, relevance)``, judges otherwise."""
    problem = f"{question} and {passage} come twice: judged {first[1]} in line {first[0]}, and {relevance} here"
    return PanglotError(problem, hint="remove one of the two lines")


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements, atomically.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    _write_lines(path, ((q, "0", p, str(relevance)) for q, judged in qrels.items() for p, relevance in judged.items()))


def read_ranked(
    path: Path,
) -> tuple[dict[str, dict[str, float]], dict[tuple[str, str], int], dict[tuple[str, str], float], set[str]]:
    """Read lines ``question Q0 passage rank score name``.

    Returns:
        The score of each passage by question, which does not depend on the ranks, as in trec_eval. The line and the
        rank of each pair. The names of the run.

    Raises:
        PanglotError: A line has another shape, a score is not a finite number, or a passage comes twice.
    """
    found: dict[str, dict[str, float]] = {}
    lines: dict[tuple[str, str], int] = {}
    ranks: dict[tuple[str, str], float] = {}
    names: set[str] = set()
    for line, (question, _, passage, rank, score, name) in _fields(path, 6, "question Q0 passage rank score name"):
        for field, text in (("rank", rank), ("score", score)):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                problem = f"expected a finite number, got {text!r}"
                raise PanglotError(problem, file=path, line=line, field=field, hint="correct it")
        if (first := lines.get((question, passage))) is not None:
            problem = f"{question} and {passage} come twice, first in line {first}"
            raise PanglotError(problem, file=path, line=line, hint="remove one of the two lines")
        found.setdefault(question, {})[passage] = float(score)
        lines[question, passage], ranks[question, passage] = line, float(rank)
        names.add(name)
    return found, lines, ranks, names


def write_run(path: Path, run: Run, *, name: str = "panglot") -> None:
    """Write a run, best first; equal scores by passage id, ascending. Scores read back bit for bit.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    rows = (
        (question, "Q0", passage, str(rank), repr(float(score)), name)
        for question, scores in run.items()
        for rank, (passage, score) in enumerate(sorted(scores.items(), key=lambda item: (-item[1], item[0])), 1)
    )
    _write_lines(path, rows)


def export_ids(collection: Collection) -> tuple[list[str], list[str]]:
    """Return ids of questions and of passages for other tools, in which no question has the id of a passage.

    The beir package takes a hit with the id of its question for the question itself and drops it. If any question has
    the id of a passage, all questions get another one, ``question-`` and their own.
    """
    questions, passages = (table["id"].to_pylist() for table in (collection.questions, collection.passages))
    known = set(passages)
    prefix = "" if known.isdisjoint(questions) else "question-"
    while not known.isdisjoint(prefix + each for each in questions):
        prefix += "-"
    return [prefix + each for each in questions], passages


def _fields(path: Path, number: int, shape: str) -> Iterable[tuple[int, list[str]]]:
    for line, text in numbered_lines(path):
        parts = text.split()
        if len(parts) != number:
            problem = f"expected {number} columns, got {len(parts)}"
            raise PanglotError(problem, file=path, line=line, hint=f"write `{shape}`")
        yield line, parts


def _write_lines(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    lines: list[str] = []
    for row in rows:
        for value in row:
            if not value or value.split() != [value]:
                problem = f"the id {value!r} is empty or holds a blank, which ends a column of TREC"
                raise PanglotError(problem, file=path, field="id", hint="give the collection ids without blanks")
        lines.append(" ".join(row) + "\n")
    write_text(path, "".join(lines))


def read(
    folder: Path,
    *,
    name: str = "",
    fields: tuple[str, ...] = ("title",),
    metadata: Mapping[str, str] | None = None,
    language: str | None = None,
    rejected: list[RowError] | None = None,
) -> Collection:
    """Read ``documents/``, ``topics/`` and ``qrels*.txt``.

    Documents are files of ``<DOC>`` with ``<DOCNO>``. Title and text elements are joined by line ends. Their language
    is that of the element ``<LANG>``, else of their folder or file (``documents/de/…``, ``documents/de.sgml``).

    Topics are files of ``<top>`` with ``<num>``. Their language is that of the ``lang`` attribute, of the tags
    (``<DE-title>``), or of the file (``topics/de.txt``). Topics of one number are versions of one question. Each
    judgement of the number counts for all of them, for documents of all languages.

    Judgements may be in several files. Files that are not UTF-8 are read as Windows-1252, like CLEF's newspapers.

    Args:
        folder: The folder that holds them.
        name: What tables call it. By default it is the folder's name.
        fields: Which parts of a topic make the question: ``title``, ``desc``, ``narr``.
        metadata: What else is known about it.
        language: The language of documents and topics that name none, whatever folders and files are called.
        rejected: A list to which documents, topics and judgements are added that cannot be used, instead of an error.

    Raises:
        PanglotError: A part is missing, a language is not known, or a judgement names what is not there.
    """
    given = canonical(language) if language else ""
    roots = folder / "documents", folder / "topics"
    passages = [text for path in _found(folder, "documents") for text in _documents(path, roots[0], given, rejected)]
    topics = [text for path in _found(folder, "topics") for text in _topics(path, roots[1], fields, given, rejected)]
    times = Counter(number for number, _ in topics)
    versions: dict[str, list[Text]] = {}
    for number, text in topics:
        identity = number if times[number] == 1 else f"{text.language}:{number}"
        versions.setdefault(number, []).append(text._replace(id=identity))
    qrels: list[tuple[str, str, int]] = []
    judged: set[str] = set()
    known = {text.id for text in passages}
    for path in sorted(folder.glob("qrels*")):
        for number, relevances in read_qrels(path).items():
            for document, relevance in relevances.items():
                if number not in versions or document not in known:
                    what = f"the topic {number!r}" if number not in versions else f"the document {document!r}"
                    hint = "add it, or remove the judgement"
                    set_aside(PanglotError(f"{what} is not there", file=path, hint=hint), rejected)
                    continue
                qrels += [(text.id, document, relevance) for text in versions[number]]
            judged.add(number)
    if not judged:
        raise PanglotError("no judgements", file=folder, hint="add qrels.txt with lines `topic 0 document relevance`")
    questions = [text for number, found in versions.items() if number in judged for text in found]
    return Collection.build(name or folder.resolve().name, questions, passages, qrels,
                            {"candidates": "passage", **(metadata or {})})  # fmt: skip


def write(collection: Collection, folder: Path) -> None:
    """Write a collection so that :func:`read` gives it back, with one file of documents and one of topics per language.

    Questions get the ids of :func:`export_ids`.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    ids = export_ids(collection)
    qrels: dict[str, dict[str, int]] = {}
    for row in collection.qrels.to_pylist():
        qrels.setdefault(ids[0][row["question"]], {})[ids[1][row["passage"]]] = row["relevance"]
    with atomic_folder(folder) as part:
        mark_folder(part, "trec")
        (part / "documents").mkdir()
        (part / "topics").mkdir()
        _write_by_language(part / "documents", collection.passages.to_pylist(), _DOC)
        questions = zip(ids[0], collection.questions.to_pylist(), strict=True)
        judged = ({**row, "id": identity} for identity, row in questions if identity in qrels)
        _write_by_language(part / "topics", judged, _TOP)
        write_qrels(part / "qrels.txt", qrels)


_DOC = "<DOC>\n<DOCNO>{id}</DOCNO>\n<LANG>{language}</LANG>\n<GROUP>{group}</GROUP>\n<TEXT>{text}</TEXT>\n</DOC>\n"
_TOP = '<top lang="{language}">\n<num>{id}</num>\n<group>{group}</group>\n<title>{text}</title>\n</top>\n'


def _write_by_language(folder: Path, rows: Iterable[dict[str, str]], form: str) -> None:
    open_files: dict[str, IO[bytes]] = {}
    with contextlib.ExitStack() as stack:
        for row in rows:
            code = row["language"]
            if code not in open_files:
                open_files[code] = stack.enter_context((folder / f"{code}.xml").open("wb"))
            escaped = {key: value if key == "language" else _escaped(value) for key, value in row.items()}
            open_files[code].write(form.format_map(escaped).encode())


def _escaped(text: str) -> str:
    """Return the text escaped for an element. Blanks at its ends survive as references."""
    bare = text.strip()
    start = len(text) - len(text.lstrip())
    edges = text[:start], text[start + len(bare) :]
    before, after = ("".join(f"&#{ord(letter)};" for letter in edge) for edge in edges)
    return before + html.escape(bare, quote=False) + after


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", text).strip())


def _documents(path: Path, root: Path, given: str, rejected: list[RowError] | None) -> Iterator[Text]:
    whole = _decoded(path)
    fallback = given or _language_of(path.relative_to(root), _plain(whole[:_START]))
    for match in _DOCUMENT.finditer(whole):
        body = match[1]
        number = _element(body, "DOCNO") or _element(body, "DOCID")
        text = "\n".join(found for tag in _TEXTS for found in _elements(body, tag) if found.strip())
        code = _element(body, "LANG") or fallback
        try:
            language = _complete(f"document {number!r}", {"DOCNO": number, "text": text, "LANG": code}, path)
        except PanglotError as error:
            set_aside(error, rejected)
        else:
            yield Text(number, language, _element(body, "GROUP") or number, text)


def _topics(
    path: Path, root: Path, fields: tuple[str, ...], given: str, rejected: list[RowError] | None
) -> Iterator[tuple[str, Text]]:
    whole = _decoded(path)
    fallback = given or _language_of(path.relative_to(root), _plain(whole[:_START]))
    for match in _TOPIC.finditer(whole):
        parts: dict[str, str] = {}
        code = match[1] or ""
        for prefix, tag, text in _TAG.findall(match[2]):
            parts.setdefault(tag.lower(), _plain(text))
            code = code or prefix
        number = _NUMBER.sub("", parts.get("num", "")) or parts.get("identifier", "")
        question = " ".join(parts[field] for field in fields if parts.get(field))
        try:
            found = {"num": number, fields[0]: question, "lang": code or fallback}
            language = _complete(f"topic {number!r}", found, path)
        except PanglotError as error:
            set_aside(error, rejected)
        else:
            yield number, Text("", language, parts.get("group") or number, question)


def _complete(name: str, found: Mapping[str, str], path: Path) -> str:
    """Return the canonical language, the last of what a text must have, or raise what is missing or wrong."""
    for what, value in found.items():
        if not value:
            raise PanglotError(f"{name} has no {what}", file=path, field=what, hint="add it")
    what, code = list(found.items())[-1]
    with located(file=path, field=what):
        return canonical(code)


def _elements(body: str, tag: str) -> list[str]:
    return [_plain(text) for text in re.findall(rf"(?is)<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", body)]


def _element(body: str, tag: str) -> str:
    return next(iter(_elements(body, tag)), "")


def _language_of(place: Path, text: str) -> str:
    """Return the language that a folder or the file is named after and the text does not contradict, or ""."""
    with contextlib.suppress(PanglotError):
        return choose(place, text).language if pieces_of(place) else ""
    return ""


def _found(folder: Path, part: str) -> list[Path]:
    found = sorted(path for path in (folder / part).rglob("*") if path.is_file())
    if not found:
        raise PanglotError(f"no {part}", file=folder / part, hint="put the publisher's files there")
    return found


def _decoded(path: Path) -> str:
    raw = read_bytes(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
