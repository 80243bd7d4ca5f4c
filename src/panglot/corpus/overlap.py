"""Texts that training sets and test sets share, and what must be left out of training for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.corpus._grams import grams
from panglot.corpus.collection import Collection, Ints
from panglot.corpus.matches import NOTHING, Matches, Texts

THRESHOLD = 0.5
_EXAMPLES = 3
_SLICE = 1 << 16


@dataclass(frozen=True)
class Overlap:
    """What a training set shares with one test set.

    Attributes:
        training: Name of the training set.
        test: Name of the test set.
        equal: Distinct texts of the training set that are equal to a text of the test set.
        near: Distinct texts of the training set that are not equal but share at least the threshold.
        highest: The largest share below the threshold, 0 to 1.
        groups: Groups of questions and of passages of the training set that hold such a text.
        examples: The first few pairs, text of the training set first.
        nearest: The pair with the share ``highest``, or None where nothing below the threshold is shared.
    """

    training: str
    test: str
    equal: int
    near: int
    highest: float
    groups: int
    examples: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    nearest: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Shared:
    """What the distinct texts of a training set share with one test set.

    Attributes:
        test: Name of the test set.
        taken: Places of the texts that share at least the threshold, rising.
        equal: Places of those that are equal to a text of the test set, rising.
        highest: As in :class:`Overlap`, like ``examples`` and ``nearest``.
        examples: The first few pairs.
        nearest: The pair with that share.
    """

    test: str
    taken: tuple[int, ...]
    equal: tuple[int, ...]
    highest: float
    examples: tuple[tuple[str, str], ...]
    nearest: tuple[str, str] | None


class Distinct(Sequence[str]):
    """The distinct texts of a collection, as Arrow has them: read a few thousand at a time.

    Attributes:
        places: The place of each question's text and of each passage's text among them.
    """

    def __init__(self, texts: pa.StringArray, places: Sequence[Ints]) -> None:
        self._texts, self.places = texts, places

    @classmethod
    def of(cls, collection: Collection) -> Distinct:
        """Return those of questions and passages together."""
        columns = [table["text"].combine_chunks() for table in (collection.questions, collection.passages)]
        whole = pa.chunked_array(columns, pa.string()).combine_chunks().dictionary_encode()
        place = whole.indices.to_numpy().astype(np.int64)
        return cls(whole.dictionary, np.split(place, [collection.questions.num_rows]))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: int) -> str:  # type: ignore[override]
        return self._texts[place].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._texts), _SLICE):
            yield from self._texts.slice(start, _SLICE).to_pylist()

    @property
    def digest(self) -> str:
        """SHA-256 of the texts, in order."""
        offsets, letters = (np.frombuffer(part or b"", np.uint8) for part in self._texts.buffers()[1:])
        size = np.frombuffer(offsets, np.int32)[: len(self) + 1]
        return digest(size.tobytes(), letters[: int(size[-1]) if len(size) else 0].tobytes())


def leave_out(
    training: Collection, tests: Sequence[Collection | tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with the test sets, and what that was.

    A text goes if it is equal to a text of a test set, question or passage, or shares at least ``threshold`` of the
    n-grams of the one that has fewer (:class:`Matches`). With it go its group in all languages, for a
    translation tells as much, and the question groups that any passage of its group answers.

    Args:
        training: What would be trained on.
        tests: What will be measured on; for several training sets, hash them once with :func:`prepare`.
        threshold: From which share on, above 0 to 1.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    known = [prepare(test) if isinstance(test, Collection) else test for test in tests]
    texts = Distinct.of(training)
    return without(training, texts, shared(texts, known, threshold=threshold))


def shared(texts: Distinct, tests: Sequence[tuple[str, Texts]], *, threshold: float = THRESHOLD) -> tuple[Shared, ...]:
    """Return what the texts of a training set share with each test set.

    n-grams of the test sets are held, those of the training set pass by: memory does not grow with it.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold <= 1:
        raise PanglotError(f"a threshold of {threshold}", field="threshold", cure="give a number above 0, at most 1")
    found: list[list[Matches]] = [[] for _ in tests]
    for start, part in grams(texts) if tests else ():
        for matches, (_, known) in zip(found, tests, strict=True):
            matches.append(known.found_in(start, part))
    return tuple(
        _shared(name, texts, known, [*matches, NOTHING], threshold)
        for (name, known), matches in zip(tests, found, strict=True)
    )


def _shared(name: str, texts: Distinct, known: Texts, parts: Sequence[Matches], threshold: float) -> Shared:
    matches = Matches(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    taken = matches.share >= threshold
    below = np.where(taken, 0.0, matches.share)
    highest = float(below.max(initial=0))

    def pair(at: int) -> tuple[str, str]:
        return texts[int(matches.first[at])], known.texts[int(matches.second[at])]

    return Shared(
        name,
        tuple(np.unique(matches.first[taken]).tolist()),
        tuple(np.unique(matches.first[matches.equal]).tolist()),
        highest,
        tuple(pair(at) for at in np.flatnonzero(taken)[:_EXAMPLES].tolist()),
        pair(int(below.argmax())) if highest else None,
    )


def without(training: Collection, texts: Distinct, found: Sequence[Shared]) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with test sets, and what that was; as :func:`leave_out`."""
    tables = training.questions, training.passages
    gone = [np.zeros(table.num_rows, bool) for table in tables]
    told: list[Overlap] = []
    for each in found:
        groups = 0
        if each.taken:
            marked = np.zeros(len(texts), bool)
            marked[list(each.taken)] = True
            whole = [_whole_groups(table, marked[place]) for table, place in zip(tables, texts.places, strict=True)]
            gone = [before | more for before, more in zip(gone, whole, strict=True)]
            groups = sum(len(t["group"].filter(pa.array(m)).unique()) for t, m in zip(tables, whole, strict=True))
        near = len(each.taken) - len(each.equal)
        told.append(
            Overlap(training.name, each.test, len(each.equal), near, each.highest, groups, each.examples, each.nearest)
        )
    question, passage = training.pairs
    questions = gone[0].copy()
    questions[question[gone[1][passage]]] = True
    return training.keep(~_whole_groups(tables[0], questions), ~gone[1]), tuple(told)


def prepare(test: Collection) -> tuple[str, Texts]:
    """Return the name of a test set and its texts, hashed, as :func:`leave_out` takes them."""
    return test.name, Texts(Distinct.of(test))


def _whole_groups(table: pa.Table, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark the groups of the marked rows."""
    number = table["group"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    hit = np.zeros(int(number.max(initial=-1)) + 1, bool)
    hit[number[marked]] = True
    return hit[number]
