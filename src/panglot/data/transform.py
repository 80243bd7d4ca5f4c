"""Make collections of texts in groups, and hold out, sample, filter and concatenate them in whole blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import QRELS, Collection, Text, cached_subset, in_languages, text_table
from panglot.data.columns import (
    Bools,
    Ints,
    Ints32,
    connect,
    number_groups,
    pc,
    ranks,
    smallest_together,
    text_numbers,
    walk,
)
from panglot.data.language import canonical_codes


def check_languages(collections: Iterable[Collection], languages: Iterable[str]) -> None:
    """Refuse a language that none of the collections has, because the result would lack it without a word."""
    wanted = set(canonical_codes(languages))
    present = {code for each in collections for code in each.languages} if wanted else wanted
    if missing := sorted(wanted - present):
        problem, hint = f"no data set has text in {', '.join(missing)}", "leave it out, or add a data set that has it"
        raise PanglotError(problem, field="languages", hint=hint)


def blocks(collection: Collection, together: str = "") -> tuple[Ints32, Ints32]:
    """Return the block of every question and of every passage: shapes ``[questions]`` and ``[passages]``.

    Blocks are the connected parts of the collection: texts of one group, texts of one side and language that are equal
    up to case, blanks and composition, and a question and the passages that it was judged with, are in one block. So
    are groups in whose names the regular expression ``together`` finds the same, if it is given. Blocks are numbered by
    first question, then by first passage. Texts pass by in pieces.
    """
    questions, passages = collection.questions.num_rows, collection.passages.num_rows
    block = connect(questions + passages, _ties(collection, together))
    count = int(block.max(initial=-1)) + 1
    judged = [np.empty(0, np.int64)]
    for batch in walk(collection.qrels):
        asked, answering = block[batch["question"].to_numpy()], block[batch["passage"].to_numpy() + np.int32(questions)]
        # The versions of a question mostly follow each other, in one block, and so do those of its passages.
        judged.append(np.unique(asked.astype(np.int64) * count + answering))
    left, right = (side.astype(np.int32) for side in np.divmod(np.concatenate(judged), max(1, count)))
    apart = left != right
    least = smallest_together(count, left[apart], right[apart])
    block = ranks(least)[block]
    return block[:questions], block[questions:]


def hold_out(collection: Collection, share: float, seed: int, together: str = "") -> tuple[Collection, Collection]:
    """Split a collection into ``(train, dev)``, about ``share`` of the questions in dev.

    Whole blocks (see :func:`blocks`, also for ``together``) are drawn, so that no group, no passage and no text is in
    both. A block that would give dev more than its share is skipped. Passages that answer no question stay in train.

    Raises:
        PanglotError: ``share`` is not between 0 and 1, or all questions are in one block.
    """
    question_block, passage_block = blocks(collection, together)
    chosen = _draw_blocks(collection.name, question_block, passage_block, share, seed)
    dev = chosen[question_block], chosen[passage_block]
    return cached_subset(collection, ~dev[0], ~dev[1]), cached_subset(collection, *dev)


def sample(collection: Collection, share: float, seed: int) -> Collection:
    """Return about ``share`` of the whole blocks of a collection, and of the passages that answer no question.

    Raises what :func:`hold_out` raises.
    """
    question_block, passage_block = blocks(collection)
    chosen = _draw_blocks(collection.name, question_block, passage_block, share, seed)
    asked = np.zeros(len(chosen), np.bool_)
    asked[question_block] = True
    chance = np.random.default_rng((seed, 1)).random(len(chosen))
    stays = np.where(asked, chosen, chance < share)
    return cached_subset(collection, chosen[question_block], stays[passage_block])


def concatenate(parts: Sequence[Collection]) -> Collection:
    """Return one or more collections as one. Those of several have their number before each id and group."""
    if len(parts) == 1:
        return parts[0]
    names = " + ".join(part.name for part in parts)
    questions: list[Text] = []
    passages: list[Text] = []
    qrels: list[tuple[str, str, int]] = []
    for number, part in enumerate(parts):
        asked, answering = (
            # A text without a group stays without one.
            [
                Text(f"{number}:{t['id']}", t["language"], t["group"] and f"{number}:{t['group']}", t["text"])
                for t in table.to_pylist()
            ]
            for table in (part.questions, part.passages)
        )
        questions += asked
        passages += answering
        judged = zip(*part.qrels.to_pydict().values(), strict=True)
        qrels += [(asked[q].id, answering[p].id, relevance) for q, p, relevance in judged]
    return Collection.build(names, questions, passages, qrels, {"source": "held out from training"})


def _draw_blocks(name: str, question_block: Ints32, passage_block: Ints32, share: float, seed: int) -> Bools:
    """Draw blocks that have about ``share`` of the questions, and return a mark per block."""
    if not 0 < share < 1:
        problem = f"`share` must be between 0 and 1, got {share}"
        raise PanglotError(problem, field="share", hint="give a number such as 0.1")
    sizes = np.bincount(question_block, minlength=int(passage_block.max(initial=-1)) + 1)
    room = round(share * len(question_block))
    chosen = np.zeros(len(sizes), np.bool_)
    for block in np.random.default_rng(seed).permutation(np.flatnonzero(sizes)):
        if sizes[block] <= room:
            chosen[block] = True
            room -= int(sizes[block])
    if not chosen.any() or chosen[question_block].all():
        problem = f"{name} cannot be split, because groups and passages connect its questions"
        raise PanglotError(problem, field="share", hint="give a larger share, or a dev collection of its own")
    return chosen


def _ties(collection: Collection, together: str) -> Iterator[tuple[Ints32, Ints32]]:
    """Yield rows of questions, then of passages, with what ties rows of one side: the group, and the equal text.

    With ``together``, rows of both sides come last, with what the expression finds in the name of their group.
    """
    start = 0
    known = pa.array(collection.languages, pa.string())
    for table in (collection.questions, collection.passages):
        rows = np.arange(start, start + table.num_rows, dtype=np.int32)
        yield rows, number_groups(table["group"])
        language = pc.index_in(table["language"], known).to_numpy().astype(np.int64)
        yield rows, text_numbers(table["text"]) * np.int64(len(known)) + language
        start += table.num_rows
    if together:
        pattern = re.compile(together)
        names = [*collection.questions["group"].to_pylist(), *collection.passages["group"].to_pylist()]
        found = [(row, match[0]) for row, name in enumerate(names) if name and (match := pattern.search(name))]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(text for _, text in found))}
        yield np.array([row for row, _ in found], np.int32), np.array([numbers[text] for _, text in found], np.int32)


def select_rows(
    collection: Collection,
    *,
    languages: Sequence[str] = (),
    min_characters: int = 0,
    max_characters: int | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> tuple[Bools, Bools]:
    """Mark the questions and passages that stay, for :meth:`Collection.keep`.

    Languages (canonical codes, or none for all) and the lengths of passages in characters are filtered first. Questions
    that lose all their relevant passages go too. Then at most ``rows`` questions are drawn in whole groups, so that
    translations stay together, with the passages that they were judged with. Of the passages that no question was
    judged with, about the same share stays. Texts pass by in pieces.

    Raises:
        PanglotError: Nothing is left, or ``rows`` is below 1.
    """
    if rows is not None and rows < 1:
        raise PanglotError(f"`rows` must be 1 or more, got {rows}", field="rows", hint="choose a larger number")
    questions, passages = np.ones(collection.questions.num_rows, bool), np.ones(collection.passages.num_rows, bool)
    if languages:
        wanted = pa.array(languages, pa.string())
        questions, passages = in_languages(collection.questions, wanted), in_languages(collection.passages, wanted)
    if min_characters or max_characters is not None:
        passages &= _of_length(collection.passages, min_characters, max_characters)
        questions &= ~_without_relevant(collection, passages)
    if rows is not None:
        questions, passages = draw_groups(collection, rows, seed, questions, passages)
    if not questions.any() or not passages.any():
        raise PanglotError(
            f"no questions or no passages of {collection.name} are left",
            field="languages" if languages else "rows",
            hint=f"choose more of its {collection.questions.num_rows:,} questions in {', '.join(collection.languages)}",
        )
    return questions, passages


def draw_groups(
    collection: Collection, rows: int, seed: int, questions: Bools | None = None, passages: Bools | None = None
) -> tuple[Bools, Bools]:
    """Draw at most ``rows`` of the marked questions in whole groups, and the marked passages that go with them."""
    questions = np.ones(collection.questions.num_rows, bool) if questions is None else questions
    passages = np.ones(collection.passages.num_rows, bool) if passages is None else passages
    group = number_groups(collection.questions["group"])
    sizes = np.bincount(group[questions], minlength=int(group.max(initial=-1)) + 1)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes).astype(np.int32))
    fits = np.cumsum(sizes[order]) <= rows
    stays = np.zeros(len(sizes), bool)
    stays[order[fits]] = True
    kept = questions & stays[group]
    judged, answering = np.zeros(len(passages), bool), np.zeros(len(passages), bool)
    for batch in walk(collection.qrels, ["question", "passage"]):
        question, passage = (batch.column(side).to_numpy() for side in (0, 1))
        judged[passage] = True
        answering[passage[kept[question]]] = True
    share = kept.sum() / max(1, int(questions.sum()))
    # Passages that nobody asked for make the pool as hard as it was, so their share stays the same.
    drawn = np.random.default_rng((seed, 1)).random(len(passages), np.float32) < share
    return kept, passages & np.where(judged, answering, drawn)


def _of_length(table: pa.Table, least: int, most: int | None) -> Bools:
    found: list[Bools] = [np.empty(0, bool)]
    for batch in walk(table, ["text"]):
        length = pc.utf8_length(batch.column(0)).to_numpy()
        found.append((length >= least) & (length <= (most if most is not None else np.iinfo(np.int32).max)))
    return np.concatenate(found)


def _without_relevant(collection: Collection, passages: Bools) -> Bools:
    """Mark the questions that had relevant passages, and of these passages none stays."""
    had, has = (np.zeros(collection.questions.num_rows, bool) for _ in range(2))
    for batch in walk(collection.qrels):
        relevant = batch["relevance"].to_numpy() > 0
        question, passage = batch["question"].to_numpy()[relevant], batch["passage"].to_numpy()[relevant]
        had[question] = True
        has[question[passages[passage]]] = True
    return had & ~has


def translations(name: str, texts: Sequence[Text], metadata: Mapping[str, str]) -> Collection:
    """Return the collection in which each text finds its translations.

    The texts are questions and passages at once. A passage in the question's own language is never relevant,
    because it is the question itself. So such a collection has no monolingual setting, and gives no one-language
    batches.

    Raises:
        PanglotError: There is no text.
    """
    return versions(name, texts, texts, metadata, own=False)


def versions(
    name: str, questions: Sequence[Text], passages: Sequence[Text], metadata: Mapping[str, str], *, own: bool = True
) -> Collection:
    """Return the collection in which every passage of a group answers every question of that group.

    Each text has its own id, and a group may lack passages or questions. ``own`` says whether passages in the
    question's own language are relevant.

    Raises:
        PanglotError: There is no question or no passage.
    """
    if not questions or not passages:
        raise PanglotError(
            f"{name} has no text in these languages", field="languages", hint="see `panglot data list` for what it has"
        )
    answering = _members(passages)
    asking_in, answering_in = (np.array([text.language for text in side]) for side in (questions, passages))
    pairs: list[Ints] = []
    for group, asked in _members(questions).items():
        answers = answering.get(group, np.empty(0, np.int64))
        fits = np.full((len(asked), len(answers)), own) | (asking_in[asked][:, None] != answering_in[answers])
        left, right = np.nonzero(fits)
        pairs.append(np.stack([asked[left], answers[right]]))
    question, passage = np.concatenate(pairs, axis=1)
    relevance = np.ones(len(question), np.int16)
    judged = pa.table([pa.array(question, pa.int32()), pa.array(passage, pa.int32()), pa.array(relevance)], QRELS)
    return Collection(name, text_table(questions), text_table(passages), judged, dict(metadata))


def _members(texts: Sequence[Text]) -> dict[str, Ints]:
    """Return the rows of each group, groups in the order of their first text."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text.group, []).append(row)
    return {group: np.asarray(found, np.int64) for group, found in rows.items()}


def unique(label: str, times: Counter[str]) -> str:
    """Return ``label``, with a number after it from its second use on.

    >>> times = Counter()
    >>> [unique("en:1", times) for _ in range(2)]
    ['en:1', 'en:1~2']
    """
    times[label] += 1
    return f"{label}~{times[label]}" if times[label] > 1 else label
