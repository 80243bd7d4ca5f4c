"""Parquet tables of ``lang``, ``en``, ``target``: GATITOS, Wiktionary and CLDR as they are at hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from panglot._errors import PanglotError
from panglot.augment.entries.entry import Entry
from panglot.corpus.language import canonical
from panglot.corpus.parquet import records


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield the rows of the table, those of the languages ``wanted`` if any are named.

    Raises:
        PanglotError: The file is not Parquet, a column is missing, a cell is no text, or a language is not known.
    """
    codes: dict[str, str] = {}
    for line, row in enumerate(records(path, ("lang", "en", "target")), 1):
        code, english, target = row["lang"], row["en"], row["target"]
        if not (isinstance(code, str) and isinstance(english, str) and isinstance(target, str)):
            raise PanglotError("a cell is not text", file=path, line=line, cure="fill it, or remove the row")
        if code not in codes:
            try:
                codes[code] = canonical(code)
            except PanglotError as error:
                raise PanglotError(error.problem, file=path, line=line, field="lang", cure=error.cure) from error
        if not wanted or codes[code] in wanted:
            yield Entry(codes[code], english, target, line)
