"""The rows that meet in one step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from panglot.data.collection import Ints

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """The rows of one step.

    Attributes:
        step: The step's number, from 0.
        kind: ``mono``, ``mixed-mono``, ``cross``, ``cross-pair``, ``hybrid-row``, ``whole-group`` or
            ``english``. In ``distill-questions`` both sides are versions of a question, and passage i is the English
            version of question i. ``distill-passages`` is the same for passages.
        source: Index into the plan's sources.
        rows: The source's row of each question, shape ``[B]``.
        questions: Row numbers in the collection's questions, shape ``[B]``.
        passages: Row numbers in the collection's passages, shape ``[P]``. P = B except for ``whole-group``.
        positive: Which passages answer which questions, shape ``[B, P]``, for ``whole-group``. Otherwise ``None``, and
            passage i answers question i.
        question_languages: Index into the source's languages, shape ``[B]``.
        passage_languages: Index into the source's languages, shape ``[P]``.
    """

    step: int
    kind: str
    source: int
    rows: Ints
    questions: Ints
    passages: Ints
    positive: Bools | None
    question_languages: Ints
    passage_languages: Ints

    def shard(self, rank: int, world: int) -> Batch:
        """Return the part of process ``rank`` of ``world``: consecutive questions and their passages.

        The parts in the order of the ranks make up the batch. Their numbers of questions (for ``whole-group``, of
        groups) differ by at most one. If there are more processes than questions, some parts are empty.
        """
        if not 0 <= rank < world:
            raise ValueError(f"`rank` must be between 0 and {world - 1}, got {rank}")
        if self.positive is None:
            part = slice(len(self.rows) * rank // world, len(self.rows) * (rank + 1) // world)
            columns, positive = part, None
        else:
            starts = np.flatnonzero(np.r_[True, np.diff(self.rows) != 0])
            edges = np.r_[starts, len(self.rows)]
            part = slice(edges[len(starts) * rank // world], edges[len(starts) * (rank + 1) // world])
            # Passages are in the order of their groups, so those of consecutive groups are consecutive.
            own = np.flatnonzero(self.positive[part].any(0))
            columns = slice(own[0], own[-1] + 1) if len(own) else slice(0, 0)
            positive = self.positive[part, columns]
        return replace(
            self,
            rows=self.rows[part],
            questions=self.questions[part],
            passages=self.passages[columns],
            positive=positive,
            question_languages=self.question_languages[part],
            passage_languages=self.passage_languages[columns],
        )
