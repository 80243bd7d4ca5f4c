"""Rankings and judgements as trec_eval knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.evaluation.ranks import Ranks


def run(ranks: Ranks, collection: Collection, depth: int | None = None) -> dict[str, dict[str, float]]:
    """Return the head of each question's pooled ranking: ``{question id: {passage id: score}}``, best first.

    :func:`panglot.data.formats.trec.write_run` writes it. Scores are float32, as trec_eval holds them.
    """
    questions, passages = collection.questions["id"].to_pylist(), collection.passages["id"].to_pylist()
    top, scores = ranks.top[:, :depth].tolist(), ranks.top_scores[:, :depth].tolist()
    return {
        question: {passages[row]: score for row, score in zip(rows, values, strict=True)}
        for question, rows, values in zip(questions, top, scores, strict=True)
    }


def qrels(collection: Collection) -> dict[str, dict[str, int]]:
    """Return the judgements of the pool of all languages: ``{question id: {passage id: grade}}``."""
    questions, passages = collection.questions["id"].to_pylist(), collection.passages["id"].to_pylist()
    judged: dict[str, dict[str, int]] = {}
    columns = (collection.relevance[name].to_pylist() for name in ("question", "passage", "grade"))
    for question, passage, grade in zip(*columns, strict=True):
        judged.setdefault(questions[question], {})[passages[passage]] = grade
    return judged
