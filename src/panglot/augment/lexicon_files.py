"""Read the files of lexicons: Parquet, tables, FreeDict's TEI and PanLex's dump."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError, first_line
from panglot.data.columns import pc
from panglot.data.files import BOM, local_name, numbered_lines, opened, read_xml
from panglot.data.language import canonical_or_none
from panglot.data.rows import parquet_records

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: The kinds of files that :func:`entries` reads, for messages.
KINDS = (
    "a table .tsv, .csv or .txt named after its languages (en-sw.tsv) or with their codes in the first line, MUSE's "
    "en-xx.txt, FreeDict's .tei, a folder of PanLex's dump, or Parquet with the columns lang, en, target"
)
_COLUMNS = ("lang", "en", "target")
_PANLEX_FILES = ("langvar.csv", "expr.csv", "denotation.csv")
_PANLEX_CODE = re.compile(r"([a-z]{3})-\d{3}")
_CODE_HINT = "write a code such as sw"
_OF_ROWS = frozenset({"passage", "question", "text"})
_LONGEST_HEADER = 1 << 16  # bytes

_Row = tuple[int, Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """An English word or phrase and its translation, as the file has them. A format without lines has line 0."""

    language: str
    english: str
    target: str
    line: int = 0


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield the entries of a file or folder (:data:`KINDS`), in its order, in ``wanted`` languages (empty: in all)."""
    if path.is_dir():
        yield from _panlex_entries(path, wanted)
        return
    reader = _READERS.get(_ending(path))
    if reader is None:
        raise PanglotError("unknown kind of lexicon", file=path, field="lexicons", hint=f"give {KINDS}")
    yield from (entry for entry in reader(path, wanted) if not wanted or entry.language in wanted)


def looks_like(path: Path) -> bool:
    """Return whether a path is a lexicon rather than a data set. A table with the columns of rows is a data set."""
    if path.is_dir():
        return (path / _PANLEX_FILES[2]).is_file()
    if _ending(path) != "parquet":
        if _ending(path) not in _READERS or not path.is_file():
            return False
        with opened(path) as stream:
            first = stream.readline(_LONGEST_HEADER).removeprefix(BOM).decode("utf-8", "replace")
        return _OF_ROWS.isdisjoint(re.findall(r"\w+", first))
    import pyarrow.parquet as pq

    try:
        return set(_COLUMNS) <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False


def _ending(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2].lower()


def _code_of(written: str) -> str | None:
    """Return the canonical code of a language, also in PanLex's style, or None.

    >>> _code_of("swh"), _code_of("swh-000"), _code_of("words")
    ('sw', 'sw', None)
    """
    plain = written.strip()
    uid = _PANLEX_CODE.fullmatch(plain)
    return canonical_or_none(uid[1] if uid else plain)


def _pair_of(path: Path) -> tuple[str, bool] | None:
    """Return the language that a file's name pairs with English, and whether English comes first, or None.

    >>> _pair_of(Path("en-fr.0-5000.txt")), _pair_of(Path("deu-eng.tei")), _pair_of(Path("en-zh-Hant.tsv"))
    (('fr', True), ('de', False), ('zh-Hant', True))
    """
    pieces = re.split("[-_]", path.name.split(".", 1)[0])
    for english, others, first in ((pieces[0], pieces[1:], True), (pieces[-1], pieces[:-1], False)):
        if others and _code_of(english) == "en" and (language := _code_of("-".join(others))) not in (None, "en"):
            return language, first
    return None


def _no_pair(path: Path) -> PanglotError:
    hint = "name it after them, English among them (en-sw.tsv), or write their codes into the first line"
    return PanglotError("the languages of this lexicon are not known", file=path, field="language", hint=hint)


def _parquet_entries(path: Path, _: Collection[str]) -> Iterator[Entry]:
    return _long_entries(path, _parquet_rows(path), range(len(_COLUMNS)))


def _parquet_rows(path: Path) -> Iterator[_Row]:
    for line, row in enumerate(parquet_records(path, _COLUMNS), 1):
        cells = [cell for name in _COLUMNS if isinstance(cell := row[name], str)]
        if len(cells) < len(_COLUMNS):
            raise PanglotError("a cell is not text", file=path, line=line, hint="fill it, or remove the row")
        yield line, cells


