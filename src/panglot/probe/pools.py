"""Which questions are asked in English and another language, over parallel pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.data.language import canonical
from panglot.evaluation.exact_scores import Doubles, exponent, on_lattice, to_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.data.collection import Collection, Ints
    from panglot.encoders.protocol import Vectors

Pools = Literal["whole", "common"]

LIKE = 1.5
"""Pools of which the larger has more passages than this times the smaller's are not compared as they are."""


@dataclass(frozen=True)
class Parallel:
    """The questions that are there in English and in one other language, each with its answer in its pool.

    The first of each pair of arrays is English.

    Attributes:
        language: The other language.
        pools: Whether the pools are all passages of a language, or those of groups that both languages have.
        groups: Group of each question.
        questions: Rows in the collection's questions, shape ``[questions]`` each.
        passages: Rows in the collection's passages that make the pools, in the order of their ids.
        relevant: Relevant pairs: question, counted here, and position in the pool, sorted.
    """

    language: str
    pools: Pools
    groups: tuple[str, ...]
    questions: tuple[Ints, Ints]
    passages: tuple[Ints, Ints]
    relevant: tuple[tuple[Ints, Ints], tuple[Ints, Ints]]


def choose_languages(collection: Collection, wanted: Sequence[str] | None) -> tuple[str, list[str]]:
    """Return the collection's English and the languages to probe, by default all others.

    Raises:
        PanglotError: There is no English, a language is unknown or not in the collection, or none is left.
    """
    english = "en" if "en" in collection.languages else ""
    english = english or next((code for code in collection.languages if code.startswith("en-")), "")
    if not english:
        raise PanglotError(
            f"{collection.name} has no English (it has {', '.join(collection.languages)})",
            hint="probe a collection in which questions and passages are there in English too",
        )
    others = [code for code in collection.languages if code != english]
    chosen = list(dict.fromkeys(canonical(code) for code in wanted)) if wanted else others
    for code in chosen:
        if code == english:
            raise PanglotError("English is what the others are compared with", field="language", hint="leave it out")
        if code not in others:
            raise PanglotError(
                f"{collection.name} has no {code}", field="language", hint=f"choose among {', '.join(others)}"
            )
    if not chosen:
        raise PanglotError(f"{collection.name} has no language beside English", hint="choose another collection")
    return english, chosen


def parallel(collection: Collection, english: str, language: str, pools: Pools | None = None) -> Parallel | None:
    """Return the questions with a version and an answer in both languages; None where there is none.

    Of several versions in one language the first is taken. Pools are whole where they are of like size (see
    :data:`LIKE`), else cut down to the passage groups that both languages have, so that ranks can be
    compared.
    """
    codes = [collection.languages.index(code) for code in (english, language)]
    question_of, passage_of = collection.pairs
    group = np.array(collection.questions["group"].to_pylist(), object)
    passage_group = np.array(collection.passages["group"].to_pylist(), object)
    whole = [np.flatnonzero(collection.passage_language == code) for code in codes]
    common = set(passage_group[whole[0]]) & set(passage_group[whole[1]])
    sizes = sorted(len(rows) for rows in whole)
    kind: Pools = pools or ("whole" if sizes[1] <= LIKE * sizes[0] else "common")
    if kind == "common":
        whole = [rows[[name in common for name in passage_group[rows]]] for rows in whole]
    ids: list[str] = collection.passages["id"].to_pylist()
    members = [np.array(sorted(rows.tolist(), key=ids.__getitem__), np.int64) for rows in whole]
    asked = [
        _first(collection, code, rows, group, question_of, passage_of)
        for code, rows in zip(codes, members, strict=True)
    ]
    names = [name for name in asked[0] if name in asked[1]]
    if not names:
        return None
    questions = [np.array([side[name] for name in names], np.int64) for side in asked]
    relevant = [
        _relevant(rows, pool, question_of, passage_of, collection.passages.num_rows)
        for rows, pool in zip(questions, members, strict=True)
    ]
    return Parallel(
        language, kind, tuple(names), (questions[0], questions[1]), (members[0], members[1]),
        (relevant[0], relevant[1]),
    )  # fmt: skip


def check_depth(found: Parallel, k: int) -> None:
    """Raise where the first k of a pool could not hold k irrelevant passages.

    Raises:
        PanglotError: ``k`` is too large for a pool.
    """
    for pool, (question, _) in zip(found.passages, found.relevant, strict=True):
        most = len(pool) - int(np.bincount(question).max())
        if k > most:
            raise PanglotError(
                f"the first {k} of a pool of {len(pool)} passages ({found.language} beside English) are not a success",
                field="k",
                hint=f"use {max(1, most // 10)} or so" if most > 0 else "choose a collection with larger pools",
            )


def _first(
    collection: Collection,
    code: int,
    pool: Ints,
    group: npt.NDArray[np.object_],
    question_of: Ints,
    passage_of: Ints,
) -> dict[str, int]:
    """Return the first question of each group in a language that has an answer in the pool."""
    inside = np.zeros(collection.passages.num_rows, np.bool_)
    inside[pool] = True
    answered = np.unique(question_of[inside[passage_of]])
    answered = answered[collection.question_language[answered] == code]
    found: dict[str, int] = {}
    for row in answered.tolist():
        if group[row]:
            found.setdefault(str(group[row]), row)
    return found


