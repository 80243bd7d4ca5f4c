"""Lexicons from English, for code-switched words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.language import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

#: By language: English words with their translations.
Lexicons = dict[str, dict[str, tuple[str, ...]]]

_COLUMNS = ["lang", "en", "target"]
# Words without a meaning of their own: switching them says nothing about content.
_FUNCTION = (
    "a about after all also an and any are as at be been before but by can could did do does for from had has have he "
    "her his how i if in into is it its many more most much no not of on one or other our out over she should so some "
    "such than that the their them then there these they this those to under up us was we were what when where which "
    "who whom whose why will with would you your"
)
_EMPTY = frozenset(_FUNCTION.split())


def read_lexicons(data_dir: str | Path | None, languages: Sequence[str]) -> Lexicons:
    """Return what the Parquet files in ``data_dir/lexicons`` (columns ``lang, en, target``) hold for languages.

    Single English words that mean something, and translations of one word, of two letters and more. Nothing
    where there is no such folder, under ``data_dir`` or else ``$PANGLOT_DATA``.

    Raises:
        PanglotError: A file is not such a table.
    """
    import pyarrow.parquet as pq

    root = data_dir or os.environ.get("PANGLOT_DATA")
    found: Lexicons = {}
    for path in sorted(Path(root).expanduser().glob("lexicons/*.parquet")) if root else []:
        try:
            codes: list[str] = pq.read_table(path, columns=["lang"])["lang"].unique().to_pylist()
            wanted = {code: name for code in codes if (name := _canonical(code)) in languages}
            rows = pq.read_table(path, columns=_COLUMNS, filters=[("lang", "in", list(wanted))]) if wanted else None
        except (pa.ArrowException, KeyError, OSError) as error:
            raise PanglotError(
                f"not a lexicon: {str(error).splitlines()[0]}", file=path, hint="write the columns lang, en, target"
            ) from error
        for row in rows.to_pylist() if rows is not None else []:
            _add(found.setdefault(wanted[row["lang"]], {}), str(row["en"] or ""), str(row["target"] or ""))
    return found


def _canonical(code: str) -> str:
    # A lexicon may know languages that have no code.
    try:
        return canonical(code)
    except PanglotError:
        return ""


def _add(words: dict[str, tuple[str, ...]], english: str, target: str) -> None:
    plain, target = english.strip().lower(), target.strip()
    usable = plain not in _EMPTY and len(plain) > 2 and plain.isalpha() and len(target) > 1 and _one_word(target)
    if usable and target not in words.get(plain, ()):
        words[plain] = (*words.get(plain, ()), target)


def _one_word(text: str) -> bool:
    # Vowel signs of Hindi or Thai are marks, not letters: so not isalpha().
    return not any(mark.isspace() or mark.isdigit() or mark in ".…()/,;-" for mark in text)
