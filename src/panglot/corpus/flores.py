"""FLORES-200: the same sentences in 204 languages (arXiv 2207.04672)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._open import read_text
from panglot.corpus._parallel import translations
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical
from panglot.corpus.sib200 import _APART


def read(
    folder: Path,
    *,
    name: str = "flores-200",
    part: str = "devtest",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``devtest/xxx_Scrp.devtest`` or ``dev/xxx_Scrp.dev``: a sentence a line, tied by line.

    As in SIB-200, a sentence finds its translations, never itself.

    Raises:
        PanglotError: A file is missing, has another number of lines, or there is none of the languages.
    """
    texts: list[Text] = []
    lines = 0
    for path in files(folder, f"**/{part}/*.{part}"):
        raw = path.name.removesuffix(".gz").partition(".")[0]
        code = _APART.get(raw) or canonical(raw)
        if languages and code not in languages:
            continue
        found = read_text(path).removesuffix("\n").split("\n")
        if lines and len(found) != lines:
            problem = f"{len(found)} lines, not {lines} as in the other languages"
            raise PanglotError(problem, file=path, cure="fetch it again")
        lines = len(found)
        texts += [
            Text(f"{code}:{number}", code, str(number), line.strip())
            for number, line in enumerate(found, 1)
            if line.strip()
        ]
    texts.sort(key=lambda text: (text.language, int(text.group)))
    return translations(name, texts, {**(about or {}), "part": part, "candidates": "sentence"})
