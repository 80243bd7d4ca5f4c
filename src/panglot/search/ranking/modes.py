"""Ranking modes: how languages are weighed, as pure functions of scores and languages.

============= =============================================================================
``plain``     cosine of query and document
``centered``  the same after each has lost the mean of its language
``balanced``  centered, less half the mean of the five best scores in the document's language
``preferred`` cosine + boost if the document is in a preferred language
============= =============================================================================

The boost is added in any mode. ``preferred`` is ``plain`` for requests that must name preferred languages.

Balancing subtracts what a language's best documents score for this query, whichever they are. A document then counts
by how far it stands out among those of its own language, and a language whose scores are higher throughout does not
crowd out the others. Only half is subtracted, because the best of a language may be best for a reason.

To add a mode, add its name to :data:`Mode` and a :class:`RankingMode` to :data:`MODES`. The validation of requests, the
service, the command line and the audit of an index take it from there.

:class:`LanguageStats` sums up all documents for centering: each language's number of documents and mean vector.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import atomic_file, file_digest, write_json
from panglot.debiasing.correction import Debiasing
from panglot.search.storage.store import check_encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pyarrow import Table

    from panglot.encoders.protocol import Encoder, Side, Vectors

Doubles = npt.NDArray[np.float64]

VECTOR_FIELDS = ("plain", "centered")
"""The vectors that an index keeps for each document."""

HEAD, SHARE = 5, 0.5
"""Best scores of a language that balancing averages, and the share of their mean that it subtracts.

Chosen on held-out rows of MLQA dev, by mAP in the pool of all languages; see docs/search-modes.md."""


def head_mean(scores: Doubles, head: int = HEAD) -> Doubles:
    """Return the mean of the ``head`` highest scores along the last axis, or of all if they are fewer."""
    many = scores.shape[-1]
    if many <= head:
        return scores.mean(axis=-1)
    return np.partition(scores, many - head, axis=-1)[..., many - head :].mean(axis=-1)


def _calibrated(cosine: Doubles, languages: Sequence[str]) -> Doubles:
    codes = np.asarray(languages, object)
    usual = {code: -SHARE * head_mean(cosine[codes == code]) for code in set(languages)}
    return np.array([usual[code] for code in languages], np.float64)


@dataclass(frozen=True)
class RankingMode:
    """How languages are weighed."""

    summary: str  # One sentence for users.
    vector_field: Literal["plain", "centered"] = "plain"  # The vectors whose cosines the mode starts from.
    by_language: bool = False  # Whether each language is searched separately, so that its best documents are known.
    requires: tuple[str, ...] = ()  # Options of a request that must not be empty.
    adjustment: Callable[[Doubles, Sequence[str]], Doubles] | None = None
    """Returns what the mode adds to the cosine of each candidate, given these and the languages. None: nothing.

    The first :data:`HEAD` documents are among the candidates, or with ``by_language`` those of each language."""


Mode = Literal["plain", "centered", "balanced", "preferred"]
"""The name of a ranking mode."""

MODES: Mapping[Mode, RankingMode] = {
    "plain": RankingMode("The pool as it is: the cosine of query and document."),
    "centered": RankingMode("Each language's mean is subtracted first.", "centered"),
    "balanced": RankingMode(
        "Scores are calibrated by language, so that none is crowded out.",
        "centered",
        by_language=True,
        adjustment=_calibrated,
    ),
    "preferred": RankingMode("Documents in preferred languages get a boost.", requires=("preferred_languages",)),
}
"""The ranking modes by name."""

EVERY = "mul"
"""The code under which the mean of all languages is kept. It serves languages without documents."""

FEW = 10
"""Weight, in documents, of the mean of all languages in each language's mean.

The mean of a few documents is little else than these documents, and subtracting it would leave nothing of them."""

_FACTS = 20
"""Facts of the starter collection that are encoded, each as question and as passage."""

_TURNS = 3
"""Each fact is encoded in a third of its twelve languages, which take turns.

