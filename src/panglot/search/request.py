"""What a caller wants of a search."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import get_args

from panglot._errors import PanglotError
from panglot.data.language import canonical
from panglot.search.result import Mode

MODES: tuple[Mode, ...] = get_args(Mode)
MOST = 1000
"""Hits that may be asked for."""


@dataclass(frozen=True)
class SearchRequest:
    """How to search.

    Attributes:
        k: How many hits, 1 to 1000.
        language: Of the question; empty: it is detected.
        languages: Only passages in these; empty: in all.
        mode: How languages are weighed; see :mod:`panglot.search.ranking.modes`.
        reader: The languages that the reader prefers; only the mode ``reader`` looks at them.
        weight: What a passage in one of them gets on top of its cosine, 0 to 2.
        fold: Whether translations of one passage are one hit.
        lexical: Whether matching words of the question's language count too (``pip install 'panglot[lexical]'``).
        highlight: Whether to mark the best sentence of the first 50 hits, which encodes all their sentences.
    """

    k: int = 10
    language: str = ""
    languages: tuple[str, ...] = ()
    mode: Mode = "plain"
    reader: tuple[str, ...] = ()
    weight: float = 0.05
    fold: bool = False
    lexical: bool = False
    highlight: bool = False

    def check(self) -> SearchRequest:
        """Return the same with canonical language codes.

        Raises:
            PanglotError: A value is out of its range, a language does not exist or the mode lacks what it needs.

        >>> SearchRequest(languages=("deu", "de", "zh_TW")).check().languages
        ('de', 'zh-Hant')
        """
        if not 1 <= self.k <= MOST:
            raise PanglotError(f"{self.k} hits", field="k", hint=f"ask for 1 to {MOST}")
        if self.mode not in MODES:
            raise PanglotError(f"no mode {self.mode!r}", field="mode", hint=f"use one of {', '.join(MODES)}")
        if not (math.isfinite(self.weight) and 0 <= self.weight <= 2):
            raise PanglotError(f"a weight of {self.weight}", field="weight", hint="give 0 to 2; .05 is plenty")
        if self.mode == "reader" and not self.reader:
            raise PanglotError("no language is preferred", field="reader", hint="name one, or use another mode")
        return replace(
            self,
            language=next(iter(_codes((self.language,), "language")), ""),
            languages=_codes(self.languages, "languages"),
            reader=_codes(self.reader, "reader"),
        )


def _codes(given: tuple[str, ...], field: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for code in given:
        if code.strip():
            try:
                found[canonical(code)] = None
            except PanglotError as error:
                raise PanglotError(error.problem, field=field, hint=error.hint) from error
    return tuple(found)
