"""What meets in one step."""

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
            ``english``; ``distill-questions``, where both ends are versions of a question, passage i the English
            one of question i, and ``distill-passages``, likewise.
        source: Index into the plan's sources.
        rows: The source's row of each question, shape ``[B]``.
        questions: Row numbers in the collection's questions, shape ``[B]``.
        passages: Row numbers in the collection's passages, shape ``[P]``; P = B except for ``whole-group``.
        positive: Which passages answer which questions, shape ``[B, P]``, for ``whole-group``; otherwise
            ``None``: passage i answers question i.
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
        """Return the part of process ``rank`` of ``world``: neighbouring questions and their passages.

        The parts in the order of the ranks make up the batch, and their numbers of questions (for
        ``whole-group``, of groups) differ by at most one; with fewer of them than processes, some parts are
        empty.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not below the number of processes, {world}")
        if self.positive is None:
            part = slice(len(self.rows) * rank // world, len(self.rows) * (rank + 1) // world)
            columns, positive = part, None
        else:
            starts = np.flatnonzero(np.r_[True, np.diff(self.rows) != 0])
            edges = np.r_[starts, len(self.rows)]
            part = slice(edges[len(starts) * rank // world], edges[len(starts) * (rank + 1) // world])
            # Passages stand in the order of their groups, so those of neighbouring groups are neighbours.
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
