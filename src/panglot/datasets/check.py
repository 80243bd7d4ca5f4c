"""Find everything that is wrong in a data set, and say where it is and how to fix it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.columns import normalized
from panglot.data.files import RowError
from panglot.data.language import identify
from panglot.data.names import contradicts
from panglot.data.overlap import Texts, find_shared, hash_texts
from panglot.datasets import registry
from panglot.datasets.catalog import CARDS
from panglot.datasets.decontaminate import Overlap, removal_mask
from panglot.datasets.registry import read_usable, split_language
from panglot.datasets.translations import is_mojibake


@dataclass(frozen=True)
class Remark:
    """Something that can be read, but that a person should look at.

    ``examples`` are up to three ids of questions or passages, or texts.
    """

    what: str
    number: int
    examples: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Report:
    """The findings about one data set.

    Attributes:
        name: The name of the data set.
        rejected: The rows that cannot be used. If there are any, the set as it is cannot be used.
        remarks: What can be used, and should be looked at.
        overlaps: What it shares with each test set.
        collection: What can be used, or None if that is nothing.
        unread: Why a test set could not be compared, by name.
    """

    name: str
    rejected: Sequence[RowError]
    remarks: tuple[Remark, ...]
    overlaps: tuple[Overlap, ...]
    collection: Collection | None = field(repr=False, default=None)
    unread: Mapping[str, str] = field(default_factory=dict)


def check(name_or_path: str | Path, *, against: Sequence[str] = (), data_dir: str | Path | None = None) -> Report:
    """Read a data set and return everything that is wrong with it, not only the first thing.

    Every row is checked (:func:`panglot.datasets.registry.read_usable`), the texts are looked through
    (:func:`remarks`), and they are compared with the test sets.

    Args:
        name_or_path: As for :func:`panglot.read`.
        against: Test sets, ``NAME[:PART]`` or a path. Without a part it is the one that must not be trained on.
        data_dir: The folder that holds the folders of the known sets.

    Raises:
        PanglotError: There is no such file or set, or an unknown name in ``against``.
    """
    collection, rejected = read_usable(name_or_path, data_dir=data_dir)
    if collection is None:
        return Report(str(name_or_path), rejected, (), ())
    tests: list[tuple[str, Texts]] = []
    unread: dict[str, str] = {}
    for name in against:
        try:
            tests.append(hash_texts(_test_set(name, collection, data_dir)))
        except PanglotError as error:
            if not split_language(name)[0].exists() and not registry.is_known(name):
                raise
            unread[name] = str(error)
    found = removal_mask(collection, find_shared(collection, tests))[2] if tests else ()
    return Report(collection.name, rejected, tuple(remarks(collection)), found, collection, unread)


def remarks(collection: Collection) -> Iterator[Remark]:
    """Yield what can be read and a person should look at: repeats, wrong decoding, questions as answers."""
    for what, hint, found in _findings(collection):
        if found:
            yield Remark(what, len(found), tuple(found[:3]), hint)


def _findings(collection: Collection) -> Iterator[tuple[str, str, list[str]]]:
    """Yield what to look at, what to do about it, and where it is."""
    questions, passages = collection.questions.to_pylist(), collection.passages.to_pylist()
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for question in questions:
        groups[question["language"], normalized(question["text"])].add(question["group"])
    hint = "join the groups if they mean the same. Training never opposes them"
    yield "questions asked in several groups", hint, [text for (_, text), where in groups.items() if len(where) > 1]
    times = Counter((p["language"], normalized(p["text"])) for p in passages)
    hint = "keep one, because a copy without a judgement counts as wrong"
    yield "passages that occur several times", hint, [text for (_, text), number in times.items() if number > 1]
    pairs = zip(*(side.tolist() for side in collection.pairs), strict=True)
    own = [(questions[q], passages[p]) for q, p in pairs if questions[q]["language"] == passages[p]["language"]]
    same = [question["id"] for question, answer in own if normalized(question["text"]) == normalized(answer["text"])]
    yield "questions that are their own answer", "leave them out, because they teach nothing", same
    for side, texts in (("questions", questions), ("passages", passages)):
        for what, hint, looks_wrong in _TEXT_CHECKS:
            yield f"{side} {what}", hint, [text["id"] for text in texts if looks_wrong(text["text"])]
    for side, texts in (("questions", questions), ("passages", passages)):
        yield from _labels(side, texts)
    answered = {question["language"] for question, _ in own}
    what = "languages with questions, none of which has an answer in its own language"
    hint = "add passages in the language, or expect no monolingual figures for it"
    yield what, hint, sorted({question["language"] for question in questions} - answered)


def _labels(side: str, texts: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Compare the language of up to 200 texts per language, evenly spread, with what a detector says.

    A text is in another language only if that is sure (:func:`panglot.data.names.contradicts`). Short texts are joined.
    """
    by_language: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for text in texts:
        by_language[text["language"]].append(text)
    for language, own in sorted(by_language.items()):
        some = [own[len(own) * i // _SAMPLE] for i in range(_SAMPLE)] if len(own) > _SAMPLE else own
        wrong = [text["id"] for text in some if contradicts(text["text"], language)]
        likely = Counter(identify(text["text"]).language for text in some if text["id"] in set(wrong))
        if not wrong and contradicts(" ".join(text["text"] for text in some), language):
            wrong = [text["id"] for text in some]
            likely[identify(" ".join(text["text"] for text in some)).language] += 1
        found = ", ".join(code for code, _ in likely.most_common(3))
        what = f"of {len(some)} {side} labelled {language} that are not in it, as a detector says ({found})"
        yield what, "correct the labels, or leave these texts out", wrong


_SAMPLE = 200
_TEXT_CHECKS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("that were decoded wrongly", "decode the source again, as UTF-8", is_mojibake),
    ("of fewer than 3 letters", "leave them out", lambda text: sum(map(str.isalnum, text)) < 3),
    ("with HTML tags", "remove the tags", lambda text: "</" in text or "&nbsp;" in text),
)


def _test_set(name: str, collection: Collection, data_dir: str | Path | None) -> Collection:
    """Return the test set, in the collection's languages where a known set has them."""
    head = registry.set_name(name)
    if head not in CARDS:
        return registry.read(name, data_dir=data_dir)
    card = CARDS[head]
    part = card.test_only[0] if ":" not in name and card.test_only and "*" not in card.test_only else None
    common = [code for code in card.languages if code in collection.languages]
    if not common:
        spoken = ", ".join(collection.languages)
        raise PanglotError(f"{head} has none of its languages ({spoken})", hint="compare with another test set")
    if "topics" in card.candidates and "@" not in name:
        name = f"{name}@topics"  # These sets have millions of passages, which are mostly not there.
    return registry.read(name, part=part, data_dir=data_dir, languages=common)