def _relevant(questions: Ints, pool: Ints, question_of: Ints, passage_of: Ints, passages: int) -> tuple[Ints, Ints]:
    place = np.full(passages, -1, np.int64)
    place[pool] = np.arange(len(pool))
    number = np.full(max(int(question_of.max(initial=0)), int(questions.max(initial=0))) + 1, -1, np.int64)
    number[questions] = np.arange(len(questions))
    left, right = number[question_of], place[passage_of]
    keep = (left >= 0) & (right >= 0)
    pairs = np.unique(np.stack([left[keep], right[keep]]), axis=1)
    return pairs[0], pairs[1]


_CELLS = 1 << 22


@dataclass(frozen=True)
class RankMargins:
    """Where each question's best relevant passage stands in its pool.

    Attributes:
        rank: Rank of the best relevant passage, from 1, shape ``[questions]``.
        margin: Its score less that of the k-th irrelevant passage: a question succeeds at k where this is
            above 0, and fails where it is below; at 0 the passages' ids decide.
        best: Position of that relevant passage in the pool.
        instead: Position of the irrelevant passage that stands highest.
    """

    rank: Ints
    margin: Doubles
    best: Ints
    instead: Ints


def standing(
    questions: Vectors, passages: Vectors, relevant: tuple[Ints, Ints], k: int, *, cells: int = _CELLS
) -> RankMargins:
    """Rank by dot product; of equal scores the passage that stands first in the pool comes first.

    The scores are those of :func:`panglot.evaluation.ranks.rank`, the same bits for every block size.

    Args:
        questions: One row a question, shape ``[questions, dimension]``.
        passages: One row a passage, in the order of their ids, shape ``[pool, dimension]``.
        relevant: Question and position in the pool of each relevant pair, sorted by question; every question
            has at least one, and at least ``k`` passages of the pool are irrelevant to it.
        k: The depth that counts as success.
        cells: Scores in memory at once.
    """
    powers = exponent(questions), exponent(passages)
    left = on_lattice(questions, powers[0])
    columns = on_lattice(passages, powers[1]).astype(np.float64).T
    number = len(questions)
    rank, best, instead = (np.zeros(number, np.int64) for _ in range(3))
    margin = np.zeros(number)
    starts = np.searchsorted(relevant[0], np.arange(number + 1))
    size = max(1, cells // max(1, len(passages)))
    for low in range(0, number, size):
        high = min(low + size, number)
        products = (left[low:high].astype(np.float64) @ columns).astype(np.float32)
        scores = to_scores(products, sum(powers))
        mine = slice(starts[low], starts[high])
        mark = np.zeros(scores.shape, np.bool_)
        mark[relevant[0][mine] - low, relevant[1][mine]] = True
        found = _block(scores, mark, k)
        rank[low:high], margin[low:high], best[low:high], instead[low:high] = found
    return RankMargins(rank, margin, best, instead)


def _block(scores: Vectors, mark: npt.NDArray[np.bool_], k: int) -> tuple[Ints, Doubles, Ints, Ints]:
    row = np.arange(len(scores))
    own = np.where(mark, scores, -np.inf)
    rest = np.where(mark, -np.inf, scores)
    best, instead = own.argmax(axis=1), rest.argmax(axis=1)
    top = own[row, best][:, None]
    before = np.arange(scores.shape[1]) < best[:, None]
    ahead = ~mark & ((scores > top) | ((scores == top) & before))
    bar = -np.partition(-rest, k - 1, axis=1)[:, k - 1]
    return 1 + ahead.sum(axis=1), top[:, 0].astype(np.float64) - bar, best, instead


Half = Literal[0, 1]
"""English is 0, the other language 1."""


@dataclass(frozen=True)
class ParallelPools:
    """One language beside English.

    Attributes:
        parallel: Questions, pools and relevance.
        vectors: Of the passages of each pool, shape ``[pool, dimension]``.
        k: The depth that counts as success.
    """

    parallel: Parallel
    vectors: tuple[Vectors, Vectors]
    k: int

    @classmethod
    def of(cls, parallel: Parallel, passages: Vectors, k: int) -> ParallelPools:
        """Take the vectors of both pools out of those of the collection's passages."""
        english, other = (passages[rows] for rows in parallel.passages)
        return cls(parallel, (english, other), k)

    def stand(self, half: Half, numbers: Ints, vectors: Vectors) -> RankMargins:
        """Return where wordings of questions stand.

        Args:
            half: Which of the two languages.
            numbers: Which question of :attr:`parallel` each wording is of; any order, repeats allowed.
            vectors: One row a wording, shape ``[wordings, dimension]``.
        """
        question, position = self.parallel.relevant[half]
        low, high = np.searchsorted(question, numbers), np.searchsorted(question, numbers, side="right")
        owner = np.repeat(np.arange(len(numbers)), high - low)
        taken = [position[a:b] for a, b in zip(low, high, strict=True)]
        relevant = np.concatenate(taken) if taken else np.zeros(0, np.int64)
        return standing(vectors, self.vectors[half], (owner, relevant), self.k)
