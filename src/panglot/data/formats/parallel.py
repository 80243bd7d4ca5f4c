"""Make collections of texts that share a group: every version asks, and every version answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import RELEVANCE, Collection, Ints, Text, text_table


def translations(name: str, texts: Sequence[Text], about: Mapping[str, str]) -> Collection:
    """Return the collection in which each text finds its translations.

    The texts are questions and passages at once. A passage in the question's own language is never relevant, for it
    is the question itself. So such a collection has no monolingual setting, and gives no one-language batches.

    Raises:
        PanglotError: There is no text.
    """
    return versions(name, texts, texts, about, own=False)


def versions(
    name: str, questions: Sequence[Text], passages: Sequence[Text], about: Mapping[str, str], *, own: bool = True
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
    for group, mine in _members(questions).items():
        theirs = answering.get(group, np.empty(0, np.int64))
        fits = np.full((len(mine), len(theirs)), own) | (asking_in[mine][:, None] != answering_in[theirs])
        left, right = np.nonzero(fits)
        pairs.append(np.stack([mine[left], theirs[right]]))
    question, passage = np.concatenate(pairs, axis=1)
    grade = np.ones(len(question), np.int16)
    judged = pa.table([pa.array(question, pa.int32()), pa.array(passage, pa.int32()), pa.array(grade)], RELEVANCE)
    return Collection(name, text_table(questions), text_table(passages), judged, dict(about))


def _members(texts: Sequence[Text]) -> dict[str, Ints]:
    """Return the rows of each group, groups in the order of their first text."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text.group, []).append(row)
    return {group: np.asarray(found, np.int64) for group, found in rows.items()}
