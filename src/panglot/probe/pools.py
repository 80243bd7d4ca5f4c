"""Compare the questions that are asked in English and another language, over parallel pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.language import canonical
from panglot.evaluation.exact_scores import Bools, Doubles, ExactScores, Tile, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors

Pools = Literal["whole", "common"]
Half = Literal[0, 1]
"""0 is English, 1 the other language."""

LARGEST_RATIO = 1.5
"""Pools whose sizes differ by more than this factor are cut down to the passage groups that both languages have."""
MIN_LENGTH, MAX_LENGTH = 20, 240
"""Characters of a distractor in English. Longer passages are not sentences, and would outweigh the question."""
_CELLS = 1 << 22


@dataclass(frozen=True)
class ParallelQuestions:
    """The questions that are asked and answered both in English and in one other language.

    The first of each pair of arrays is English.

    Attributes:
        language: The other language.
        pools: Whether the pools are all passages of a language, or those of groups that both languages have.
        groups: Group of each question.
        questions: Rows of the questions in the collection, shape ``[questions]`` each.
        passages: Rows of the pool's passages in the collection, in the order of their ids, shape ``[pool]`` each.
        relevant: Relevant pairs, sorted: number of the question and position in the pool, shape ``[pairs]`` each.
    """

    language: str
    pools: Pools
    groups: tuple[str, ...]
    questions: tuple[Ints, Ints]
    passages: tuple[Ints, Ints]
    relevant: tuple[tuple[Ints, Ints], tuple[Ints, Ints]]

    @classmethod
    def of(cls, collection: Collection, english: str, language: str, pools: Pools | None = None) -> Self | None:
        """Return the questions with a version and an answer in both languages, or None if there are none.

        Of several versions in one language, the first counts. By default, pools are whole if their sizes differ by at
        most :data:`LARGEST_RATIO`. Otherwise they are cut down to the passage groups that both languages have, so that
        ranks can be compared.
        """
        codes = [collection.languages.index(code) for code in (english, language)]
        group = np.array(collection.passages["group"].to_pylist(), object)
        rows = [np.flatnonzero(collection.passage_language == code) for code in codes]
        sizes = sorted(len(each) for each in rows)
        kind: Pools = pools or ("whole" if sizes[1] <= LARGEST_RATIO * sizes[0] else "common")
        if kind == "common":
            common = set(group[rows[0]]) & set(group[rows[1]])
            rows = [each[[name in common for name in group[each]]] for each in rows]
        # Positions in the order of ids break ties as the evaluation does.
        ids: list[str] = collection.passages["id"].to_pylist()
        members = [np.array(sorted(each.tolist(), key=ids.__getitem__), np.int64) for each in rows]
        first = [_first_questions(collection, code, pool) for code, pool in zip(codes, members, strict=True)]
        names = [name for name in first[0] if name in first[1]]
        if not names:
            return None
        questions = [np.array([side[name] for name in names], np.int64) for side in first]
        relevant = [_relevant(collection, asked, pool) for asked, pool in zip(questions, members, strict=True)]
        return cls(
            language, kind, tuple(names), (questions[0], questions[1]), (members[0], members[1]),
            (relevant[0], relevant[1]),
        )  # fmt: skip

    def check_depth(self, k: int) -> None:
        """Check that every question has at least ``k`` irrelevant passages in both pools.

        Raises:
            PanglotError: ``k`` is too large for a pool.
        """
        for pool, (question, _) in zip(self.passages, self.relevant, strict=True):
            most = len(pool) - int(np.bincount(question).max())
            if k > most:
                raise PanglotError(
                    f"must be at most {most} in a pool of {len(pool)} passages ({self.language} beside English), "
                    f"got {k}",
                    field="k",
                    hint=f"use about {max(1, most // 10)}" if most > 0 else "choose a collection with larger pools",
                )


def choose_languages(collection: Collection, languages: Sequence[str] | None) -> tuple[str, list[str]]:
    """Return the collection's code of English and the languages to probe, by default all others.

    Raises:
        PanglotError: The collection has no English or no other language, or a language is unknown or not in it.
    """
    english = "en" if "en" in collection.languages else ""
    english = english or next((code for code in collection.languages if code.startswith("en-")), "")
    if not english:
        raise PanglotError(
            f"{collection.name} has no English, only {', '.join(collection.languages)}",
            hint="probe a collection with questions and passages in English",
        )
    others = [code for code in collection.languages if code != english]
    chosen = list(dict.fromkeys(canonical(code) for code in languages)) if languages else others
    for code in chosen:
        if code == english:
            raise PanglotError(
                "English is what the other languages are compared with", field="language", hint="leave it out"
            )
        if code not in others:
            raise PanglotError(f"{collection.name} has no {code}", field="language", hint=f"use {', '.join(others)}")
    if not chosen:
        raise PanglotError(f"{collection.name} has no language beside English", hint="choose another collection")
    return english, chosen


@dataclass(frozen=True)
class RankMargins:
    """Rank and margin of each question's best relevant passage in its pool, shape ``[questions]`` each.

    Attributes:
        rank: Rank of the best relevant passage, from 1.
        margin: Its score less that of the k-th irrelevant passage. A question succeeds at k if the margin is above 0
            and fails if it is below. At 0 the passages' ids decide.
        best: Position of that relevant passage in the pool.
        instead: Position of the best-ranked irrelevant passage.
    """

    rank: Ints
    margin: Doubles
    best: Ints
    instead: Ints

    @classmethod
    def of(
        cls, questions: Vectors, passages: Vectors, relevant: tuple[Ints, Ints], k: int, *, cells: int = _CELLS
    ) -> Self:
        """Rank passages by dot product. Equal scores are ordered by position in the pool.

        The scores are the same bits as those of :func:`panglot.evaluation.ranks.rank`, for every block size.

        Args:
            questions: One row per question, shape ``[questions, dimension]``.
            passages: One row per passage, in the order of their ids, shape ``[pool, dimension]``.
            relevant: Question and position in the pool of each relevant pair, sorted by question. Every question
                has at least one, and at least ``k`` passages of the pool are irrelevant to it.
            k: A question succeeds if a relevant passage is among the first ``k``.
            cells: Scores in memory at once.
        """
        scores = ExactScores.of(questions, passages)
        pool = Tile(scores, np.arange(len(passages)))
        number = len(questions)
        found = (np.zeros(number, np.int64), np.zeros(number), np.zeros(number, np.int64), np.zeros(number, np.int64))
        starts = np.searchsorted(relevant[0], np.arange(number + 1))
        for rows in parts(np.arange(number), max(1, cells // max(1, len(passages)))):
            block = pool.products(rows).astype(np.float32) * np.float32(scores.unit)
            pairs = slice(starts[rows[0]], starts[rows[-1] + 1])
            mark = np.zeros(block.shape, np.bool_)
            mark[relevant[0][pairs] - rows[0], relevant[1][pairs]] = True
            for column, values in zip(found, _margins(block, mark, k), strict=True):
                column[rows] = values
        return cls(*found)


@dataclass(frozen=True)
class ParallelPools:
    """The pools of English and one other language, with their vectors.

    Attributes:
        parallel: Questions, pools and relevance.
        vectors: Vectors of the passages of each pool, shape ``[pool, dimension]``.
        k: A question succeeds if a relevant passage is among the first ``k``.
    """

    parallel: ParallelQuestions
    vectors: tuple[Vectors, Vectors]
    k: int

    @classmethod
    def of(cls, parallel: ParallelQuestions, passages: Vectors, k: int) -> Self:
        """Take the vectors of both pools from those of all passages of the collection."""
        english, other = (passages[rows] for rows in parallel.passages)
        return cls(parallel, (english, other), k)

    def rank_margins(self, half: Half, numbers: Ints, vectors: Vectors) -> RankMargins:
        """Return rank and margin of wordings of questions.

        Args:
            half: Which of the two languages.
            numbers: Number of the question in :attr:`parallel` of each wording, in any order, with repeats.
            vectors: One row per wording, shape ``[wordings, dimension]``.
        """
        question, position = self.parallel.relevant[half]
        low, high = np.searchsorted(question, numbers), np.searchsorted(question, numbers, side="right")
        owner = np.repeat(np.arange(len(numbers)), high - low)
        taken = [position[a:b] for a, b in zip(low, high, strict=True)]
        relevant = np.concatenate(taken) if taken else np.zeros(0, np.int64)
        return RankMargins.of(vectors, self.vectors[half], (owner, relevant), self.k)


class Distractors:
    """Draw short passages in English and another language that do not answer a question.

    A question's distractors depend on the seed, its group and the passages in English, so that they are the same in
    every language that has them.

    Args:
        parallel: The questions and their pools.
        collection: Texts and groups.
        seed: Seed of the draw.
    """

    def __init__(self, parallel: ParallelQuestions, collection: Collection, seed: int) -> None:
        self._parallel, self._seed = parallel, seed
        texts, groups = collection.passages["text"], collection.passages["group"]
        self._texts: list[dict[str, str]] = []
        for rows in parallel.passages:
            by_group: dict[str, str] = {}
            for row in rows.tolist():
                text = str(texts[row].as_py()).strip()
                if group := groups[row].as_py():
                    by_group.setdefault(group, text)
            self._texts.append(by_group)
        english, other = self._texts
        self._order = sorted(group for group, text in english.items() if MIN_LENGTH <= len(text) <= MAX_LENGTH)
        self._usable = {group for group in self._order if 0 < len(other.get(group, "")) <= 2 * MAX_LENGTH}
        self._groups = groups

    def of(self, number: int, count: int) -> tuple[tuple[str, str], ...]:
        """Return up to ``count`` distractors of a question, English and the other version."""
        parallel = self._parallel
        answers: set[object] = set()
        for rows, (question, position) in zip(parallel.passages, parallel.relevant, strict=True):
            answers |= {self._groups[int(rows[place])].as_py() for place in position[question == number]}
        generator = np.random.default_rng(int(digest(str(self._seed), parallel.groups[number])[:16], 16))
        chosen: list[tuple[str, str]] = []
        for place in generator.permutation(len(self._order)):
            if len(chosen) == count:
                break
            group = self._order[place]
            if group in self._usable and group not in answers:
                chosen.append((self._texts[0][group], self._texts[1][group]))
        return tuple(chosen)


def _first_questions(collection: Collection, code: int, pool: Ints) -> dict[str, int]:
    """Return the first question of each group in a language that has an answer in the pool, by group."""
    question, passage = collection.pairs
    inside = np.zeros(collection.passages.num_rows, np.bool_)
    inside[pool] = True
    answered = np.unique(question[inside[passage]])
    answered = answered[collection.question_language[answered] == code]
    groups = collection.questions["group"]
    found: dict[str, int] = {}
    for row in answered.tolist():
        if group := groups[row].as_py():
            found.setdefault(group, row)
    return found


def _relevant(collection: Collection, questions: Ints, pool: Ints) -> tuple[Ints, Ints]:
    """Return the relevant pairs of some questions in a pool, both counted there."""
    question, passage = collection.pairs
    number = np.full(collection.questions.num_rows, -1, np.int64)
    number[questions] = np.arange(len(questions))
    position = np.full(collection.passages.num_rows, -1, np.int64)
    position[pool] = np.arange(len(pool))
    left, right = number[question], position[passage]
    inside = (left >= 0) & (right >= 0)
    pairs = np.unique(np.stack([left[inside], right[inside]]), axis=1)
    return pairs[0], pairs[1]


def _margins(scores: Vectors, mark: Bools, k: int) -> tuple[Ints, Doubles, Ints, Ints]:
    """Return the columns of :class:`RankMargins` for a block; ``mark`` is True at relevant passages."""
    row = np.arange(len(scores))
    relevant = np.where(mark, scores, -np.inf)
    rest = np.where(mark, -np.inf, scores)
    best, instead = relevant.argmax(axis=1), rest.argmax(axis=1)
    top = relevant[row, best][:, None]
    before = np.arange(scores.shape[1]) < best[:, None]
    ahead = ~mark & ((scores > top) | ((scores == top) & before))
    kth = -np.partition(-rest, k - 1, axis=1)[:, k - 1]
    return 1 + ahead.sum(axis=1), top[:, 0].astype(np.float64) - kth, best, instead
