"""Keep training sets clear of test sets, named or not, and remember by content what was found.

Matching is exact: every n-gram of the test sets is held, 16 bytes each, and those of the training set pass by in
pieces, so that memory does not grow with the training set. What is left of a large set is written to the cache once
and memory-mapped. If nothing is shared, it is the set itself.

MinHash would do worse here. It estimates the Jaccard index of two texts. A training set mostly shares a sentence or a
question inside a paragraph with a test set, and then the Jaccard index is small however surely the text is contained.
Of the 24 pairs of texts that MLQA dev or TyDi QA train nearly share with XQuAD-R, TyDi QA dev, XOR-TyDi dev and MIRACL
dev, it is above one half in 6. Nor would MinHash save memory: the n-grams of those test sets take 13 MB, signatures of
128 numbers for their texts 32 MB.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest, write_json
from panglot.data.collection import Collection, cached_subset
from panglot.data.columns import Bools, Ints32, number_groups
from panglot.data.overlap import THRESHOLD, Shared, Texts, find_shared, hash_texts
from panglot.datasets import registry
from panglot.datasets.catalog import CARDS
from panglot.datasets.suite import Form, is_suite, read_suite

_AUTO = "auto"
# Raise it whenever the same texts would be found to share something else.
_VERSION = 3


@dataclass(frozen=True)
class TestSet:
    """A test set that has not been read yet, as a :class:`panglot.datasets.suite.Form` has not.

    It must be readable if the user named it (``required``).
    """

    name: str
    languages: tuple[str, ...] = ()
    required: bool = True

    def identity(self, data_dir: str | Path | None) -> str | None:
        """Return a digest of what :meth:`read` would read, or None if it cannot be known without reading."""
        return registry.identity(self.name, data_dir=data_dir, languages=self.languages)

    def read(self, data_dir: str | Path | None) -> Collection:
        """Read the set."""
        return registry.read(self.name, data_dir=data_dir, languages=self.languages or None)


@dataclass(frozen=True)
class Overlap:
    """Count what a training set shares with one test set, as :class:`Shared` does.

    ``groups`` counts the groups of questions and of passages of the training set that hold such a text.
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
class Decontaminated:
    """What is left of a training set, what it shared with each of the test sets that were ``compared``, by name.

    ``unread`` says why a test set could not be compared.
    """

    collection: Collection
    overlaps: tuple[Overlap, ...]
    unread: dict[str, str]
    compared: tuple[str, ...]


def decontaminate(
    training: Collection,
    exclude: Sequence[str],
    *,
    data_dir: str | Path | None = None,
    only: AbstractSet[str] | None = None,
) -> Decontaminated:
    """Return a training set without the texts that it shares with test sets (:func:`exclude`).

    Args:
        training: What would be trained on.
        exclude: Test sets, as for :func:`panglot.read`, or suites. ``auto`` means all that :func:`available_tests`
            finds.
        data_dir: The folder that holds the folders of the known sets.
        only: Of the sets that ``auto`` finds, take these alone. A resumed run passes those that it began with.

    Raises:
        PanglotError: A set that was named cannot be read, or nothing is left.
    """
    found_tests = available_tests(training.languages, data_dir=data_dir) if _AUTO in exclude else ()
    tests: list[TestSet | Form] = [test for test in found_tests if only is None or test.name in only]
    for name in exclude:
        if name != _AUTO and is_suite(name):
            tests += read_suite(name).forms
        elif name != _AUTO:
            tests.append(TestSet(name))
    found: list[Shared | None] = []
    keys: list[str | None] = []
    names: list[str] = []
    unread: dict[str, str] = {}
    unknown: list[tuple[int, tuple[str, Texts]]] = []
    for test in tests:
        try:
            state = test.identity(data_dir)
            key = digest(str(_VERSION), training.digest, test.name, state) if state is not None else None
            remembered = _remembered(key) if key else None
            if remembered is None:
                unknown.append((len(found), hash_texts(test.read(data_dir))))
        except PanglotError as error:
            if isinstance(test, Form) or test.required:
                raise
            unread[test.name] = str(error)
            continue
        found.append(remembered)
        keys.append(key)
        names.append(test.name)
    # The training texts pass by once, for all test sets of which nothing was remembered.
    fresh = find_shared(training, [test for _, test in unknown]) if unknown else ()
    for (at, _), each in zip(unknown, fresh, strict=True):
        found[at] = each
        _remember(keys[at], each)
    left, overlaps = exclude_shared(training, [each for each in found if each is not None])
    if not _answers(left) and _answers(training):
        most = max(overlaps, key=lambda each: each.groups)
        problem = f"nothing of {training.name} is left: it shares {most.groups:,} groups with the test set {most.test}"
        hint = (
            "train on another set, name the test sets that you will measure on, as in `--exclude xquad-r`, or hold out"
            " a dev set with `--dev-share`"
        )
        raise PanglotError(problem, field="exclude", hint=hint)
    return Decontaminated(left, overlaps, unread, tuple(names))


