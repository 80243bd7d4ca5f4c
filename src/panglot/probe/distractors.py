"""Sentences that have nothing to do with a question, in two languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot._files import digest

if TYPE_CHECKING:
    from panglot.corpus.collection import Collection
    from panglot.probe.parallel import Parallel

FEWEST, MOST = 20, 240
"""Characters of a distractor, in English: longer passages are no sentences, and would drown the question."""


class Distractors:
    """Short passages that are there in English and another language, without those that answer the question.

    Which a question gets depends on the seed, its group and the passages at hand in English; it is the same in
    every language that has them.

    Args:
        found: The questions and their pools.
        collection: Texts and groups.
        seed: Draws them.
    """

    def __init__(self, found: Parallel, collection: Collection, seed: int) -> None:
        self._found, self._seed = found, seed
        texts, groups = collection.passages["text"], collection.passages["group"]
        self._texts: list[dict[str, str]] = []
        for rows in found.passages:
            mine: dict[str, str] = {}
            for row in rows.tolist():
                text = str(texts[row].as_py()).strip()
                if group := groups[row].as_py():
                    mine.setdefault(group, text)
            self._texts.append(mine)
        english, other = self._texts
        self._order = sorted(group for group, text in english.items() if FEWEST <= len(text) <= MOST)
        self._there = {group for group in self._order if 0 < len(other.get(group, "")) <= 2 * MOST}
        self._group = groups

    def of(self, number: int, count: int) -> tuple[tuple[str, str], ...]:
        """Return up to ``count`` distractors of a question, English and the other version."""
        found = self._found
        answers: set[object] = set()
        for rows, (question, position) in zip(found.passages, found.relevant, strict=True):
            answers |= {self._group[int(rows[place])].as_py() for place in position[question == number]}
        generator = np.random.default_rng(int(digest(str(self._seed), found.groups[number])[:16], 16))
        chosen: list[tuple[str, str]] = []
        for place in generator.permutation(len(self._order)):
            if len(chosen) == count:
                break
            group = self._order[place]
            if group in self._there and group not in answers:
                chosen.append((self._texts[0][group], self._texts[1][group]))
        return tuple(chosen)
