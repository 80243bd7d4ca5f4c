"""Which texts a remedy is fitted on: a seeded sample of each language, the same content in each where there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError
from panglot.data.language import canonical
from panglot.datasets.registry import read
from panglot.debiasing.transform import SIDES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Side

Row = tuple[str, str]
"""A group and a text of it."""


@dataclass(frozen=True)
class Texts:
    """The texts of one side and language, all different.

    Attributes:
        texts: The texts.
        groups: The group of each; translations share it.
    """

    texts: tuple[str, ...]
    groups: tuple[str, ...]


def open_sets(
    names: Sequence[str | Path | Collection],
    *,
    data_dir: str | Path | None = None,
    languages: Sequence[str] | None = None,
) -> list[Collection]:
    """Return the collections that may be fitted on, ``NAME[:PART][@CANDIDATES]``, paths or collections.

    Raises:
        PanglotError: One cannot be read or is a test set, or there is no text in one of the languages.
    """
    from panglot.data.collection import Collection

    found: list[Collection] = []
    wanted = [canonical(code) for code in languages or ()]
    for name in names:
        if isinstance(name, Collection):
            collection = name.select(wanted) if wanted else name
        else:
            head, _, candidates = str(name).partition("@")
            collection = read(head, data_dir=data_dir, candidates=candidates or None, languages=wanted or None)
        if collection.about.get("test_only") == "yes":
            raise PanglotError(
                f"{collection.name} is a test set, and fitting on it would make its figures worthless",
                field="on",
                hint="fit on another set, such as mlqa, libreoffice-help or starter:train",
            )
        found.append(collection)
    if not found:
        raise PanglotError("no text to fit on", field="on", hint="name a set; see `panglot data list`")
    lacking = sorted(set(wanted) - {code for collection in found for code in collection.languages})
    if lacking:
        raise PanglotError(
            f"no text in {', '.join(lacking)}", field="languages", hint="leave them out, or give a set that has them"
        )
    return found


def sample(
    collections: Sequence[Collection], most: int, seed: int, *, pivot: str | None = None
) -> dict[Side, dict[str, Texts]]:
    """Draw up to ``most`` different texts of each side and language.

    Groups are drawn in one random order for all languages, so that parallel sets give the languages the same
    content.

    Args:
        collections: Where from.
        most: Texts of a side and language.
        seed: Of the order.
        pivot: Draw passages of groups that this language is in, and no questions.
    """
    found: dict[Side, dict[str, Texts]] = {}
    for side in SIDES if pivot is None else SIDES[1:]:
        rows = _rows(collections, side)
        if pivot is not None:
            parallel = {group for group, _ in rows.get(pivot, ())}
            rows = {code: [row for row in each if row[0] in parallel] for code, each in rows.items()}
        # Sorted, so that the order hangs on seed and content alone.
        groups = sorted({group for each in rows.values() for group, _ in each})
        order = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)).tolist(), strict=True))
        found[side] = {code: _draw(each, order, most) for code, each in sorted(rows.items())}
    return found


def _rows(collections: Sequence[Collection], side: Side) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for number, collection in enumerate(collections):
        table = collection.questions if side == "question" else collection.passages
        columns = (table[name].to_pylist() for name in ("language", "group", "text"))
        for code, group, text in zip(*columns, strict=True):
            found.setdefault(code, []).append((f"{number}:{group}", text))
    return found


def _draw(rows: Sequence[Row], order: dict[str, int], most: int) -> Texts:
    drawn: dict[str, str] = {}
    for group, text in sorted(rows, key=lambda row: order[row[0]]):
        if len(drawn) == most:
            break
        drawn.setdefault(text, group)
    return Texts(tuple(drawn), tuple(drawn.values()))
