"""Which texts of a collection stay: by language, by length, and at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus._keys import numbered
from panglot.corpus._maps import walk
from panglot.corpus.collection import Collection, marked, pc

Bools = npt.NDArray[np.bool_]


def chosen(
    collection: Collection,
    *,
    languages: Sequence[str] = (),
    shortest: int = 0,
    longest: int | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> tuple[Bools, Bools]:
    """Mark the questions and passages that stay, for :meth:`Collection.keep`.

    Languages and lengths come first, then the drawing: whole groups of questions are drawn, so that translations stay
    together, and with them the passages that they were judged with. Of the passages that no question was judged with,
    about the same share stays. The collection is walked through; its texts are not held.

    Args:
        collection: Any.
        languages: Canonical codes of those that stay; none: all.
        shortest: Characters that a passage has at least. Questions whose passages all go, go too.
        longest: Characters that it has at most.
        rows: Questions that stay, at most; None: all.
        seed: Draws them.

    Returns:
        A mark per question, and one per passage.

    Raises:
        PanglotError: Nothing is left, or a number makes no sense.
    """
    if rows is not None and rows < 1:
        raise PanglotError(f"{rows} rows are none", field="rows", cure="choose 1 or more")
    questions, passages = np.ones(collection.questions.num_rows, bool), np.ones(collection.passages.num_rows, bool)
    if languages:
        wanted = pa.array(languages, pa.string())
        questions, passages = marked(collection.questions, wanted), marked(collection.passages, wanted)
    if shortest or longest is not None:
        passages &= _of_length(collection.passages, shortest, longest)
        questions &= ~_bereft(collection, passages)
    if rows is not None:
        questions, passages = drawn(collection, rows, seed, questions, passages)
    if not questions.any() or not passages.any():
        raise PanglotError(
            f"no questions or no passages of {collection.name} are left",
            field="languages" if languages else "rows",
            cure=f"choose more of its {collection.questions.num_rows:,} questions in {', '.join(collection.languages)}",
        )
    return questions, passages


def drawn(
    collection: Collection, rows: int, seed: int, questions: Bools | None = None, passages: Bools | None = None
) -> tuple[Bools, Bools]:
    """Draw at most ``rows`` questions in whole groups, and the passages that go with them, among the marked ones."""
    questions = np.ones(collection.questions.num_rows, bool) if questions is None else questions
    passages = np.ones(collection.passages.num_rows, bool) if passages is None else passages
    group = numbered(collection.questions["group"])
    sizes = np.bincount(group[questions], minlength=int(group.max(initial=-1)) + 1)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes).astype(np.int32))
    fits = np.cumsum(sizes[order]) <= rows
    stays = np.zeros(len(sizes), bool)
    stays[order[fits]] = True
    kept = questions & stays[group]
    judged, answering = np.zeros(len(passages), bool), np.zeros(len(passages), bool)
    for batch in walk(collection.relevance, ["question", "passage"]):
        question, passage = (batch.column(side).to_numpy() for side in (0, 1))
        judged[passage] = True
        answering[passage[kept[question]]] = True
    share = kept.sum() / max(1, int(questions.sum()))
    lucky = np.random.default_rng((seed, 1)).random(len(passages), np.float32) < share
    return kept, passages & np.where(judged, answering, lucky)


def _of_length(table: pa.Table, shortest: int, longest: int | None) -> Bools:
    found: list[Bools] = [np.empty(0, bool)]
    for batch in walk(table, ["text"]):
        length = pc.utf8_length(batch.column(0)).to_numpy()
        found.append((length >= shortest) & (length <= (longest if longest is not None else np.iinfo(np.int32).max)))
    return np.concatenate(found)


def _bereft(collection: Collection, passages: Bools) -> Bools:
    """Mark the questions that have relevant passages, of which none stays."""
    had, has = (np.zeros(collection.questions.num_rows, bool) for _ in range(2))
    for batch in walk(collection.relevance):
        relevant = batch["grade"].to_numpy() > 0
        question, passage = batch["question"].to_numpy()[relevant], batch["passage"].to_numpy()[relevant]
        had[question] = True
        has[question[passages[passage]]] = True
    return had & ~has
