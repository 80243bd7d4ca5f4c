"""Compare the questions that are asked in English and in another language, over parallel pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Self

import numpy as np

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.collection import Collection, Ints
from panglot.data.language import canonical_codes
from panglot.encoders.protocol import Vectors
from panglot.evaluation.exact_scores import Bools, Doubles, ExactScores, Tile, parts

Pools = Literal["whole", "common"]
#: 0 is English, 1 the other language.
Half = Literal[0, 1]
#: Pools whose sizes differ by more than this factor are cut down to the passage groups that both languages have.
_LARGEST_RATIO = 1.5
#: Characters of a distractor in English. Longer passages are not sentences, and would outweigh the question.
MIN_LENGTH, MAX_LENGTH = 20, 240
_CELLS = 1 << 22


@dataclass(frozen=True)
class ParallelQuestions:
    """The questions that are asked and answered both in English and in one other language.

    The first of each pair of arrays is English.

    Attributes:
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
        most :data:`_LARGEST_RATIO`. Otherwise they are cut down to the passage groups that both languages have, so that
        ranks can be compared.
        """
        codes = [collection.languages.index(code) for code in (english, language)]
        group = np.array(collection.passages["group"].to_pylist(), object)
        rows = [np.flatnonzero(collection.passage_language == code) for code in codes]
        sizes = sorted(len(each) for each in rows)
        kind: Pools = pools or ("whole" if sizes[1] <= _LARGEST_RATIO * sizes[0] else "common")
        if kind == "common":
            common = (set(group[rows[0]]) & set(group[rows[1]])) - {"", None}
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
        return cls(language, kind, tuple(names), (questions[0], questions[1]), (members[0], members[1]),
                   (relevant[0], relevant[1]))  # fmt: skip

    def check_depth(self, k: int) -> None:
        """Check that every question has at least ``k`` irrelevant passages in both pools."""
        for pool, (question, _) in zip(self.passages, self.relevant, strict=True):
            most = len(pool) - int(np.bincount(question).max())
            if k > most:
                hint = f"use about {max(1, most // 10)}" if most > 0 else "choose a collection with larger pools"
                pools = f"a pool of {len(pool)} passages ({self.language} beside English)"
                raise PanglotError(f"must be at most {most} in {pools}, got {k}", field="k", hint=hint)


def choose_languages(collection: Collection, languages: Sequence[str] | None) -> tuple[str, list[str]]:
    """Return the collection's code of English and the languages to probe, by default all others."""
    # Plain English sorts before its variants.
    english = min((code for code in collection.languages if code.partition("-")[0] == "en"), default="")
    if not english:
        raise PanglotError(f"{collection.name} has no English, only {', '.join(collection.languages)}",
                           hint="probe a collection with questions and passages in English")  # fmt: skip
    others = [code for code in collection.languages if code != english]
    chosen = list(dict.fromkeys(canonical_codes(languages))) if languages else others
    for code in chosen:
        if code == english:
            raise PanglotError("English is what the other languages are compared with", field="language",
                               hint="leave it out")  # fmt: skip
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

        The scores are the same bits as those of :func:`panglot.evaluation.ranks.rank`, for every number of ``cells``,
        the scores in memory at once. ``relevant`` are question and position in the pool of each relevant pair, sorted
        by question. Every question has at least one, and at least ``k`` passages of the pool are irrelevant to it.
        """
        scores = ExactScores.of(questions, passages)
        pool = Tile(scores, np.arange(len(passages)))
        number = len(questions)
        found = cls(np.zeros(number, np.int64), np.zeros(number), *np.zeros((2, number), np.int64))
        starts = np.searchsorted(relevant[0], np.arange(number + 1))
        for rows in parts(np.arange(number), max(1, cells // max(1, len(passages)))):
            block = pool.products(rows).astype(np.float32) * np.float32(scores.unit)
            pairs = slice(starts[rows[0]], starts[rows[-1] + 1])
            mark = np.zeros(block.shape, np.bool_)
            mark[relevant[0][pairs] - rows[0], relevant[1][pairs]] = True
            found.rank[rows], found.margin[rows], found.best[rows], found.instead[rows] = _margins(block, mark, k)
        return found


@dataclass(frozen=True)
class Outcome:
    """Ranks of the questions of one language beside those of their English versions, in the order of the pools.

    A question succeeds if a relevant passage is among the first ``k``. The pools of both languages have the vectors
    ``passages``, shape ``[pool, dimension]`` each.
    """

    parallel: ParallelQuestions
    passages: tuple[Vectors, Vectors]
    k: int
    english: RankMargins
    other: RankMargins

    @classmethod
    def of(cls, parallel: ParallelQuestions, questions: Vectors, passages: Vectors, k: int) -> Self:
        """Rank all questions without changes, given the vectors of all questions and passages of the collection."""
        english, other = (passages[rows] for rows in parallel.passages)
        sides = zip(parallel.questions, (english, other), parallel.relevant, strict=True)
        margins = [RankMargins.of(questions[rows], pool, relevant, k) for rows, pool, relevant in sides]
        return cls(parallel, (english, other), k, margins[0], margins[1])

    def rank_margins(self, half: Half, numbers: Ints, vectors: Vectors) -> RankMargins:
        """Return rank and margin of wordings in one of the two languages, shape ``[wordings, dimension]``.

        ``numbers`` are those of the wordings' questions in :attr:`parallel`, in any order, with repeats.
        """
        question, position = self.parallel.relevant[half]
        # The pairs of a question are neighbours, as they are sorted.
        low, high = np.searchsorted(question, numbers), np.searchsorted(question, numbers, side="right")
        owner = np.repeat(np.arange(len(numbers)), high - low)
        taken = [position[a:b] for a, b in zip(low, high, strict=True)]
        relevant = np.concatenate(taken) if taken else np.zeros(0, np.int64)
        return RankMargins.of(vectors, self.passages[half], (owner, relevant), self.k)

    @property
    def language(self) -> str:
        """The language beside English."""
        return self.parallel.language

    @property
    def answered(self) -> Bools:
        """Whether English succeeds, shape ``[questions]``."""
        return self.english.rank <= self.k

    @property
    def weak(self) -> Bools:
        """Whether English succeeds and the other language fails, shape ``[questions]``."""
        return self.answered & (self.other.rank > self.k)

    def counts(self) -> dict[str, Any]:
        """Return the numbers of questions by outcome, and the sizes of the pools, English first."""
        other = self.other.rank <= self.k
        return {
            "asked_in_both": len(other),
            "answered_in_english": int(self.answered.sum()),
            "answered_in_both": int((self.answered & other).sum()),
            "only_in_english": int(self.weak.sum()),
            "only_in_the_other": int((~self.answered & other).sum()),
            "pools": [len(rows) for rows in self.parallel.passages],
            "pools_are": self.parallel.pools,
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
        if choice == "both":
            turns = [(place, kind, row) for kind, rows in enumerate((near, weak)) for place, row in enumerate(rows)]
            chosen = np.array([row for _, _, row in sorted(turns)], np.int64)
        elif choice == "random":
            chosen = np.random.default_rng(seed).permutation(np.flatnonzero(self.answered))
        else:
            chosen = near if choice == "near" else weak
        return chosen[:limit].astype(np.int64)

    def records(self, collection: Collection) -> list[dict[str, Any]]:
        """Return the weak pairs, the worst rank first, each with the passage that was retrieved instead."""
        places = np.flatnonzero(self.weak)
        places = places[np.argsort(-self.other.rank[places], kind="stable")]
        return [self.record(int(place), collection) for place in places]

    def record(self, place: int, collection: Collection) -> dict[str, Any]:
        """Return one question with its versions, ranks, margins, best relevant and best irrelevant passage."""
        found, texts, passages = self.parallel, collection.questions["text"], collection.passages
        sides: list[dict[str, Any]] = [
            {
                "question": texts[int(asked[place])].as_py(),
                "rank": int(side.rank[place]),
                "margin": float(side.margin[place]),
                "passage": passages["text"][int(pool[side.best[place]])].as_py(),
            }
            for asked, pool, side in zip(found.questions, found.passages, (self.english, self.other), strict=True)
        ]
        record: dict[str, Any] = {"group": found.groups[place], "language": self.language}
        for name in sides[0]:
            record |= {name: sides[1][name], f"{name}_in_english": sides[0][name]}
        instead = int(found.passages[1][self.other.instead[place]])
        return record | {"instead": {name: passages[name][instead].as_py() for name in ("language", "text")}}


class Distractors:
    """Draw short passages in English and another language that do not answer a question.

    A question's distractors depend on the seed, its group and the passages in English, so that they are the same in
    every language that has them.
    """

    def __init__(self, parallel: ParallelQuestions, collection: Collection, seed: int) -> None:
        self._parallel, self._seed = parallel, seed
        texts, groups = collection.passages["text"], collection.passages["group"]
        self._texts: list[dict[str, str]] = []
        for rows in parallel.passages:
            # Backwards, so that the first passage of a group remains.
            backwards = [(groups[row].as_py(), str(texts[row].as_py()).strip()) for row in reversed(rows.tolist())]
            self._texts.append({group: text for group, text in backwards if group})
        english, other = self._texts
        # All passages that are usable in English are drawn from, so that the draw is the same for every language.
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
        drawn = (self._order[place] for place in generator.permutation(len(self._order)))
        chosen = (group for group in drawn if group in self._usable and group not in answers)
        return tuple((self._texts[0][group], self._texts[1][group]) for group in islice(chosen, count))


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
