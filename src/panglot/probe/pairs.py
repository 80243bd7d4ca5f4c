"""Weak pairs as JSON lines that can be trained on or held out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.probe.pools import ParallelPools, RankMargins
    from panglot.probe.rates import Marks


def lines(
    weak: Iterable[Mapping[str, Any]], changed: Iterable[Mapping[str, Any]], english: str, facts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the lines of the pairs, bilingual group by bilingual group.

    Args:
        weak: Weak pairs as they are; those of one group and one English version share a group of lines, with
            English once.
        changed: Weak pairs that the search made; each is a group of its own, named after its changes.
        english: The code of English in the collection.
        facts: What to write into every line beside; readers of JSON lines pass over it.

    Returns:
        Lines ``group, language, question, passage, rank``, and ``changes`` for those that were made.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for pair in weak:
        key = str(pair["group"])
        head = _line(key, english, pair, "_in_english")
        if groups.setdefault(key, [head])[0] != head:
            key = f"{key}~{pair['language']}"
            groups[key] = [_line(key, english, pair, "_in_english")]
        groups[key].append(_line(key, pair["language"], pair, ""))
    for pair in changed:
        key = f"{pair['group']}~{pair['language']}~{'+'.join(pair['changes'])}"
        extra = {"changes": list(pair["changes"])}
        groups[key] = [
            _line(key, english, pair, "_in_english") | extra,
            _line(key, pair["language"], pair, "") | extra,
        ]
    return [line | dict(facts) for group in groups.values() for line in group]


def _line(group: str, language: str, pair: Mapping[str, Any], side: str) -> dict[str, Any]:
    texts = {field: pair[f"{field}{side}"] for field in ("question", "passage", "rank")}
    return {"group": group, "language": language, **texts}


def write(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, atomically; without rows an empty file, so that none of an earlier run stays.

    Raises:
        PanglotError: The place cannot be written.
    """
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass(frozen=True)
class Outcome:
    """How the questions of one language stand beside their English versions.

    Attributes:
        ground: The pools.
        english: Where the English versions stand, one entry a question of ``ground.parallel``.
        other: Where the other versions stand.
    """

    ground: ParallelPools
    english: RankMargins
    other: RankMargins

    @classmethod
    def of(cls, ground: ParallelPools, questions: Vectors) -> Outcome:
        """Place all questions as they are; ``questions`` are the vectors of the collection's questions."""
        rows, numbers = ground.parallel.questions, np.arange(len(ground.parallel.groups))
        return cls(ground, ground.stand(0, numbers, questions[rows[0]]), ground.stand(1, numbers, questions[rows[1]]))

    @property
    def language(self) -> str:
        """The language beside English."""
        return self.ground.parallel.language

    @property
    def answered(self) -> Marks:
        """Whether English succeeds, question by question."""
        return self.english.rank <= self.ground.k

    @property
    def weak(self) -> Marks:
        """Whether English succeeds and the other language fails."""
        return self.answered & (self.other.rank > self.ground.k)

    def counts(self) -> dict[str, Any]:
        """Return how many questions there are and how they went; the pools' sizes, English first."""
        other = self.other.rank <= self.ground.k
        return {
            "asked_in_both": len(other),
            "answered_in_english": int(self.answered.sum()),
            "answered_in_both": int((self.answered & other).sum()),
            "only_in_english": int(self.weak.sum()),
            "only_in_the_other": int((~self.answered & other).sum()),
            "pools": [len(rows) for rows in self.ground.parallel.passages],
            "pools_are": self.ground.parallel.pools,
        }

    def starts(self, choice: str, limit: int, seed: int) -> Ints:
        """Return questions from which to search for changes, the most promising first.

        ``near`` are those that succeed in both languages and have the smallest margin in the other, ``weak``
        the weak ones with the largest difference of the margins, ``both`` the two in turn, and ``random``
        draws among all that succeed in English: only there are the means over changes free of selection.
        """
        near = np.flatnonzero(self.answered & ~self.weak)
        near = near[np.argsort(self.other.margin[near], kind="stable")]
        weak = np.flatnonzero(self.weak)
        weak = weak[np.argsort((self.other.margin - self.english.margin)[weak], kind="stable")]
        match choice:
            case "near":
                chosen = near
            case "weak":
                chosen = weak
            case "random":
                chosen = np.random.default_rng(seed).permutation(np.flatnonzero(self.answered))
            case _:
                turns = [(place, kind, row) for kind, rows in enumerate((near, weak)) for place, row in enumerate(rows)]
                chosen = np.array([row for _, _, row in sorted(turns)], np.int64)
        return chosen[:limit].astype(np.int64)

    def records(self, collection: Collection) -> list[dict[str, Any]]:
        """Return the weak pairs, the deepest rank first, with what was retrieved instead."""
        places = np.flatnonzero(self.weak)
        places = places[np.argsort(-self.other.rank[places], kind="stable")]
        return [self.record(int(place), collection) for place in places]

    def record(self, place: int, collection: Collection) -> dict[str, Any]:
        """Return one question: its versions, ranks and margins, what answers it and what stands first instead."""
        found = self.ground.parallel
        asked = [collection.questions["text"][int(rows[place])].as_py() for rows in found.questions]
        best = [
            collection.passages["text"][int(rows[side.best[place]])].as_py()
            for rows, side in zip(found.passages, (self.english, self.other), strict=True)
        ]
        instead = int(found.passages[1][self.other.instead[place]])
        return {
            "group": found.groups[place],
            "language": self.language,
            "question": asked[1],
            "question_in_english": asked[0],
            "rank": int(self.other.rank[place]),
            "rank_in_english": int(self.english.rank[place]),
            "margin": float(self.other.margin[place]),
            "margin_in_english": float(self.english.margin[place]),
            "passage": best[1],
            "passage_in_english": best[0],
            "instead": {
                "language": collection.passages["language"][instead].as_py(),
                "text": collection.passages["text"][instead].as_py(),
            },
        }
