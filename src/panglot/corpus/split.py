"""Holding out a part of a collection so that nothing leaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus import _keys
from panglot.corpus._cache import kept
from panglot.corpus._keys import Ints32, connect, first_of, in_language, keys, numbered, ranks, smallest_together
from panglot.corpus._maps import walk
from panglot.corpus.collection import Collection, pc

Bools = npt.NDArray[np.bool_]


def blocks(collection: Collection) -> tuple[Ints32, Ints32]:
    """Return the block of every question and of every passage: shapes ``[questions]`` and ``[passages]``.

    Blocks are the connected parts of the collection: texts of one group, equal texts of one side and
    language, and a question and the passages that it was judged with, are in one block. They are numbered
    by first question, then by first passage. Texts pass by in pieces.
    """
    questions, passages = collection.questions.num_rows, collection.passages.num_rows
    block = connect(questions + passages, _ties(collection))
    count = int(block.max(initial=-1)) + 1
    judged = [np.empty(0, np.int64)]
    for batch in walk(collection.relevance):
        asked, said = block[batch["question"].to_numpy()], block[batch["passage"].to_numpy() + np.int32(questions)]
        # The versions of a question mostly follow each other, in one block, and so do those of its passages.
        judged.append(np.unique(asked.astype(np.int64) * count + said))
    left, right = (side.astype(np.int32) for side in np.divmod(np.concatenate(judged), max(1, count)))
    apart = left != right
    least = smallest_together(count, left[apart], right[apart])
    block = ranks(least)[block]
    return block[:questions], block[questions:]


def hold_out(collection: Collection, share: float, seed: int) -> tuple[Collection, Collection]:
    """Split a collection into ``(train, dev)``, about ``share`` of the questions in dev.

    Whole blocks (see :func:`blocks`) are drawn, so no group, no passage and no text is in both. A block that
    would carry dev beyond its share is passed over. Passages that answer no question stay in train.

    Raises:
        PanglotError: ``share`` is not between 0 and 1, or the collection hangs together so that it cannot be
        split.
    """
    question_block, passage_block = blocks(collection)
    chosen = _chosen(collection.name, question_block, passage_block, share, seed)
    dev = chosen[question_block], chosen[passage_block]
    return kept(collection, ~dev[0], ~dev[1]), kept(collection, *dev)


def sample(collection: Collection, share: float, seed: int) -> Collection:
    """Return about ``share`` of a collection: of its whole blocks, and of the passages that answer no question.

    Raises:
        PanglotError: As :func:`hold_out`.
    """
    question_block, passage_block = blocks(collection)
    chosen = _chosen(collection.name, question_block, passage_block, share, seed)
    asked = np.zeros(len(chosen), np.bool_)
    asked[question_block] = True
    chance = np.random.default_rng((seed, 1)).random(len(chosen))
    stays = np.where(asked, chosen, chance < share)
    return kept(collection, chosen[question_block], stays[passage_block])


def joined(parts: Sequence[Collection]) -> Collection | None:
    """Return several collections as one, ids and groups marked by their number; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    names = " + ".join(part.name for part in parts)
    questions, passages, relevance = [], [], []
    for number, part in enumerate(parts):
        ids: list[list[str]] = []
        for table, rows in ((part.questions, questions), (part.passages, passages)):
            marked = [f"{number}:{i}" for i in table["id"].to_pylist()]
            groups = [f"{number}:{g}" for g in table["group"].to_pylist()]
            rows.extend(zip(marked, table["language"].to_pylist(), groups, table["text"].to_pylist(), strict=True))
            ids.append(marked)
        judged = part.relevance.to_pydict()
        relevance.extend(
            (ids[0][q], ids[1][p], g)
            for q, p, g in zip(judged["question"], judged["passage"], judged["grade"], strict=True)
        )
    return Collection.build(names, questions, passages, relevance, {"source": "held out from training"})


def _chosen(name: str, question_block: Ints32, passage_block: Ints32, share: float, seed: int) -> Bools:
    """Draw blocks that have about ``share`` of the questions; a mark per block."""
    if not 0 < share < 1:
        raise PanglotError(f"a share of {share}", field="share", cure="give a number between 0 and 1")
    sizes = np.bincount(question_block, minlength=int(passage_block.max(initial=-1)) + 1)
    room = round(share * len(question_block))
    chosen = np.zeros(len(sizes), np.bool_)
    for block in np.random.default_rng(seed).permutation(np.flatnonzero(sizes)):
        if sizes[block] <= room:
            chosen[block] = True
            room -= int(sizes[block])
    if not chosen.any() or chosen[question_block].all():
        raise PanglotError(
            f"{name} cannot be split: its questions hang together through groups and passages",
            field="share",
            cure="give a larger share or a dev collection of its own",
        )
    return chosen


def _ties(collection: Collection) -> Iterator[tuple[Ints32, Ints32]]:
    """Yield questions, then passages, by what ties those of one side: the group; the text in its language."""
    start = 0
    known = pa.array(collection.languages, pa.string())
    for table in (collection.questions, collection.passages):
        rows = np.arange(start, start + table.num_rows, dtype=np.int32)
        yield rows, numbered(table["group"])
        parts = (
            in_language(keys(batch["text"]), pc.index_in(batch["language"], known).to_numpy().astype(np.int16))
            for batch in walk(table, ["text", "language"])
        )
        yield rows, first_of(_keys.joined(parts))
        start += table.num_rows
