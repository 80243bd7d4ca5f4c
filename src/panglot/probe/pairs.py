"""Collect weak pairs, and write them as JSON lines that can be trained on or held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Bools
    from panglot.probe.pools import ParallelPools, RankMargins


def pair_lines(
    weak: Iterable[Mapping[str, Any]], changed: Iterable[Mapping[str, Any]], english: str, facts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the JSON lines of weak pairs, one bilingual group after the other.

    Args:
        weak: Weak pairs of the collection. Pairs with the same group and English version share a group of lines, with
            one line in English.
        changed: Weak pairs that the search found. Each is a group of its own, named after its changes.
        english: The collection's code of English.
        facts: Further fields of every line. Readers of training sets ignore them.

    Returns:
        Lines with ``group, language, question, passage, rank``, and ``changes`` for pairs that the search found.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for pair in weak:
        key = str(pair["group"])
        head = _line(key, english, pair, "_in_english")
        # A group can have several English versions; each gets a group of lines of its own.
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


@dataclass(frozen=True)
class Outcome:
    """Ranks of the questions of one language beside those of their English versions.

    Attributes:
        pools: Pools of both languages.
        english: Ranks and margins of the English versions, one entry per question of ``pools.parallel``.
        other: Ranks and margins of the other versions.
    """

    pools: ParallelPools
    english: RankMargins
    other: RankMargins

    @classmethod
    def of(cls, pools: ParallelPools, questions: Vectors) -> Self:
        """Rank all questions without changes.

        Args:
            pools: Pools of both languages.
            questions: Vectors of the collection's questions, shape ``[questions, dimension]``.
        """
        english, other = pools.parallel.questions
        numbers = np.arange(len(pools.parallel.groups))
        return cls(
            pools, pools.rank_margins(0, numbers, questions[english]), pools.rank_margins(1, numbers, questions[other])
        )

    @property
    def language(self) -> str:
        """The language beside English."""
        return self.pools.parallel.language

    @property
    def answered(self) -> Bools:
        """Whether English succeeds, shape ``[questions]``."""
        return self.english.rank <= self.pools.k

    @property
    def weak(self) -> Bools:
        """Whether English succeeds and the other language fails, shape ``[questions]``."""
        return self.answered & (self.other.rank > self.pools.k)

    def counts(self) -> dict[str, Any]:
        """Return the numbers of questions by outcome, and the sizes of the pools, English first."""
        other = self.other.rank <= self.pools.k
        return {
            "asked_in_both": len(other),
            "answered_in_english": int(self.answered.sum()),
            "answered_in_both": int((self.answered & other).sum()),
            "only_in_english": int(self.weak.sum()),
            "only_in_the_other": int((~self.answered & other).sum()),
            "pools": [len(rows) for rows in self.pools.parallel.passages],
            "pools_are": self.pools.parallel.pools,
        }

    def starts(self, choice: str, limit: int, seed: int) -> Ints:
        """Return the questions from which to search for changes, the most promising first.

        ``near`` takes questions that succeed in both languages, those with the smallest margin in the other language
        first. ``weak`` takes weak questions, those with the largest difference of the margins first. ``both`` takes
        turns. ``random`` draws among all that succeed in English: only then are means over changes free of selection.
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
        """Return the weak pairs, the worst rank first, each with the passage that was retrieved instead."""
        places = np.flatnonzero(self.weak)
        places = places[np.argsort(-self.other.rank[places], kind="stable")]
        return [self.record(int(place), collection) for place in places]

    def record(self, place: int, collection: Collection) -> dict[str, Any]:
        """Return one question with its versions, ranks, margins, best relevant and best irrelevant passage."""
        found = self.pools.parallel
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
