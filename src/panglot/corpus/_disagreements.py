"""Which rows of a file cannot stay beside earlier ones, told by numbers alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.corpus._keys import Ints32, first_of, first_of_numbers
from panglot.corpus._layout import Rows, group_numbers, version_numbers

#: Why a row cannot stay: its id, question or passage is not that of an earlier row; or nothing answers it.
ID, QUESTION, PASSAGE, UNANSWERED = range(4)


class Disagreements(NamedTuple):
    """Rows that go.

    Attributes:
        row: Each of them, rising.
        why: One of the reasons above.
        other: For an id, the row that had it before; else −1.
    """

    row: Ints32
    why: npt.NDArray[np.int8]
    other: Ints32


def disagreements(rows: Rows) -> Disagreements:
    """Return the rows that :func:`panglot.corpus.sieve.sieve` drops for what binds lines together.

    Of rows that do not agree the first one stays. Only those that share an id or a version with a row that differs
    are looked at one by one.
    """
    group = group_numbers(rows)
    suspects = _suspects(rows, group)
    found = list(_one_by_one(rows, group, np.flatnonzero(suspects)))
    stays = np.ones(len(rows.grouped), bool)
    stays[[row for row, _, _ in found]] = False
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    answered[group[stays & rows.says]] = True
    lone = np.flatnonzero(stays & rows.asks & ~rows.says & ~answered[group])
    row = np.array([row for row, _, _ in found], np.int32)
    row = np.concatenate([row, lone.astype(np.int32)])
    why = np.concatenate([np.array([why for _, why, _ in found], np.int8), np.full(len(lone), UNANSWERED, np.int8)])
    other = np.concatenate([np.array([other for _, _, other in found], np.int32), np.full(len(lone), -1, np.int32)])
    order = np.argsort(row)
    return Disagreements(row[order], why[order], other[order])


def _suspects(rows: Rows, group: Ints32) -> npt.NDArray[np.bool_]:
    suspects = np.zeros(len(rows.grouped), bool)
    first = first_of(rows.ids)
    again = np.zeros(len(first), bool)
    again[first[first != np.arange(len(first), dtype=np.int32)]] = True
    suspects[rows.id_rows[again[first]]] = True
    for there, wide, check in (
        (rows.asks, rows.question, None),
        (rows.says, rows.passage.wide, rows.passage.check),
    ):
        held = np.flatnonzero(there & rows.grouped).astype(np.int32)
        first = first_of_numbers(version_numbers(held, group, rows.language))
        differs = wide[held] != wide[held[first]]
        if check is not None:
            differs |= check[held] != check[held[first]]
        doubtful = np.zeros(len(held), bool)
        doubtful[first[differs]] = True
        suspects[held[doubtful[first]]] = True
    return suspects


def _one_by_one(rows: Rows, group: Ints32, suspects: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    ids: dict[tuple[int, int], int] = {}
    versions: dict[tuple[int, int, int], tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    place = np.searchsorted(rows.id_rows, suspects)
    for row, at in zip(suspects.tolist(), place.tolist(), strict=True):
        key = None
        if at < len(rows.id_rows) and rows.id_rows[at] == row:
            key = int(rows.ids.wide[at]), int(rows.ids.check[at])
            if key in ids:
                found.append((row, ID, ids[key]))
                continue
        mine: dict[tuple[int, int, int], tuple[int, int]] = {}
        if rows.grouped[row]:
            version = int(group[row]), int(rows.language[row])
            if rows.asks[row]:
                mine[*version, QUESTION] = int(rows.question[row]), 0
            if rows.says[row]:
                mine[*version, PASSAGE] = int(rows.passage.wide[row]), int(rows.passage.check[row])
        if clash := [version for version, text in mine.items() if versions.get(version, text) != text]:
            found.append((row, clash[0][2], -1))
            continue
        versions |= mine
        if key is not None:
            ids[key] = row
    return found
