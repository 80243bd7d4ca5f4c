"""Turn batches into token ids, with hard negatives and code-switched words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.augment.codeswitch import Switched, Switching, english_rows, switching_metrics
from panglot.batching.policy import Batch
from panglot.batching.table import DISTILL, TrainingTable, is_english
from panglot.data.collection import Collection, Ints
from panglot.data.columns import Bools, Ints32, connect, number_values, take, text_numbers
from panglot.encoders.protocol import Side
from panglot.training.data import TrainingData, side_of

if TYPE_CHECKING:
    from panglot.training.model import Tokens, TrainableEncoder

# Texts whose tokens are cached, at some 300 bytes each.
_MOST_CACHED = 1_000_000


@dataclass(frozen=True)
class Example:
    """One batch as token ids of B questions and P passages, of which hard negatives come last.

    ``positive`` marks which passages answer which questions, shape ``[B, P]``, and ``ignored`` those that are neither
    positive nor negative.
    """

    questions: list[Tokens]
    passages: list[Tokens]
    positive: np.ndarray
    ignored: np.ndarray | None


class Collator:
    """Makes token ids of batches. Those of a text are made when it is first used, and cached.

    If a question has more than ``hard_negatives`` of them, ``seed`` seeds the draw.
    """

    def __init__(self, data: TrainingData, encoder: TrainableEncoder, hard_negatives: int, seed: int) -> None:
        self._data, self._encoder = data, encoder
        self._seed, self._most = seed, hard_negatives
        self._cache: dict[tuple[int, Side, int], Tokens] = {}
        sets = zip(data.collections, data.sources, data.hard_negatives, strict=True) if data.hard_negatives else ()
        self._answers = [_answers(collection, source, wrong) for collection, source, (_, wrong) in sets]
        self._switched: dict[tuple[int, Side, int], Switched] = {}

    def __call__(self, batch: Batch) -> Example:
        """Return the token ids of a batch, and which passages answer which questions."""
        if batch.kind in DISTILL:
            # The "passages" of such a batch are the English texts of the same side.
            side: Side = "question" if batch.kind == DISTILL[0] else "passage"
            texts, english = (self._tokens(batch.source, side, rows) for rows in (batch.questions, batch.passages))
            return Example(texts, english, np.eye(len(batch.rows), dtype=bool), None)
        extra, origin = self._hard_negatives(batch)
        passages = np.concatenate([batch.passages, extra])
        positive = np.zeros((len(batch.questions), len(passages)), bool)
        if batch.positive is None:
            np.fill_diagonal(positive, val=True)
        else:
            positive[:, : batch.positive.shape[1]] = batch.positive
        ignored = None
        if len(extra):
            # A hard negative of another question may answer this one, or be a version or a copy of a passage that does.
            own, answered = self._answers[batch.source]
            ignored = (own[batch.rows][:, None] == answered[passages]) & ~positive
            ignored[origin, len(batch.passages) + np.arange(len(extra))] = False
        if (switching := self._data.switching) is None:
            questions = self._tokens(batch.source, "question", batch.questions)
            return Example(questions, self._tokens(batch.source, "passage", passages), positive, ignored)
        english = english_rows(batch, self._data.sources[batch.source])
        questions = self._switched_tokens(switching, batch, "question", batch.questions, english)
        # A hard negative is switched if the question that it belongs to is.
        english = np.concatenate([english, english[origin]])
        switched = self._switched_tokens(switching, batch, "passage", passages, english)
        return Example(questions, switched, positive, ignored)

    def metrics(self) -> dict[str, Any]:
        """Return figures of the texts that were code-switched since the last call, for the log."""
        switched, self._switched = self._switched, {}
        return switching_metrics(switched.values()) if switched else {}

    def _switched_tokens(
        self, switching: Switching, batch: Batch, side: Side, rows: Ints, english: Bools
    ) -> list[Tokens]:
        if not english.any():
            return self._tokens(batch.source, side, rows)
        collection = self._data.collections[batch.source]
        table, language = side_of(collection, side)
        # A hard negative of an English question may be in another language.
        codes = np.array([is_english(code) for code in collection.languages])
        chosen = english & codes[language[rows]]
        texts: list[str] = []
        for row, text in zip(rows[chosen].tolist(), take(table["text"], rows[chosen]).to_pylist(), strict=True):
            switched = switching(text, batch.step, collection.name, side, row)
            self._switched[batch.source, side, row] = switched
            texts.append(switched.text)
        changed = iter(self._encoder.tokenize(texts, side))
        plain = iter(self._tokens(batch.source, side, rows[~chosen]))
        return [next(changed if replaced else plain) for replaced in chosen]

    def _hard_negatives(self, batch: Batch) -> tuple[Ints, Ints]:
        if not self._data.hard_negatives:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        questions, negatives = self._data.hard_negatives[batch.source]
        found: list[Ints32] = []
        for place, question in enumerate(batch.questions):
            # The judgements are sorted by question, so those of one question are a slice.
            choices = negatives[slice(*np.searchsorted(questions, (question, question + 1)))]
            if len(choices) > self._most:
                rng = np.random.default_rng((self._seed, batch.step, place))
                choices = rng.choice(choices, self._most, replace=False)
            found.append(choices)
        origin = np.repeat(np.arange(len(found)), [len(choices) for choices in found])
        return np.concatenate(found).astype(np.int64), origin

    def _tokens(self, number: int, side: Side, rows: Ints) -> list[Tokens]:
        missing = [int(row) for row in np.unique(rows) if (number, side, int(row)) not in self._cache]
        if missing:
            table, _ = side_of(self._data.collections[number], side)
            if len(self._cache) > _MOST_CACHED:
                self._cache.clear()
                missing = np.unique(rows).tolist()
            texts = take(table["text"], np.array(missing)).to_pylist()
            for row, tokens in zip(missing, self._encoder.tokenize(texts, side), strict=True):
                self._cache[number, side, row] = tokens
        return [self._cache[number, side, int(row)] for row in rows]


def _answers(collection: Collection, source: TrainingTable, wrong: Ints32) -> tuple[Ints32, Ints32]:
    """Return numbers of the rows and of the passages of a collection. A passage answers the rows that share its number.

    Passages are tied by their group and by equal text, as the relevant ones are for conflict groups. A passage answers
    a row if one that it is tied to is relevant to the conflict group of the row. −1 means that it answers none.
    ``wrong`` are the hard negatives.
    """
    of_question = np.full(collection.questions.num_rows, -1, np.int32)
    for questions in source.question.T:
        of_question[questions[questions >= 0]] = source.conflict_group[questions >= 0]
    asked, relevant = (np.concatenate(part) for part in zip(*collection.walk_pairs(), strict=True))
    version = number_values(collection.passages["group"])
    # Only texts of groups that a batch can have are read.
    met = np.zeros(int(version.max()) + 1, bool)
    met[version[np.concatenate([relevant, wrong])]] = True
    text = text_numbers(collection.passages["text"], met[version])
    every, known = np.arange(len(version)), np.flatnonzero(text >= 0)
    tied = connect(len(version), [(every, version), (known, text[known])])
    # Passages that nobody judged can tie the answers of several conflict groups. These are then one.
    one = connect(int(source.conflict_group.max()) + 1, [(of_question[asked], tied[relevant])])
    found = np.full(int(tied.max()) + 1, -1, np.int32)
    found[tied[relevant]] = one[of_question[asked]]
    return one[source.conflict_group], found[tied]
