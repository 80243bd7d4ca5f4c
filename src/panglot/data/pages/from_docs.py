"""Make questions and passages from documents: titles, question headings or first sentences become the questions."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from panglot._errors import PanglotError, located
from panglot.data.convert import Line
from panglot.data.files import cell_delimiter, read_text
from panglot.data.language import canonical
from panglot.data.names import summary
from panglot.data.pages import html, markdown, messages
from panglot.data.pages.sections import Place, Section, place_of, positions
from panglot.data.sentences import sentence_at

#: How a section can become a question and a passage.
WAYS = ("question", "title", "first-sentence")
_ASKS = re.compile(r"[?？؟՞;።]\s*$|^¿")
_GREEK_ASKS = "el"
_COLUMNS = ("title", "text", "language", "group")
# A cell may be a whole article, and the module's own limit is 131,072 characters.
_LONGEST_CELL = 1 << 30
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


def read(
    paths: Iterable[str | Path],
    *,
    language: str | None = None,
    ways: Sequence[str] = ("title", "first-sentence"),
    shortest: int = 40,
    columns: Mapping[str, str] | None = None,
) -> Made:
    """Read HTML, Markdown, PO, XLIFF, CSV or TSV files, or all such files in folders, and return rows.

    A section is a heading with the text up to the next one. It becomes one row by the first of ``ways`` that fits, and
    the same way is used in all its languages:

    - ``question``: the heading, if it is a question.
    - ``title``: the heading, after the page's title if several sections of a language share the heading.
    - ``first-sentence``: the first sentence asks, the rest answers.

    There is one row per section. Two would have nearly the same passage, and be each other's wrong answers.

    Versions of a page are tied by the path without its language (``en/page.html`` and ``de/page.html``,
    ``page.de.md``). Their sections are tied by anchor, or by place if both versions have headings of the same levels.
    Versions that differ stay apart. PO and XLIFF files are parallel by themselves.

    Args:
        paths: Files and folders.
        language: Language of all files, whatever they and their names say. A ``language`` column wins, and of PO and
            XLIFF it is that of the source. Without it the language is what a file states, or what its path says if
            the text does not contradict it, or else what the text looks like.
        ways: Some of :data:`WAYS`, in order of preference.
        shortest: Minimum length of a passage in characters.
        columns: For CSV and TSV: the columns for ``title``, ``text``, ``language`` and ``group``.

    Raises:
        PanglotError: A file cannot be read, its language is not known, or no row is left.
    """
    for way in ways:
        if way not in WAYS:
            raise PanglotError(f"unknown way {way!r}", field="ways", hint=f"choose one of {', '.join(WAYS)}")
    guesses: list[tuple[Path, str]] = []
    left_out = Counter[str]()
    found: list[Section] = []
    for path in _files(paths):
        found += _sections(path, replace(place_of(path, language), notes=guesses, left_out=left_out), columns or {})
    found = _once(found)
    groups = _tied(found)
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
    dropped = {why: number for why, number in left_out.items() if number}
    return Made(tuple(rows), dict(made), tied, dropped, tuple(summary(guesses)))


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
_ENDINGS = {
    "html": html.sections, "htm": html.sections, "xhtml": html.sections,
    "md": markdown.sections, "markdown": markdown.sections,
    "po": messages.po, "xlf": messages.xliff, "xliff": messages.xliff,
}  # fmt: skip
_TABLES = ("csv", "tsv")
_KNOWN = "give .html, .md, .po, .xlf, .csv or .tsv files"


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if _ending(file) in (*_ENDINGS, *_TABLES)]
            if not inside:
                raise PanglotError("the folder has no documents", file=path, hint=_KNOWN)
            yield from inside
        elif _ending(path) in (*_ENDINGS, *_TABLES):
            yield path
        else:
            raise PanglotError("unknown kind of document", file=path, hint=_KNOWN)


def _ending(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2].lower()


def _sections(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[Section]:
    if _ending(path) in _TABLES:
        yield from _rows(path, place, columns)
    else:
        reader: Callable[[Path, Place], Iterator[Section]] = _ENDINGS[_ending(path)]
        yield from reader(path, place)


def _rows(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[Section]:
    """Yield a section per row of a CSV or TSV file. Its anchor is the ``group`` column."""
    rows: list[tuple[int, dict[str, str]]] = []
    for line, values in _cells(path, place, columns):
        if values["text"]:
            rows.append((line, values))
        else:
            place.left_out["rows without a text"] += 1
    # What a row states is about this row alone. The others are in the language of the table.
    sample = " ".join(f"{each['title']} {each['text']}" for _, each in rows[:_SAMPLE] if not each["language"])
    page, language = place.settle(path, "", sample) if any(not each["language"] for _, each in rows) else ("", "")
    for line, values in rows:
        code = values["language"]
        with located(file=path, line=line, field=columns.get("language", "language")):
            stated = canonical(code) if code else language
        # If one table holds all languages, its rows are tied whatever the table is called.
        yield Section(place.whole if code else page, stated, values["group"], 2, values["title"], values["text"], "")


def _cells(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line of each row, and its cells by their role."""
    if wrong := sorted(set(columns) - set(_COLUMNS)):
        hint = f"use {', '.join(_COLUMNS)}"
        raise PanglotError(f"unknown role of a column: {wrong[0]!r}", field="columns", hint=hint)
    csv.field_size_limit(_LONGEST_CELL)
    text = read_text(path)
    usual = "\t" if _ending(path) == "tsv" else ","
    delimiter = cell_delimiter(text.partition("\n")[0], usual, {columns.get(role, role) for role in {"text", *columns}})
    if delimiter != usual:
        place.notes.append((path, f"cells are separated by {delimiter!r}"))
    # Without `strict`, a quotation mark that is never closed makes the rest of the file one cell.
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        there = reader.fieldnames or []
        for role in {"text", *columns}:
            if columns.get(role, role) not in there:
                problem, hint = f"there is no such column (there are: {', '.join(there)})", f"`--column {role}=NAME`"
                field = columns.get(role, role)
                raise PanglotError(problem, file=path, field=field, hint=f"name the column: {hint}")
        line = reader.line_num + 1
        for row in reader:
            if None in row:
                problem = "the row has more cells than there are columns"
                raise PanglotError(problem, file=path, line=line, hint="quote the cells")
            yield line, {role: (row.get(columns.get(role, role)) or "").strip() for role in _COLUMNS}
            line = reader.line_num + 1
    except csv.Error as error:
        hint = 'close each quotation mark, and write one inside a cell twice ("")'
        raise PanglotError(
            f"the row that begins here cannot be read ({error})", file=path, line=line, hint=hint
        ) from None