def _table_entries(path: Path, _: Collection[str]) -> Iterator[Entry]:
    """Yield the entries of a table with columns parted by tabs, in ``.csv`` by commas, else by the first blank (MUSE).

    There are three layouts. A file named after its two languages (``en-sw.txt``, ``eng-swh.tsv``, ``sw-en.csv``) has
    their words in two columns, and further columns are skipped. A first line ``lang, en, target`` heads one row per
    translation. A first line of language codes, also PanLex's (``eng-000``), heads one column per language, English
    among them. An empty translation is left out.
    """
    rows = _rows(path)
    head = next(rows, None)
    if head is None:
        return
    names = [cell.strip().lower() for cell in head[1]]
    if set(_COLUMNS) <= set(names):
        yield from _long_entries(path, rows, [names.index(name) for name in _COLUMNS])
    elif pair := _pair_of(path):
        yield from _pair_entries(path, chain([head], rows), *pair)
    else:
        yield from _wide_entries(path, rows, head)


def _pair_entries(path: Path, rows: Iterable[_Row], language: str, english_first: bool) -> Iterator[Entry]:
    order = (0, 1) if english_first else (1, 0)
    for line, cells in rows:
        if len(cells) < 2:
            text = " ".join(cells)
            shown = text if len(text) <= 40 else text[:39] + "…"
            hint = "write a word and its translation, with a tab or a blank between them"
            raise PanglotError(f"expected two columns, got one: {shown!r}", file=path, line=line, hint=hint)
        # Some lists begin with the names of their columns.
        if line == 1 and _code_of(cells[order[0]]) == "en" and _code_of(cells[order[1]]) == language:
            continue
        english, target = (cells[place].strip() for place in order)
        if english and target:
            yield Entry(language, english, target, line)


def _long_entries(path: Path, rows: Iterable[_Row], places: Sequence[int]) -> Iterator[Entry]:
    codes: dict[str, str | None] = {}
    for line, cells in rows:
        if len(cells) <= max(places):
            problem = f"expected {max(places) + 1} columns, got {len(cells)}"
            raise PanglotError(problem, file=path, line=line, hint="fill the line")
        written, english, target = (cells[place].strip() for place in places)
        code = codes[written] if written in codes else codes.setdefault(written, _code_of(written))
        if code is None:
            problem = f"unknown language code {written!r}"
            raise PanglotError(problem, file=path, line=line, field="lang", hint=_CODE_HINT)
        if english and target:
            yield Entry(code, english, target, line)


def _wide_entries(path: Path, rows: Iterable[_Row], head: _Row) -> Iterator[Entry]:
    codes = [_code_of(cell) for cell in head[1]]
    if "en" not in codes or len(codes) < 2:
        raise _no_pair(path)
    for cell, code in zip(head[1], codes, strict=True):
        if code is None:
            problem = f"unknown language code {cell!r}"
            raise PanglotError(problem, file=path, line=head[0], field=cell, hint=_CODE_HINT)
    source = codes.index("en")
    for line, cells in rows:
        if len(cells) > len(codes):
            problem = f"expected {len(codes)} columns, got {len(cells)}"
            raise PanglotError(problem, file=path, line=line, hint="write one column per language")
        english = cells[source].strip() if len(cells) > source else ""
        for place, (code, cell) in enumerate(zip(codes, cells, strict=False)):
            if place != source and english and cell.strip():
                yield Entry(str(code), english, cell.strip(), line)


def _rows(path: Path) -> Iterator[_Row]:
    for line, text in numbered_lines(path):
        if _ending(path) != "csv":
            yield line, text.split("\t") if "\t" in text else text.split(maxsplit=1)
            continue
        try:
            # A word has no line end in it, so each line is a row.
            yield line, next(csv.reader([text]))
        except csv.Error as error:
            raise PanglotError(f"not CSV: {error}", file=path, line=line, hint="quote the cells") from error


def _tei_entries(path: Path, wanted: Collection[str]) -> Iterator[Entry]:
    """Yield each spelling of each headword with each of its translations.

    ``entry`` has ``form/orth`` and translations in ``cit type="trans"`` (``quote``), in P4 ``trans`` (``tr``).
    Translations of examples are left out. The file's name has the languages (``eng-swh.tei``, ``deu-eng.tei``).
    """
    pair = _pair_of(path)
    if pair is None:
        raise _no_pair(path)
    language, english_first = pair
    if wanted and language not in wanted:
        return
    articles = [element for element in read_xml(path).iter() if local_name(element) == "entry"]
    if not articles:
        raise PanglotError("the file has no <entry>", file=path, hint="give a dictionary in FreeDict's TEI")
    for article in articles:
        forms = (form for form in article if local_name(form) == "form")
        words = [_text(orth) for form in forms for orth in form.iter() if local_name(orth) == "orth"]
        for word, translation in product(words, _translations(article)):
            if word and translation:
                yield Entry(language, *((word, translation) if english_first else (translation, word)))


