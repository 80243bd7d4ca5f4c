"""Draw the texts to fit on: a seeded sample of each language, with the same content in each if possible."""

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

_Row = tuple[str, str]  # A group and one of its texts.


@dataclass(frozen=True)
class Texts:
    """Distinct texts of one side and language.

    Attributes:
        texts: The texts.
        groups: The group of each text, which translations share.
    """

    texts: tuple[str, ...]
    groups: tuple[str, ...]


def open_sets(
    names: Sequence[str | Path | Collection],
    *,
    data_dir: str | Path | None = None,
    languages: Sequence[str] | None = None,
) -> list[Collection]:
    """Return collections to fit on, from ``NAME[:PART][@CANDIDATES]``, paths or collections.

    Raises:
        PanglotError: A collection cannot be read or is a test set, or there is no text in one of the languages.
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
                f"{collection.name} is a test set, and fitting on it would make its figures meaningless",
                field="on",
                hint="fit on another data set, such as mlqa, libreoffice-help or starter:train",
            )
        found.append(collection)
    if not found:
        raise PanglotError(
            "there is no text to fit on", field="on", hint="name a data set that `panglot data list` shows"
        )
    missing = sorted(set(wanted) - {code for collection in found for code in collection.languages})
    if missing:
        raise PanglotError(
            f"there is no text in {', '.join(missing)}",
            field="languages",
            hint="leave these languages out, or give a data set that has them",
        )
    return found


def sample(
    collections: Sequence[Collection], most: int, seed: int, *, pivot: str | None = None
) -> dict[Side, dict[str, Texts]]:
    """Draw up to ``most`` distinct texts of each side and language.

    Groups are drawn in one random order for all languages, so that all languages of a parallel data set get the same
    content.

    Args:
        collections: The collections to draw from.
        most: The most texts per side and language.
        seed: The seed of the random order.
        pivot: If given, draw only passages, of groups that this language is in.
    """
    found: dict[Side, dict[str, Texts]] = {}
    for side in SIDES if pivot is None else SIDES[1:]:
        rows = _rows(collections, side)
        if pivot is not None:
            parallel = {group for group, _ in rows.get(pivot, ())}
            rows = {code: [row for row in each if row[0] in parallel] for code, each in rows.items()}
        # Sorted, so that the order depends on seed and content only, not on the order of rows.
        groups = sorted({group for each in rows.values() for group, _ in each})
        order = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)).tolist(), strict=True))
        found[side] = {code: _draw(each, order, most) for code, each in sorted(rows.items())}
    return found


def _rows(collections: Sequence[Collection], side: Side) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for number, collection in enumerate(collections):
        table = collection.questions if side == "question" else collection.passages
        columns = (table[name].to_pylist() for name in ("language", "group", "text"))
        for code, group, text in zip(*columns, strict=True):
            found.setdefault(code, []).append((f"{number}:{group}", text))
    return found


def _draw(rows: Sequence[_Row], order: dict[str, int], most: int) -> Texts:
    # Texts that are equal in several groups would weigh more than others.
    drawn: dict[str, str] = {}
    for group, text in sorted(rows, key=lambda row: order[row[0]]):
        if len(drawn) == most:
            break
        drawn.setdefault(text, group)
    return Texts(tuple(drawn), tuple(drawn.values()))
