"""Make questions and passages from documents: titles, question headings or first sentences become the questions."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from panglot._environment import require
from panglot._errors import PanglotError, located
from panglot.data.convert import Line
from panglot.data.files import TABLES, ending_of
from panglot.data.language import canonical
from panglot.data.letters import LONE_SURROGATE
from panglot.data.names import summary
from panglot.data.pages import html, messages
from panglot.data.pages.sections import DOUBTFUL, Place, Section, place_of, tie
from panglot.data.pages.text import pdf_sections, rst_sections, text_section
from panglot.data.rows import DOCUMENT_FIELDS, as_text, document_rows, name_language
from panglot.data.sentences import sentence_at

#: How a section can become a question and a passage.
WAYS = ("question", "title", "first-sentence")
_ASKS = re.compile(r"[?？؟՞;።]\s*$|^¿")
_GREEK_ASKS = "el"
_LARGEST = 1 << 28  # bytes of a file in a folder
_SAMPLE = 50  # rows from which the language of a table is detected

_Times = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Made:
    """Rows made of documents, one per section and language."""

    rows: tuple[Line, ...]
    ways: Mapping[str, int]  # number of groups by the way in which they were made
    tied: int  # number of groups with versions in more than one language
    left_out: Mapping[str, int]  # number of sections that gave no row, by reason
    notes: tuple[str, ...]  # what was guessed


class Sections(NamedTuple):
    """Sections of documents, with those that are versions of one another in one group."""

    groups: Mapping[str, Sequence[Section]]  # by name, at most one section for each language
    left_out: Mapping[str, int]  # number of sections that were left out, by reason
    notes: Sequence[str]  # what was guessed


def has_pages(path: Path) -> bool:
    """Return whether a path is a page or a folder with pages, by the names of files."""
    return any(ending_of(each) in _PAGES for each in (_inside(path, Counter()) if path.is_dir() else [path]))


def sections(
    paths: Iterable[str | Path],
    *,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    lenient: bool = False,
) -> Sections:
    """Return the sections of documents. See :func:`read` for what is read and what the parameters mean.

    With ``lenient``, files of a folder that cannot be read are left out and counted, and a text decides on its language
    however doubtful it is.
    """
    guesses: list[tuple[Path, str]] = []
    left_out = Counter[str]()
    detected = Counter[str]() if lenient else None
    found: list[Section] = []
    given = [Path(path) for path in paths]
    with located(field="language"):
        language = canonical(language) if language else None
    folders = [path if path.is_dir() else path.parent for path in given]
    # Relative and absolute paths have no folder in common, and neither have two drives.
    alike = len({(path.is_absolute(), path.drive) for path in folders}) == 1
    root = Path(os.path.commonpath(folders)) if alike else None
    for path in _files(given, left_out):
        place = replace(place_of(path, language, root), notes=guesses, left_out=left_out, detected=detected)
        try:
            ending = ending_of(path)
            read_now = _PAGES[ending](path, place) if ending in _PAGES else _rows(path, place, columns or {})
            found += [replace(section, file=path, number=number) for number, section in enumerate(read_now, 1)]
        except PanglotError as error:
            if not lenient or path in given:
                raise
            left_out["files that cannot be read"] += 1
            guesses.append((path, f"left out: {error.problem}" + (f" ({error.hint})" if error.hint else "")))
    notes = summary(guesses)
    if detected:
        doubtful = detected.pop(DOUBTFUL, 0)
        languages = ", ".join(f"{code} {number:,}" for code, number in detected.most_common())
        doubt = f" ({doubtful:,} of them by too little text, or in doubt: see --language)" if doubtful else ""
        notes.append(f"files that do not state their language, by the language that was detected: {languages}{doubt}")
    groups, refused = tie(found, given)
    if refused:
        problem = "pages that declare versions of which two are in one language, so that the declaration is ignored"
        notes.append(f"{problem}: {refused:,}")
    return Sections(groups, left_out, notes)


def read(
    paths: Iterable[str | Path],
    *,
    language: str | None = None,
    ways: Sequence[str] = ("title", "first-sentence"),
    shortest: int = 40,
    columns: Mapping[str, str] | None = None,
) -> Made:
    """Read pages and files of documents, or all of them in folders, and return rows.

    Pages are HTML, Markdown, reStructuredText, text, PDF, PO and XLIFF. Files of documents are CSV, TSV, JSON lines and
    Parquet with the fields that ``panglot index`` takes too. A row is a section, and rows with the same ``group`` are
    its versions.

    A section is a heading with the text up to the next one. It becomes one row by the first of ``ways`` that fits, and
    the same way is used in all its languages:

    - ``question``: the heading, if it is a question.
    - ``title``: the heading, after the page's title if several sections of a language share the heading.
    - ``first-sentence``: the first sentence asks, the rest answers.

    There is one row per section. Two would have nearly the same passage, and be each other's wrong answers.

    Versions of a page are tied by the path without its language (``en/page.html`` and ``de/page.html``,
    ``page.de.md``), or by what they declare: ``group`` or ``translationKey`` of the front matter, or links to each
    other (``<link rel="alternate" hreflang>``). Their sections are tied by anchor, or by place if both versions have
    headings of the same levels. Versions that differ stay apart. PO and XLIFF files are parallel by themselves.

    Args:
        paths: Files and folders.
        language: Language of all files, whatever they and their names say. A ``language`` column wins, and of PO and
            XLIFF it is that of the source. Without it the language is what a file states, or what its path says if
            the text does not contradict it, or else what the text looks like.
        ways: Some of :data:`WAYS`, in order of preference.
        shortest: Minimum length of a passage in characters.
        columns: For files of documents: the names of the columns ``title``, ``text``, ``language`` and ``group``.

    Raises:
        PanglotError: A file cannot be read, its language is not known, or no row is left.
    """
    for way in ways:
        if way not in WAYS:
            raise PanglotError(f"unknown way {way!r}", field="ways", hint=f"choose one of {', '.join(WAYS)}")
    groups, dropped, notes = sections(paths, language=language, columns=columns)
    found = [section for members in groups.values() for section in members]
    left_out = Counter(dropped)
    shared = Counter((s.language, s.title.casefold()) for s in found)
    titled = Counter((s.language, f"{s.page_title}: {s.title}".casefold()) for s in found)
    rows: list[Line] = []
    made = Counter[str]()
    tied = 0
    for group, members in groups.items():
        usable = [s for s in members if len(s.text) >= shortest]
        left_out["too short"] += len(members) - len(usable)
        if not usable:
            continue
        for way in ways:
            pairs = [(s, _WAYS[way](s, shared, titled)) for s in usable]
            some = [(s, pair) for s, pair in pairs if pair is not None and len(pair[1]) >= shortest]
            if some and (len(some) == len(pairs) or way == ways[-1]):
                rows += [Line(group, s.language, question, passage) for s, (question, passage) in some]
                made[way] += 1
                tied += len(some) > 1
                left_out["no question could be made"] += len(pairs) - len(some)
                break
        else:
            left_out["no question could be made"] += len(usable)
    if not rows:
        reasons = ", ".join(f"{number} {why}" for why, number in left_out.items() if number) or "no sections"
        raise PanglotError(f"these documents give no rows ({reasons})", hint="lower `shortest`, or choose other `ways`")
    return Made(
        tuple(rows), dict(made), tied, {why: number for why, number in left_out.items() if number}, tuple(notes)
    )


def _question(section: Section, shared: _Times, titled: _Times) -> tuple[str, str] | None:
    asks = _ASKS.search(section.title)
    if not asks or (asks[0].startswith(";") and section.language != _GREEK_ASKS):
        return None
    return _title(section, shared, titled)


def _title(section: Section, shared: _Times, titled: _Times) -> tuple[str, str] | None:
    if not section.title:
        return None
    if shared[section.language, section.title.casefold()] == 1:
        return section.title, section.text
    whole = f"{section.page_title}: {section.title}"
    alone = section.page_title not in ("", section.title) and titled[section.language, whole.casefold()] == 1
    return (whole, section.text) if alone else None


def _first_sentence(section: Section, *_: object) -> tuple[str, str] | None:
    start, end = sentence_at(section.text, section.language, 0)
    first, rest = section.text[start:end].strip(), section.text[end:].strip()
    return (first, rest) if rest and first else None


_WAYS: Mapping[str, Callable[..., tuple[str, str] | None]] = dict(
    zip(WAYS, (_question, _title, _first_sentence), strict=True)
)
_PAGES: Mapping[str, Callable[[Path, Place], Iterator[Section]]] = {
    "html": html.html_sections, "htm": html.html_sections, "xhtml": html.html_sections,
    "md": html.markdown_sections, "markdown": html.markdown_sections, "rst": rst_sections,
    "po": messages.po, "xlf": messages.xliff, "xliff": messages.xliff,
    "txt": text_section, "text": text_section, "pdf": pdf_sections,
}  # fmt: skip
_KNOWN = "give .html, .md, .rst, .txt, .pdf, .po or .xlf, or documents in .csv, .tsv, .jsonl or .parquet"


def _files(paths: Iterable[Path], left_out: Counter[str]) -> Iterator[Path]:
    for path in paths:
        inside = _inside(path, left_out) if path.is_dir() else [path]
        if not inside:
            reasons = "".join(f", {number:,} {reason}" for reason, number in left_out.items() if number)
            raise PanglotError(f"the folder has no documents{reasons}", file=path, hint=_KNOWN)
        if not path.is_dir() and ending_of(path) not in (*_PAGES, *TABLES, "json"):
            raise PanglotError("unknown kind of document", file=path, hint=_KNOWN)
        if not path.is_dir() and not _is_utf8(path.name):
            raise PanglotError("the name of the file is not UTF-8, and ids are made of it", file=path, hint="rename it")
        endings = set(map(ending_of, inside))
        if "pdf" in endings:
            require("reading PDF", "pypdf", extra="pdf", otherwise="leave PDF files out")
        if "rst" in endings:
            require("reading reStructuredText", "docutils", extra="rst", otherwise="leave .rst files out")
        yield from inside


def _inside(folder: Path, left_out: Counter[str]) -> list[Path]:
    """Return the documents in a folder, sorted. Links to folders, and to files that are there anyway, are left out."""
    found: list[Path] = []
    others = Counter[str]()
    whole = folder.resolve()
    for root, folders, names in os.walk(folder, onerror=lambda _: left_out.update(["folders that cannot be read"])):
        left_out["hidden files and folders"] += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = [name for name in folders if not name.startswith(".")]
        left_out["links to folders"] += sum((Path(root) / name).is_symlink() for name in folders)
        for path in (Path(root) / name for name in names if not name.startswith(".")):
            if ending_of(path) not in (*_PAGES, *TABLES):
                others[path.suffix.lower() or "no ending"] += 1
            elif not _is_utf8(path.relative_to(folder)):
                left_out["files whose names are not UTF-8"] += 1
            elif not path.is_file():
                left_out["links that lead nowhere, pipes and devices"] += 1
            elif path.is_symlink() and path.resolve().is_relative_to(whole):
                left_out["links to files of the folder"] += 1
            elif path.stat().st_size > _LARGEST:
                left_out[f"files of more than {_LARGEST >> 20} MiB"] += 1
            else:
                found.append(path)
    if others:
        kinds = ", ".join(f"{ending} {number:,}" for ending, number in others.most_common(5))
        left_out[f"files of other kinds ({kinds}{', …' if len(others) > 5 else ''})"] += others.total()
    return sorted(found)


def _is_utf8(path: str | Path) -> bool:
    """Return whether a path is text. Python holds other bytes in it as halves of surrogate pairs."""
    return not LONE_SURROGATE.search(str(path))


def _rows(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[Section]:
    """Yield a section per row of a file of documents. Its anchor is the field ``group``."""
    rows: list[tuple[int, dict[str, str], dict[str, Any]]] = []
    for line, raw in document_rows(path, ("text",), columns, lambda note: place.notes.append((path, note))):
        with located(file=path, line=line):
            row = name_language(raw)
            values = {name: (as_text(row.get(name), name) or "").strip() for name in DOCUMENT_FIELDS}
        if values["text"]:
            rows.append((line, values, {name: value for name, value in row.items() if name not in DOCUMENT_FIELDS}))
        else:
            place.left_out["rows without a text"] += 1
    # What a row states is about this row alone. The others are in the language of the table.
    sample = " ".join(f"{each['title']} {each['text']}" for _, each, _ in rows[:_SAMPLE] if not each["language"])
    page, language = place.settle(path, "", sample) if any(not each["language"] for _, each, _ in rows) else ("", "")
    ids = {each["id"] for _, each, _ in rows}
    have_ids = len(ids) == len(rows) and "" not in ids
    for line, values, fields in rows:
        code = values["language"]
        with located(file=path, line=line, field=columns.get("language", "language")):
            stated = canonical(code) if code else language
        # If one table holds all languages, its rows are tied whatever the table is called.
        yield Section(
            place.whole if code else page, stated, values["group"], 2, values["title"], values["text"], "",
            name=values["id"] if have_ids else "", fields=fields,
        )  # fmt: skip