def _translations(element: Element) -> Iterator[str]:
    for child in element:
        name = local_name(child)
        if name == "cit" and child.get("type", "") in ("trans", "translation"):
            yield from (_text(quote) for quote in child if local_name(quote) == "quote")
        elif name == "trans":
            yield from (_text(word) for word in child if local_name(word) == "tr")
        elif name in ("sense", "entry", "hom", "re", "gramGrp"):
            yield from _translations(child)


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _panlex_entries(folder: Path, wanted: Collection[str]) -> Iterator[Entry]:
    """Yield the translations of English expressions in PanLex's dump, those that most meanings attest first.

    An expression of English and one of another language translate each other if they denote one meaning of a source.
    Only the main variety of each language is read (``var_code`` 0). The files have millions of rows and are read in
    pieces, but what is kept is in memory, so it is best to name the languages.
    """
    languages: dict[int, str] = {}
    columns = {"id": pa.int64(), "lang_code": pa.string(), "var_code": pa.int64()}
    for batch in _batches(folder / _PANLEX_FILES[0], columns):
        for number, written, variety in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            code = _code_of(written) if variety == 0 else None
            if code is not None and (code == "en" or not wanted or code in wanted):
                languages[number] = code
    texts: dict[int, tuple[str, str]] = {}
    columns = {"id": pa.int64(), "langvar": pa.int64(), "txt": pa.string()}
    for batch in _batches(folder / _PANLEX_FILES[1], columns, keep=("langvar", languages)):
        for number, variety, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            texts[number] = (languages[variety], text)
    for (source, target), _ in sorted(_attested(folder, texts).items(), key=lambda pair: (-pair[1], pair[0])):
        language, word = texts[target]
        yield Entry(language, texts[source][1], word)


def _attested(folder: Path, texts: dict[int, tuple[str, str]]) -> Counter[tuple[int, int]]:
    """Return how many meanings attest each pair of an English expression and one of another language."""
    columns = {"meaning": pa.int64(), "expr": pa.int64()}
    found = [
        np.stack([column.to_numpy() for column in batch.columns])
        for batch in _batches(folder / _PANLEX_FILES[2], columns, keep=("expr", texts))
    ]
    meaning, expression = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
    order = np.argsort(meaning, kind="stable")
    cuts = np.flatnonzero(np.diff(meaning[order])) + 1
    pairs = Counter[tuple[int, int]]()
    for members in np.split(expression[order], cuts):
        numbers: list[int] = members.tolist()
        others = [number for number in numbers if texts[number][0] != "en"]
        pairs.update((source, target) for source in numbers if texts[source][0] == "en" for target in others)
    return pairs


def _batches(path: Path, columns: dict[str, Any], keep: tuple[str, Iterable[int]] | None = None) -> Iterator[Any]:
    """Yield batches of some columns, with only the rows whose value in one column is to be kept."""
    from pyarrow import csv as arrow_csv

    values = pa.array(list(keep[1]), pa.int64()) if keep else None
    options = arrow_csv.ConvertOptions(column_types=columns, include_columns=list(columns), strings_can_be_null=False)
    try:
        with arrow_csv.open_csv(path, convert_options=options) as reader:
            for batch in reader:
                yield batch.filter(pc.is_in(batch[keep[0]], value_set=values)) if keep else batch
    except FileNotFoundError as error:
        hint = f"unpack {', '.join(_PANLEX_FILES)}"
        raise PanglotError("the PanLex folder lacks this file", file=path, hint=hint) from error
    except (pa.ArrowException, OSError, KeyError) as error:
        problem = f"not a table of PanLex: {first_line(error)}"
        raise PanglotError(problem, file=path, hint="download and unpack it again") from error


_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Entry]]] = {
    "parquet": _parquet_entries, "tei": _tei_entries, "xml": _tei_entries,
    **dict.fromkeys(("txt", "tsv", "tab", "csv"), _table_entries),
}  # fmt: skip
