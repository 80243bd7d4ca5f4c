"""Read and write CLEF-style TREC collections: tagged documents and topics in several languages, and judgements."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from panglot._errors import PanglotError
from panglot._files import atomic_folder
from panglot.data.collection import Collection, Text
from panglot.data.files import plain_name, read_bytes
from panglot.data.formats import trec
from panglot.data.language import canonical, canonical_or_none

_DOCUMENT = re.compile(r"<DOC>(.*?)</DOC>", re.DOTALL | re.IGNORECASE)
_TOPIC = re.compile(r"<top(?:\s+lang\s*=\s*[\"']?([\w-]+)[\"']?)?\s*>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(
    r"<(?:([A-Za-z]{2})-)?(\w+)[^>]*>(.*?)(?=</|<(?:[A-Za-z]{2}-)?(?:num|title|desc|narr|group)\b|\Z)", re.DOTALL
)
_NUMBER = re.compile(r"^(?:Number:|Topic:)?\s*", re.IGNORECASE)
_TEXTS = ("HEADLINE", "TITLE", "HEAD", "LEAD", "LD", "SUMMARY", "TEXT", "BODY", "TE")


def read(
    folder: Path, *, name: str = "", fields: tuple[str, ...] = ("title",), about: Mapping[str, str] | None = None
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
        about: What else is known about it.

    Raises:
        PanglotError: A part is missing, a language is not known, or a judgement names what is not there.
    """
    passages = [text for path in _found(folder, "documents") for text in _documents(path, folder / "documents")]
    topics = [text for path in _found(folder, "topics") for text in _topics(path, fields)]
    times = Counter(number for number, _ in topics)
    versions: dict[str, list[Text]] = {}
    for number, text in topics:
        identity = number if times[number] == 1 else f"{text.language}:{number}"
        versions.setdefault(number, []).append(text._replace(id=identity))
    relevance: list[tuple[str, str, int]] = []
    judged: set[str] = set()
    known = {text.id for text in passages}
    for path in sorted(folder.glob("qrels*")):
        for number, grades in trec.read_qrels(path).items():
            for document, grade in grades.items():
                if number not in versions or document not in known:
                    what = f"the topic {number!r}" if number not in versions else f"the document {document!r}"
                    raise PanglotError(f"{what} is not there", file=path, hint="add it, or remove the judgement")
                relevance += [(text.id, document, grade) for text in versions[number]]
            judged.add(number)
    if not judged:
        hint = "add qrels.txt with lines `topic 0 document grade`"
        raise PanglotError("no judgements", file=folder, hint=hint)
    questions = [text for number, found in versions.items() if number in judged for text in found]
    return Collection.build(name or folder.resolve().name, questions, passages, relevance,
                            {"candidates": "passage", **(about or {})})  # fmt: skip


def write(collection: Collection, folder: Path) -> None:
    """Write a collection so that :func:`read` gives it back, with one file of documents and one of topics per language.

    Raises:
        PanglotError: An id holds a blank, or the place cannot be written.
    """
    ids = [table["id"].to_pylist() for table in (collection.questions, collection.passages)]
    qrels: dict[str, dict[str, int]] = {}
    for row in collection.relevance.to_pylist():
        qrels.setdefault(ids[0][row["question"]], {})[ids[1][row["passage"]]] = row["grade"]
    with atomic_folder(folder) as part:
        (part / "documents").mkdir()
        (part / "topics").mkdir()
        _write(part / "documents", collection.passages.to_pylist(), _DOC)
        _write(part / "topics", (row for row in collection.questions.to_pylist() if row["id"] in qrels), _TOP)
        trec.write_qrels(part / "qrels.txt", qrels)


_DOC = "<DOC>\n<DOCNO>{id}</DOCNO>\n<LANG>{language}</LANG>\n<GROUP>{group}</GROUP>\n<TEXT>{text}</TEXT>\n</DOC>\n"
_TOP = '<top lang="{language}">\n<num>{id}</num>\n<group>{group}</group>\n<title>{text}</title>\n</top>\n'


def _write(folder: Path, rows: Iterable[dict[str, str]], form: str) -> None:
    open_files: dict[str, IO[bytes]] = {}
    try:
        for row in rows:
            if row["language"] not in open_files:
                open_files[row["language"]] = (folder / f"{row['language']}.xml").open("wb")
            escaped = {key: value if key == "language" else _escaped(value) for key, value in row.items()}
            open_files[row["language"]].write(form.format_map(escaped).encode())
    finally:
        for file in open_files.values():
            file.close()


def _escaped(text: str) -> str:
    """Return the text escaped for an element. Blanks at its ends survive as references."""
    bare = text.strip()
    start = len(text) - len(text.lstrip())
    edges = text[:start], text[start + len(bare) :]
    before, after = ("".join(f"&#{ord(letter)};" for letter in edge) for edge in edges)
    return before + html.escape(bare, quote=False) + after


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", text).strip())


def _documents(path: Path, root: Path) -> Iterator[Text]:
    fallback = _language_of(path.relative_to(root))
    for match in _DOCUMENT.finditer(_decoded(path)):
        body = match[1]
        number = _element(body, "DOCNO") or _element(body, "DOCID")
        text = "\n".join(found for tag in _TEXTS for found in _elements(body, tag) if found.strip())
        code = _element(body, "LANG") or fallback
        for what, value in (("DOCNO", number), ("text", text), ("LANG", code)):
            if not value:
                raise PanglotError(f"document {number!r} has no {what}", file=path, field=what, hint="add it")
        yield Text(number, canonical(code), _element(body, "GROUP") or number, text)


def _topics(path: Path, fields: tuple[str, ...]) -> Iterator[tuple[str, Text]]:
    fallback = _language_of(Path(path.name))
    for match in _TOPIC.finditer(_decoded(path)):
        parts: dict[str, str] = {}
        code = match[1] or ""
        for prefix, tag, text in _TAG.findall(match[2]):
            parts.setdefault(tag.lower(), _plain(text))
            code = code or prefix
        number = _NUMBER.sub("", parts.get("num", "")) or parts.get("identifier", "")
        question = " ".join(parts[field] for field in fields if parts.get(field))
        for what, value in (("num", number), (fields[0], question), ("lang", code or fallback)):
            if not value:
                raise PanglotError(f"topic {number!r} has no {what}", file=path, field=what, hint="add it")
        yield number, Text("", canonical(code or fallback), parts.get("group") or number, question)


def _elements(body: str, tag: str) -> list[str]:
    found = re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", body, re.DOTALL | re.IGNORECASE)
    return [_plain(text) for text in found]


def _element(body: str, tag: str) -> str:
    return next(iter(_elements(body, tag)), "")


def _language_of(place: Path) -> str:
    """Return the language that a folder or the file is named after, or ""."""
    for piece in (*place.parts[:-1], plain_name(place), *re.split(r"[._]", plain_name(place))):
        if re.fullmatch(r"[a-z]{2}(-\w+)*|\w{3}_\w{4}", piece) and (code := canonical_or_none(piece)):
            return code
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
