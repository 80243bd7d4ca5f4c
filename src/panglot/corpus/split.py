"""Holding out a part of a collection so that nothing leaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus.collection import Collection, Ints


def blocks(collection: Collection) -> tuple[Ints, Ints]:
    """Return the block of every question and of every passage: shapes ``[questions]`` and ``[passages]``.

    Blocks are the connected parts of the collection: texts of one group, equal texts of one side and
    language, and a question and the passages that it was judged with, are in one block. They are numbered
    by first question, then by first passage.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    questions, passages = collection.questions.num_rows, collection.passages.num_rows
    left, right = (collection.relevance[side].to_numpy().astype(np.int64) for side in ("question", "passage"))
    edges = [np.stack([left, right + questions])]
    start, size = 0, questions + passages
    for table in (collection.questions, collection.passages):
        rows = np.arange(start, start + table.num_rows)
        for values in (
            _numbers(table["group"]),
            _numbers(table["text"]) * 4096 + _numbers(table["language"]),
        ):
            _, kinds = np.unique(values, return_inverse=True)
            edges.append(np.stack([rows, size + kinds]))
            size += int(kinds.max(initial=-1)) + 1
        start += table.num_rows
    ends = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(ends.shape[1], np.int8), (ends[0], ends[1])), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    _, first, number = np.unique(label[: questions + passages], return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first)).astype(np.int64)[number]
    return order[:questions], order[questions:]


def hold_out(collection: Collection, share: float, seed: int) -> tuple[Collection, Collection]:
    """Split a collection into ``(train, dev)``, about ``share`` of the questions in dev.

    Whole blocks (see :func:`blocks`) are drawn, so no group, no passage and no text is in both. A block that
    would carry dev beyond its share is passed over. Passages that answer no question stay in train.

    Raises:
        PanglotError: ``share`` is not between 0 and 1, or the collection hangs together so that it cannot be
        split.
    """
    if not 0 < share < 1:
        raise PanglotError(f"a share of {share}", field="share", cure="give a number between 0 and 1")
    question_block, passage_block = blocks(collection)
    sizes = np.bincount(question_block, minlength=int(passage_block.max(initial=-1)) + 1)
    room = round(share * len(question_block))
    chosen = np.zeros(len(sizes), np.bool_)
    for block in np.random.default_rng(seed).permutation(np.flatnonzero(sizes)):
        if sizes[block] <= room:
            chosen[block] = True
            room -= int(sizes[block])
    if not chosen.any() or chosen[question_block].all():
        raise PanglotError(
            f"{collection.name} cannot be split: its questions hang together through groups and passages",
            field="share",
            cure="give a larger share or a dev collection of its own",
        )
    dev: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] = chosen[question_block], chosen[passage_block]
    return collection.keep(~dev[0], ~dev[1]), collection.keep(*dev)


def sample(collection: Collection, share: float, seed: int) -> Collection:
    """Return about ``share`` of a collection: of its whole blocks, and of the passages that answer no question.

    Raises:
        PanglotError: As :func:`hold_out`.
    """
    question_block, passage_block = blocks(collection)
    part = hold_out(collection, share, seed)[1]
    asked = np.isin(passage_block, question_block)
    chance = np.random.default_rng((seed, 1)).random(int(passage_block.max(initial=-1)) + 1)
    ids = set(part.questions["id"].to_pylist())
    questions = np.fromiter((i in ids for i in collection.questions["id"].to_pylist()), np.bool_)
    kept = np.isin(passage_block, question_block[questions])
    return collection.keep(questions, np.where(asked, kept, chance[passage_block] < share))


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


def _numbers(column: pa.ChunkedArray) -> Ints:
    return column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
