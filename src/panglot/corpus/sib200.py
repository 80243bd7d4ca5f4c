"""SIB-200: sentences of FLORES in 205 languages; each finds its translations (arXiv 2309.07445)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot.corpus._folder import files
from panglot.corpus._parallel import translations
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical
from panglot.corpus.parquet import records

# One code of today, but columns of their own: the second of the two would be lost.
_APART = {"twi_Latn": "ak-x-twi"}
# What UTF-8 becomes when it is read as Latin-1 or Windows-1252, in the ways that occur here; controls that no text has.
_MOJIBAKE = re.compile("â€|[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[\u0080-\u009f\ufffd]")


def read(
    folder: Path,
    *,
    name: str = "sib-200",
    part: str = "train",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``sib-200.parquet``: columns ``lang``, ``index_id``, ``split``, ``text``, a row a sentence and language.

    A sentence's translations in all other languages are relevant, its own language's passage is not, for it is the
    question itself. Sentences that were decoded wrongly (UTF-8 as Latin-1) are left out in their language;
    ``about`` counts them. Sentences of FLORES are also half of Belebele's passages: what is trained on this set must
    not be measured on those.

    Args:
        folder: Where the file lies.
        name: What tables call it.
        part: ``train``, ``dev`` or ``test``; a sentence is in the same part in all languages.
        languages: Canonical codes of the languages to read; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or lacks a column, or has none of the languages.
    """
    texts: list[Text] = []
    broken = 0
    codes: dict[str, str] = {}

    def wanted(raw: str) -> bool:
        code = codes.get(raw) or codes.setdefault(raw, code_of(raw))
        return not languages or code in languages

    for path in files(folder, "*.parquet"):
        for row in records(path, ("lang", "index_id", "split", "text"), only=("lang", wanted)):
            code, text = codes[str(row["lang"])], str(row["text"] or "").strip()
            if row["split"] != part or not text:
                continue
            if is_mojibake(text):
                broken += 1
                continue
            label = str(row["index_id"])
            texts.append(Text(f"{code}:{label}", code, label, text))
    texts.sort(key=lambda text: (text.language, int(text.group)))
    facts = {**(about or {}), "part": part, "candidates": "sentence", "left out, wrongly decoded": str(broken)}
    return translations(name, texts, facts)


def code_of(raw: str) -> str:
    """Return the canonical code of a value of the column ``lang``."""
    return _APART.get(raw) or canonical(raw)


def is_mojibake(text: str) -> bool:
    """Tell whether ``text`` holds letters that come of a wrong decoding.

    >>> [is_mojibake(text) for text in ("BarÃ§a", "7â€“2", "Ãnduni sʋl", "à « côté »")]
    [True, True, False, False]
    """
    return _MOJIBAKE.search(text) is not None