def _once(found: Sequence[Section]) -> list[Section]:
    """Return the sections, with the source of several translations only once.

    Files that are translated to different degrees give different parts of a source. The longest is kept.
    """
    longest: dict[tuple[str, str, str], Section] = {}
    for section in found:
        if section.translated:
            known = longest.setdefault((section.page, section.language, section.anchor), section)
            if len(section.text) > len(known.text):
                longest[section.page, section.language, section.anchor] = section
    kept = set(map(id, longest.values()))
    return [section for section in found if not section.translated or id(section) in kept]


def _by_group(versions: Mapping[str, Sequence[Section]]) -> dict[str, list[Section]]:
    """Return the rows of a table by group. A row without a group, or not alone in it and its language, stays alone."""
    found: dict[str, list[Section]] = defaultdict(list)
    for language, sections in versions.items():
        times = Counter(section.anchor for section in sections)
        for number, section in enumerate(sections, 1):
            alone = not section.anchor or times[section.anchor] > 1
            found[f"@{language}.{number}" if alone else section.anchor].append(section)
    return found


def _tied(found: Sequence[Section]) -> dict[str, list[Section]]:
    """Return the versions of each section, by the name of their group."""
    pages: dict[str, dict[str, list[Section]]] = defaultdict(lambda: defaultdict(list))
    for section in found:
        pages[section.page][section.language].append(section)
    groups: dict[str, list[Section]] = defaultdict(list)
    # A group's name must not depend on where the documents are on this machine.
    shared = os.path.commonpath([Path(page).parent for page in pages]) if pages else ""
    for page, versions in pages.items():
        name = Path(page).relative_to(shared).as_posix()
        # Rows of a table are translations only if it says so: rows of two languages may have equal numbers by chance.
        tie = _by_group if _ending(Path(page)) in _TABLES else positions
        for key, members in tie(versions).items():
            groups[f"{name}#{key}"] += members
    return groups