The difference to all twelve is smaller than that to other facts, and encoding takes a third of the time."""

_STATS_FILE, _MEANS_FILE = "pool.json", "pool.npy"


@dataclass(frozen=True)
class LanguageStats:
    """The documents of an index by language, as they were when it was built.

    ``means`` are the mean vectors, not of unit length, shape ``[languages, dimension]``. Each is shrunk towards that
    of all languages, which is that of :data:`EVERY`.
    """

    languages: tuple[str, ...]  # Canonical codes, sorted. EVERY is the last.
    counts: tuple[int, ...]  # Documents of each. EVERY has none.
    means: Doubles

    @classmethod
    def of(cls, pieces: Iterable[tuple[Sequence[str], Vectors]], dimension: int) -> LanguageStats:
        """Sum up pieces of documents: their languages, and unit vectors of shape ``[documents, dimension]``."""
        sums: dict[str, Doubles] = {}
        counts: dict[str, int] = {}
        for languages, vectors in pieces:
            names = np.asarray(languages, object)
            for code in sorted(set(languages)):
                rows = names == code
                sums[code] = sums.get(code, np.zeros(dimension)) + vectors[rows].sum(axis=0, dtype=np.float64)
                counts[code] = counts.get(code, 0) + int(rows.sum())
        codes = tuple(sorted(counts))
        number = np.array([counts[code] for code in codes], np.float64)[:, None]
        total = np.array([sums[code] for code in codes]).reshape(len(codes), dimension)
        # Languages count alike in the mean of all, except those with few documents, whose means are uncertain.
        weight = number / (number + FEW)
        every = (weight * total / np.maximum(number, 1)).sum(axis=0) / max(weight.sum() + 1 / (FEW + 1), 1)
        means = (total + FEW * every) / (number + FEW)
        return cls((*codes, EVERY), (*(counts[code] for code in codes), 0), np.concatenate([means, every[None]]))

    def centering(self, offset: Doubles | None = None, strength: float = 1.0) -> Debiasing:
        """Return the debiasing that subtracts the mean of a text's language, plus :func:`query_offset` for queries.

        ``strength`` is the share of both that is subtracted, from 0 to 1.
        """
        queries = self.means if offset is None else self.means + offset
        means = (np.stack([queries, self.means]) * strength).astype(np.float32)
        dimension = self.means.shape[1]
        nothing = np.zeros((2, len(self.languages), 0, dimension), np.float32), np.zeros((0, dimension), np.float32)
        return Debiasing("center", self.languages, means, *nothing, strength=strength)

    def save(self, folder: Path) -> None:
        """Write ``pool.json`` and ``pool.npy`` into a folder."""
        with atomic_file(folder / _MEANS_FILE) as part, part.open("wb") as file:
            np.save(file, self.means, allow_pickle=False)
        head = {"languages": list(self.languages), "counts": list(self.counts)}
        write_json(folder / _STATS_FILE, {**head, "sha256": file_digest(folder / _MEANS_FILE)})

    @classmethod
    def open(cls, folder: Path) -> LanguageStats:
        """Read what :meth:`save` wrote."""
        file = folder / _STATS_FILE
        try:
            head = json.loads(file.read_text("utf-8"))
            languages, counts = tuple(map(str, head["languages"])), tuple(map(int, head["counts"]))
            file = folder / _MEANS_FILE
            # Indexes of the first version have no checksum.
            known = head.get("sha256") in (None, file_digest(file))
            means = np.load(file, allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise PanglotError(f"damaged: {error}", file=file, hint="build the index again") from error
        sound = known and means.ndim == 2 and len(languages) == len(counts) == len(means) and np.isfinite(means).all()
        if not sound or languages[-1:] != (EVERY,):
            raise PanglotError("damaged", file=file, hint="build the index again")
        return cls(languages, counts, np.asarray(means, np.float64))


def center(debiasing: Debiasing, vectors: Vectors, languages: Sequence[str], side: Side) -> Vectors:
    """Return the centered vectors of texts. A language that was not fitted is treated as the mean of all.

    A model's own debiasing has no mean of all documents. There, documents in such a language keep their vectors, as
    they do in :func:`panglot.load`, and queries in an unknown language lose the mean of all languages.
    """
    if side == "question" and EVERY not in debiasing.languages and debiasing.needs_language:
        debiasing = _with_every(debiasing)
    fallback = EVERY in debiasing.languages
    known = {code: EVERY if fallback and debiasing.find(code) < 0 else code for code in set(languages)}
    return debiasing.apply(vectors, [known[code] for code in languages], side)


def _with_every(debiasing: Debiasing) -> Debiasing:
    """Return the same debiasing with the mean of its languages, and no directions, for all others."""
    offset = np.concatenate([debiasing.offset, debiasing.offset.mean(axis=1, keepdims=True)], axis=1)
    directions = np.concatenate([debiasing.directions, np.zeros_like(debiasing.directions[:, :1])], axis=1)
    return replace(debiasing, languages=(*debiasing.languages, EVERY), offset=offset, directions=directions)


def query_offset(encoder: Encoder) -> Doubles:
    """Return the mean of questions minus that of the passages that answer them, shape ``[dimension]``.

    No queries are known when an index is built. But the difference between the sides comes from prompt and form and is
    much the same in every language. It is measured on the starter collection, which comes with panglot.
    """
    from panglot.datasets.registry import read

    facts = read("starter:train")
    groups = sorted(set(facts.passages["group"].to_pylist()))[:_FACTS]
    languages = sorted(set(facts.passages["language"].to_pylist()))
    chosen = {
        (group, language)
        for row, group in enumerate(groups)
        for column, language in enumerate(languages)
        if (row + column) % _TURNS == 0
    }

    def mean(table: Table, side: Side) -> Doubles:
        rows = [row for row in table.to_pylist() if (row["group"], row["language"]) in chosen]
        found = encoder.encode([row["text"] for row in rows], side)
        checked = check_encoded(found, [row["id"] for row in rows], encoder, f"{side} of the starter collection")
        return checked.mean(axis=0, dtype=np.float64)

    return mean(facts.questions, "question") - mean(facts.passages, "passage")