def exclude(
    training: Collection, tests: Sequence[Collection | tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with the test sets, and what that was.

    A text goes if it is equal to a question or passage of a test set, or shares at least ``threshold`` of the n-grams
    of the one that has fewer (:class:`panglot.data.overlap.Matches`). Its group goes with it in all languages, because
    a translation gives away as much. So do the question groups that any passage of its group answers.

    The training set passes by in pieces. What is left of a large one is memory-mapped from the cache.

    Args:
        training: What would be trained on.
        tests: The test sets. For several training sets, hash them once with :func:`hash_texts`.
        threshold: The smallest share that counts, above 0 and at most 1.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    known = [hash_texts(test) if isinstance(test, Collection) else test for test in tests]
    return exclude_shared(training, find_shared(training, known, threshold=threshold))


def exclude_shared(training: Collection, found: Sequence[Shared]) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with test sets, and what that was, as :func:`exclude` does."""
    questions, passages, overlaps = removal_mask(training, found)
    return cached_subset(training, ~questions, ~passages), overlaps


def removal_mask(training: Collection, found: Sequence[Shared]) -> tuple[Bools, Bools, tuple[Overlap, ...]]:
    """Mark the questions and passages that :func:`exclude` leaves out, and say what is shared with each test set."""
    asked = training.questions.num_rows
    questions, passages = np.zeros(asked, bool), np.zeros(training.passages.num_rows, bool)
    groups = [0] * len(found)
    if any(len(each.taken) for each in found):
        sides = [np.split(each.taken, [np.searchsorted(each.taken, asked)]) for each in found]
        group = number_groups(training.passages["group"])
        gone, of_passages = _groups(group, [rows - np.int32(asked) for _, rows in sides])
        passages = gone[group]
        group = number_groups(training.questions["group"])
        gone, of_questions = _groups(group, [rows for rows, _ in sides])
        for question, passage in training.walk_pairs():
            gone[group[question[passages[passage]]]] = True
        questions = gone[group]
        groups = [a + b for a, b in zip(of_questions, of_passages, strict=True)]
    overlaps = (
        Overlap(training.name, each.test, each.equal, each.near, each.highest, number, each.examples, each.nearest)
        for each, number in zip(found, groups, strict=True)
    )
    return questions, passages, tuple(overlaps)


def _groups(group: Ints32, marked: Sequence[Ints32]) -> tuple[Bools, list[int]]:
    """Mark the groups that have a row in any list, and count the groups of each list."""
    gone = np.zeros(int(group.max(initial=-1)) + 1, bool)
    counts: list[int] = []
    for rows in marked:
        hit = np.unique(group[rows])
        gone[hit] = True
        counts.append(len(hit))
    return gone, counts


def available_tests(languages: Sequence[str], *, data_dir: str | Path | None = None) -> Iterator[TestSet]:
    """Yield the known sets and parts that must not be trained on, if their files are there, in these languages.

    Nothing is downloaded. Of sets with millions of passages only the questions are compared. Sets whose added passages
    come out of other sets (``tydiqa-goldp-large``) are compared only by name.
    """
    for card in CARDS.values():
        if not card.test_only or card.requires or (card.folder and registry.find(card, data_dir) is None):
            continue
        common = tuple(code for code in card.languages if code in languages)
        if card.pairs:
            yield from (TestSet(f"{card.name}:{code}", required=False) for code in common if code != "en")
        elif common:
            style = "@topics" if "topics" in card.candidates else ""
            for part in (card.parts or ("",)) if "*" in card.test_only else card.test_only:
                yield TestSet(card.name + (f":{part}" if part else "") + style, common, required=False)


def _answers(collection: Collection) -> bool:
    return any(len(question) for question, _ in collection.walk_pairs())


def _place(key: str) -> Path:
    return cache_folder() / "overlaps" / f"{key}.json"


def _remembered(key: str) -> Shared | None:
    try:
        values: dict[str, Any] = json.loads(_place(key).read_text("utf-8"))
        values["taken"] = np.frombuffer(zlib.decompress(b64decode(values["taken"])), "<i4").astype(np.int32)
        values["examples"] = tuple((mine, theirs) for mine, theirs in values["examples"])
        values["nearest"] = values["nearest"] and tuple(values["nearest"])
        return Shared(**values)
    except (OSError, ValueError, KeyError, IndexError, TypeError, zlib.error):
        return None


def _remember(key: str | None, shared: Shared) -> None:
    if key is not None:
        try:
            rows = b64encode(zlib.compress(shared.taken.astype("<i4").tobytes())).decode()
            write_json(_place(key), {**vars(shared), "taken": rows})
        except PanglotError:
            return  # The cache cannot be written, so the overlap is found again next time.
