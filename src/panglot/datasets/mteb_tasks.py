"""Retrieval tasks of mteb, with the passages of all their subsets in one pool."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

from panglot._environment import require
from panglot._errors import PanglotError, first_line
from panglot.data.collection import Collection, Text
from panglot.data.columns import DisjointSets
from panglot.data.language import Detector, canonical

#: Texts of each side of a subset whose languages are detected, to learn which of two languages is which side's.
_SAMPLE = 20


class _Subset(NamedTuple):
    """One subset of a task, as mteb loads it."""

    name: str
    languages: tuple[str, ...]
    questions: Mapping[str, str]  # text by id
    passages: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]


@dataclass
class _Texts:
    """The questions or passages of all subsets.

    A text of a language is one, whichever subsets it is in. Where a subset repeats a text, its repeats stay apart.
    """

    ids: dict[tuple[str, str, int], str] = field(default_factory=dict)  # by language, text, and number of the repeat
    taken: set[str] = field(default_factory=set)

    def add(self, texts: Mapping[str, str], language: str, subset: str, *, plain: bool) -> dict[str, str]:
        """Return our id of each id of a subset."""
        found: dict[str, str] = {}
        repeats: Counter[str] = Counter()
        for theirs, text in texts.items():
            key = language, text, repeats[text]
            repeats[text] += 1
            if key not in self.ids:
                names = (theirs if plain else f"{language}/{theirs}", f"{subset}/{theirs}")
                self.ids[key] = next(name for name in names if name not in self.taken)
                self.taken.add(self.ids[key])
            found[theirs] = self.ids[key]
        return found


def read_name(name: str, languages: Sequence[str] | None = None) -> Collection:
    """Read ``mteb:TASK[:SPLIT]``. Only subsets whose languages are all among ``languages`` are loaded.

    Raises:
        PanglotError: mteb is not installed, has no such retrieval task, or cannot load it.
    """
    require("a task of mteb", "mteb", extra="mteb")
    task_name, _, split = name.removeprefix("mteb:").partition(":")
    try:
        task = import_module("mteb").get_task(task_name)
    except KeyError as error:
        problem = f"mteb has no task {task_name!r}"
        raise PanglotError(problem, field="datasets", hint=str(error.args[0]).partition("not found. ")[2] or (
            "see `mteb available-tasks`"
        )) from error  # fmt: skip
    return read_task(task, split=split or None, languages=languages)


def read_task(task: Any, *, split: str | None = None, languages: Sequence[str] | None = None) -> Collection:
    """Return a retrieval task of mteb, loaded or not, as a collection.

    mteb measures each subset (a language, or a pair) alone. Here, all passages of the task are one collection, so that
    each language and all languages together can be the pool. A document is its title and text, and a question its text
    and instruction, as mteb gives them to models.

    Questions of one id in several languages that share a relevant passage are versions of each other, and so are their
    relevant passages if there is one per language. Of a task that pairs no languages, nothing is known to be parallel.
    mteb does not say which of the two languages of a subset is the questions'. That is learnt from their text, once for
    the whole task, with a warning.

    Args:
        task: A task, as from ``mteb.get_task``, or one of your own.
        split: The split, by default ``test``, or the first one that mteb measures.
        languages: Load only subsets whose languages are all among these.

    Raises:
        PanglotError: This is not a retrieval task of texts, or it cannot be loaded.
    """
    require("a task of mteb", "mteb", extra="mteb")
    metadata = task.metadata
    subsets = list(_load(task, split, languages))
    swapped = _are_swapped(subsets, metadata.name)
    plain = len(subsets) == 1
    asked, answering = _Texts(), _Texts()
    qrels: dict[tuple[str, str], int] = {}
    same_id: dict[str, dict[str, None]] = {}
    missing = 0
    for subset in subsets:
        ends = subset.languages[0], subset.languages[-1]
        first, second = ends[::-1] if swapped else ends
        questions = asked.add(subset.questions, first, subset.name, plain=plain)
        passages = answering.add(subset.passages, second, subset.name, plain=plain)
        for question, judged in subset.qrels.items():
            same_id.setdefault(question, {})[questions[question]] = None
            for passage, relevance in judged.items():
                if passage not in passages:
                    missing += 1
                    continue
                pair = questions[question], passages[passage]
                qrels[pair] = max(int(relevance), qrels.get(pair, 0))
    if missing:
        note = f"{missing:,} judgements name a passage that is not in the corpus, and do not count"
        warnings.warn(f"mteb:{metadata.name}: {note}", RuntimeWarning, stacklevel=2)
    groups = _groups(asked, answering, qrels, same_id)
    texts = [
        [Text(name, language, group.get(name, ""), text) for (language, text, _), name in side.ids.items()]
        for side, group in zip((asked, answering), groups, strict=True)
    ]
    chosen = split or _default_split(metadata.eval_splits)
    facts = {"title": metadata.description, "licence": metadata.license or "", "source": metadata.reference or "",
             "part": chosen, "candidates": "passage", "test_only": "no" if chosen == "train" else "yes"}  # fmt: skip
    if task.ignore_identical_ids and (equal := asked.taken & answering.taken):
        facts["equal_ids"] = str(len(equal))
    judged = ((question, passage, relevance) for (question, passage), relevance in qrels.items())
    return Collection.build(f"mteb:{metadata.name}", texts[0], texts[1], judged, facts)


def _default_split(splits: Sequence[str]) -> str:
    return "test" if "test" in splits else splits[0]


def _load(task: Any, split: str | None, languages: Sequence[str] | None) -> Iterator[_Subset]:
    """Load a task and yield its subsets."""
    retrieval: Any = import_module("mteb.abstasks.retrieval")
    metadata = task.metadata
    where = f"mteb:{metadata.name}"
    if not isinstance(task, retrieval.AbsTaskRetrieval) or metadata.modalities != ["text"]:
        kind = " and ".join(metadata.modalities) + f", of type {metadata.type}"
        raise PanglotError(f"{where} is a task of {kind}", field="datasets", hint="name a retrieval task of texts")
    if split is not None and split not in metadata.eval_splits:
        hint = f"choose one of {', '.join(metadata.eval_splits)}"
        raise PanglotError(f"mteb does not measure the split {split!r} of {metadata.name}", field="split", hint=hint)
    by_subset = metadata.eval_langs if isinstance(metadata.eval_langs, dict) else {"default": metadata.eval_langs}
    codes = {name: tuple(map(canonical, found)) for name, found in by_subset.items()}
    wanted = {canonical(code) for code in languages or ()}
    chosen = [name for name, found in codes.items() if not wanted or wanted.issuperset(found)]
    if not chosen:
        hint = f"choose among {', '.join(sorted({code for found in codes.values() for code in found}))}"
        raise PanglotError(f"no subset of {where} is in these languages", field="languages", hint=hint)
    if mixed := [name for name in chosen if len(codes[name]) > 2]:
        chosen = [name for name in chosen if name not in mixed]
        note = f"{', '.join(mixed)} have several languages each, and mteb does not say of which each text is"
        if not chosen:
            hint = "convert it to JSON lines with a `language` in each row"
            raise PanglotError(f"{where}: the subsets {note}", field="datasets", hint=hint)
        warnings.warn(f"{where} without the subsets that {note}", RuntimeWarning, stacklevel=4)
    part = split or _default_split(metadata.eval_splits)
    if not task.data_loaded:
        task.hf_subsets = [name for name in task.hf_subsets if name in chosen] or task.hf_subsets
        task.filter_eval_splits([part])
        try:
            task.load_data()
        except Exception as error:  # each cause has its own class
            hint = "mteb downloads tasks from the hub: check the network"
            raise PanglotError(f"mteb cannot load {metadata.name}: {first_line(error)}", hint=hint) from error
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    for name in chosen:
        if part in task.dataset.get(name, {}):
            yield _subset(name, codes[name], task.dataset[name][part], where)


def _subset(name: str, languages: tuple[str, ...], data: Mapping[str, Any], where: str) -> _Subset:
    if data.get("top_ranked"):
        problem = f"{where} ranks a few given passages per question, not a pool"
        raise PanglotError(problem, field="datasets", hint="measure it with mteb, by `panglot.mteb_model`")
    qrels = {question: judged for question, judged in data["relevant_docs"].items() if judged}
    questions, passages = data["queries"], data["corpus"]
    if any(not isinstance(text, str) for text in islice(questions["text"], 1)):
        raise PanglotError(f"{where} asks in conversations", field="datasets", hint="name a task of single questions")
    more = questions["instruction"] if "instruction" in questions.column_names else [None] * len(questions)
    asked = {
        identity: text if instruction is None else f"{text} {instruction}"
        for identity, text, instruction in zip(questions["id"], questions["text"], more, strict=True)
        if identity in qrels
    }
    titles = passages["title"] if "title" in passages.column_names else [""] * len(passages)
    held = {
        identity: f"{title or ''} {text}".strip()
        for identity, title, text in zip(passages["id"], titles, passages["text"], strict=True)
    }
    return _Subset(name, languages, asked, held, {key: qrels[key] for key in asked})


def _are_swapped(subsets: Sequence[_Subset], name: str) -> bool:
    """Return whether the second of a subset's two languages is the questions'.

    Detected languages decide once for the whole task, because a task writes all its pairs alike.
    """
    pairs = [subset for subset in subsets if len(set(subset.languages)) == 2]
    if not pairs:
        return False
    balance = 0
    for subset in pairs:
        first, second = subset.languages
        detector = Detector(subset.languages)
        for texts, own in ((subset.questions, first), (subset.passages, second)):
            found = Counter(detector.detect(text) for text in islice(texts.values(), _SAMPLE))
            balance += found[own] - found[second if own == first else first]
    if not balance:
        problem = f"neither mteb nor the texts of {name} show which languages are those of the questions"
        raise PanglotError(problem, field="datasets", hint="convert it to JSON lines with a `language` in each row")
    example = pairs[0]
    asked, answered = example.languages if balance > 0 else example.languages[::-1]
    note = f"by the text, questions of the subset {example.name} are in {asked} and passages in {answered}"
    warnings.warn(
        f"mteb:{name}: mteb does not say which side is in which language; {note}", RuntimeWarning, stacklevel=3
    )
    return balance < 0


def _groups(
    asked: _Texts,
    answering: _Texts,
    qrels: Mapping[tuple[str, str], int],
    same_id: Mapping[str, Mapping[str, None]],
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the group of each question and passage that has versions in other languages."""
    languages = [{name: language for (language, _, _), name in side.ids.items()} for side in (asked, answering)]
    answers: dict[str, set[str]] = {}
    for (question, passage), relevance in qrels.items():
        if relevance > 0:
            answers.setdefault(question, set()).add(passage)
    versions, held = DisjointSets[str](), DisjointSets[str]()
    for names in same_id.values():
        by_passage: dict[str, str] = {}
        for name in names:
            for passage in answers.get(name, ()):
                versions.join([by_passage.setdefault(passage, name), name])
    members: dict[str, dict[str, None]] = {}
    for name in answers:
        members.setdefault(versions.first(name), {})[name] = None
    for names in members.values():
        found = sorted({passage for name in names for passage in answers[name]})
        if len({languages[1][passage] for passage in found}) == len(found):
            held.join(found)
    sets = (versions, languages[0]), (held, languages[1])
    firsts = [{name: group.first(name) for name in names} for group, names in sets]
    several = [{name for name, number in Counter(found.values()).items() if number > 1} for found in firsts]
    named = [
        {name: first for name, first in found.items() if first in many}
        for found, many in zip(firsts, several, strict=True)
    ]
    return named[0], named[1]
