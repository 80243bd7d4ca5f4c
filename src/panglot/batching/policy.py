"""What a user decides about batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from panglot._errors import PanglotError

Batches = Literal["english", "mono", "mixed-mono", "cross", "cross-pair", "hybrid", "hybrid-row", "whole-group"]
CrossKind = Literal["cross", "pair"]
LanguageSampling = Literal["temperature", "round-robin"]


@dataclass(frozen=True)
class Policy:
    """Which rows meet.

    Attributes:
        batches: ``english`` and ``mono``: question and passage in one language a batch. ``mixed-mono``: in
            one language a row. ``cross``: in two languages, drawn by row. ``cross-pair``: in two languages,
            one pair a batch. ``hybrid`` (2408.10536): with probability ``alpha`` a ``mono`` batch, else a
            cross one. ``hybrid-row``: with probability ``alpha`` a row as in ``mixed-mono``, else as in
            ``cross``. ``whole-group``: all versions of some groups together.
        alpha: The share of one-language batches (``hybrid``) or rows (``hybrid-row``), 0 to 1.
        cross_kind: Whether the cross batches of ``hybrid`` are ``cross`` or ``cross-pair`` (``"pair"``).
        batch_size: Questions in a batch, at most. Batches of one epoch differ by at most one row, so that 33
            rows make batches of 17 and 16 and not of 32 and 1; for ``whole-group``, questions in a batch on
            average.
        source_temperature: Sources are drawn in proportion to n^(1/T), n the number of rows that can serve:
            1 is proportional, infinity is uniform.
        language_temperature: The same for the language or pair of a batch. 2 draws by the root of the size,
            as mDenseOn does (2607.27178): rare languages are seen more often, yet not repeated without end.
        language_sampling: How the language (or pair) of a one-language (or ``cross-pair``) batch is chosen:
            ``temperature`` draws it as ``language_temperature`` says. ``round-robin`` deals all languages in a new
            random order, then all again, so that a short run meets as many as it has batches. The source of a batch is
            then drawn among those with the language.
        seed: Seeds every draw.

    Raises:
        PanglotError: A value is out of its range.
    """

    batches: Batches = "hybrid"
    alpha: float = 0.5
    cross_kind: CrossKind = "cross"
    batch_size: int = 32
    source_temperature: float = 1.0
    language_temperature: float = 2.0
    language_sampling: LanguageSampling = "temperature"
    seed: int = 0

    def __post_init__(self) -> None:
        for field, value, known in (
            ("batches", self.batches, get_args(Batches)),
            ("cross_kind", self.cross_kind, get_args(CrossKind)),
            ("language_sampling", self.language_sampling, get_args(LanguageSampling)),
        ):
            if value not in known:
                raise PanglotError(f"{value!r} is unknown", field=field, hint=f"choose among {', '.join(known)}")
        if not 0 <= self.alpha <= 1:
            raise PanglotError(f"{self.alpha} is no probability", field="alpha", hint="choose from 0 to 1")
        if self.batch_size < 2:
            raise PanglotError(
                f"a batch of {self.batch_size} has no negatives", field="batch_size", hint="choose 2 or more"
            )
        for field, value in (
            ("source_temperature", self.source_temperature),
            ("language_temperature", self.language_temperature),
        ):
            if math.isnan(value) or value <= 0:
                raise PanglotError(f"{value} is not above 0", field=field, hint="choose 1 (proportional) or more")

    @property
    def kinds(self) -> tuple[tuple[str, float], ...]:
        """The kinds of batches that occur, with their probabilities.

        >>> Policy("hybrid", alpha=0.25, cross_kind="pair").kinds
        (('mono', 0.25), ('cross-pair', 0.75))
        >>> Policy("hybrid", alpha=1).kinds
        (('mono', 1.0),)
        """
        if self.batches != "hybrid":
            return ((self.batches, 1.0),)
        cross = "cross" if self.cross_kind == "cross" else "cross-pair"
        both = (("mono", float(self.alpha)), (cross, 1.0 - self.alpha))
        return tuple((kind, share) for kind, share in both if share > 0)
