"""Rankings beside those of vectors: runs for other tools, runs of any system, and what a cross-encoder reorders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from panglot._errors import PanglotError
from panglot._files import known_digest
from panglot._progress import progress
from panglot.data.files import plain_name, read_text
from panglot.data.formats.trec import Run, export_ids, read_ranked, write_qrels, write_run
from panglot.evaluation.ranks import UNLISTED, Ranks, group_numbers, rank, relevant_pairs, trec_qrels, trec_run

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Doubles

_JSON_HINT = 'write {"question id": {"passage id": score}}, or lines `question Q0 passage rank score name`'


def write_runs(
    path: Path, questions: Vectors, passages: Vectors, collection: Collection, depth: int | None = 100
) -> None:
    """Write the rankings of the pool of all languages to ``path``, and those of each language's pool beside it.

    From ``x.run`` come ``x.mono.de.run``, the questions in German on the German passages, and ``x.cross.de.run``, all
    other questions on them. Each has its judgements beside it, as in ``x.qrels``, except of questions without a
    relevant passage there. No two scores of a ranking are equal, so every tool finds the order of
    :func:`panglot.evaluation.rank`. ``depth`` is the number of passages per ranking, None for all.
    """
    stem = path.name.removesuffix(".run")
    for name, chosen in (("", None), *((f".{code}", code) for code in collection.languages)):
        part, vectors = collection, passages
        if chosen is not None:
            kept = collection.passage_language == collection.languages.index(chosen)
            if not kept.any():
                continue
            part, vectors = collection.keep(np.ones(len(questions), bool), kept), passages[kept]
        size = part.passages.num_rows
        ranks = rank(questions, vectors, part, depth=size if depth is None else min(depth, size))
        ids = export_ids(collection)[0]
        run, judged = trec_run(ranks, part, question_ids=ids), trec_qrels(part, question_ids=ids)
        own = {ids[row] for row, code in enumerate(collection.questions["language"].to_pylist()) if code == chosen}
        parts = {"": set(ids)} if chosen is None else {".mono": own, ".cross": set(ids) - own}
        for setting, asked in parts.items():
            # The report leaves questions without a relevant passage out of its means. Other tools would count 0.
            answered = {question: grades for question, grades in judged.items()
                        if question in asked and any(grade > 0 for grade in grades.values())}  # fmt: skip
            if answered:
                place = path.with_name(f"{stem}{setting}{name}.run" if chosen else path.name)
                write_run(place, {question: run[question] for question in run if question in asked})
                write_qrels(place.with_name(f"{stem}{setting}{name}.qrels"), answered)


@dataclass(frozen=True)
class SystemRun:
    """The rankings of a system, from a file: the passages of each question and their scores."""

    path: Path
    name: str
    scores: Run
    lines: Mapping[tuple[str, str], int]  # where each pair is, empty for JSON
    misranked: int  # questions whose ranks are not in the order of their scores

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return known_digest(self.path)

    def ranks(self, collection: Collection, whole: Collection | None = None) -> tuple[Ranks, list[str]]:
        """Return the ranks of the relevant passages, and notes on what the run lacks.

        Passages are ordered by falling score, then by id. The pool of a language has the passages of the list in that
        language, in its order. Relevant passages that the run does not list get the rank ``UNLISTED``.

        Args:
            collection: What is measured.
            whole: The collection before languages were selected, whose other texts are ignored.

        Raises:
            PanglotError: The run names a text that is not in the data set, or no question of it.
        """
        whole = whole or collection
        self._check_ids(whole)
        questions, passages = (_rows(table["id"].to_pylist()) for table in (collection.questions, collection.passages))
        # A run that was exported with other ids of questions is read back by the ids of the collection.
        questions |= {new: row for row, new in enumerate(export_ids(collection)[0]) if new not in questions}
        lists: list[list[int]] = [[] for _ in range(collection.questions.num_rows)]
        tied = 0
        scored: dict[tuple[int, int], float] = {}
        for question, found in self.scores.items():
            if (row := questions.get(question)) is None:
                continue
            order = sorted(
                (item for item in found.items() if item[0] in passages), key=lambda item: (-item[1], item[0])
            )
            lists[row] = [passages[passage] for passage, _ in order]
            scored |= {(row, place): score for place, (_, score) in enumerate(order)}
            tied += len({score for _, score in order}) < len(order)
        if not any(lists):
            hint = "name the data set that the run was made for"
            raise PanglotError(f"the run has no question of {collection.name}", file=self.path, hint=hint)
        ranks = _ranks_of(lists, scored, collection)
        return ranks, self._notes(ranks, lists, tied)

    def _check_ids(self, collection: Collection) -> None:
        questions = {*collection.questions["id"].to_pylist(), *export_ids(collection)[0]}
        passages = set(collection.passages["id"].to_pylist())
        unknown = [
            (side, identity, (question, passage))
            for question, found in self.scores.items()
            for passage in found
            for side, identity, known in (("question", question, questions), ("passage", passage, passages))
            if identity not in known
        ]
        if unknown:
            side, identity, pair = unknown[0]
            number = len({(side, identity) for side, identity, _ in unknown})
            more = f" ({number:,} ids of the run are unknown)" if number > 1 else ""
            problem = f"{collection.name} has no {side} {identity!r}{more}"
            hint = "name the data set that the run was made for, or remove these lines"
            raise PanglotError(problem, file=self.path, line=self.lines.get(pair), field=side, hint=hint)

    def _notes(self, ranks: Ranks, lists: list[list[int]], tied: int) -> list[str]:
        notes: list[str] = []
        judged = np.unique(ranks.question)
        missing = sum(not lists[row] for row in judged.tolist())
        unlisted = int((ranks.rank_in_pool >= UNLISTED).sum())
        if missing:
            notes.append(f"the run lacks {missing:,} of {len(judged):,} questions, which count as not answered")
        if unlisted:
            notes.append(
                f"{unlisted:,} of {len(ranks.question):,} relevant passages are not in the run and count as not found, "
                "and for rank distance and largest rank as the last of the pool"
            )
        if tied:
            notes.append(f"{tied:,} questions have equal scores, which are ordered by passage id")
        if self.misranked:
            notes.append(f"the ranks of {self.misranked:,} questions disagree with their scores, and the scores count")
        return notes


def read_system_run(path: str | Path) -> SystemRun:
    """Read a run: TREC's six columns, or JSON ``{question: {passage: score}}``, plain or within mteb's predictions.

    Raises:
        PanglotError: The file has another form, a pair comes twice, or a score is not a finite number.
    """
    path = Path(path)
    if path.name.removesuffix(".gz").endswith(".json"):
        return SystemRun(path, plain_name(path), _read_json(path), {}, 0)
    scores, lines, ranked, names = read_ranked(path)
    misranked = 0
    for question, found in scores.items():
        order = sorted(found, key=lambda passage: (ranked[question, passage], -found[passage]))
        misranked += any(found[after] > found[before] for before, after in pairwise(order))
    return SystemRun(path, names.pop() if len(names) == 1 else plain_name(path), scores, lines, misranked)


def _read_json(path: Path) -> dict[str, dict[str, float]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise PanglotError(f"{twice!r} comes twice", file=path, hint="remove one of the two")
        return found

    try:
        value: Any = json.loads(read_text(path), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise PanglotError(f"not JSON: {error.msg}", file=path, line=error.lineno, hint=_JSON_HINT) from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits.
        raise PanglotError(f"cannot be read: {error}", file=path, hint=_JSON_HINT) from error
    except RecursionError as error:
        raise PanglotError("JSON nested too deeply", file=path, hint=_JSON_HINT) from error
    # mteb's predictions nest the questions in a subset and a split, next to facts about the model.
    for _ in range(2):
        if isinstance(value, dict) and not _is_run(value):
            inner = [part for name, part in value.items() if name != "mteb_model_meta" and isinstance(part, dict)]
            value = inner[0] if len(inner) == 1 else value
    if not isinstance(value, dict) or not value or not all(isinstance(found, dict) for found in value.values()):
        raise PanglotError("this is not a run", file=path, hint=_JSON_HINT)
    for question, found in value.items():
        for passage, score in found.items():
            if isinstance(score, bool) or not isinstance(score, int | float) or not np.isfinite(score):
                problem = f"the score of {question!r} and {passage!r} must be a finite number, got {score!r}"
                raise PanglotError(problem, file=path, field="score", hint=_JSON_HINT)
    return value


def _is_run(value: dict[str, Any]) -> bool:
    return any(
        isinstance(found, dict) and any(not isinstance(score, dict) for score in found.values())
        for name, found in value.items()
        if name != "mteb_model_meta"
    )


def _rows(ids: list[str]) -> dict[str, int]:
    return {identity: row for row, identity in enumerate(ids)}


def _ranks_of(lists: list[list[int]], scored: Mapping[tuple[int, int], float], collection: Collection) -> Ranks:
    question, passage, relevance = relevant_pairs(collection)
    language = collection.passage_language
    in_pool, in_language = np.full(len(question), UNLISTED), np.full(len(question), UNLISTED)
    starts = np.searchsorted(question, np.arange(len(lists) + 1))
    depth = min(100, max(map(len, lists)))
    top = np.full((len(lists), depth), -1, np.int32)
    scores = np.full((len(lists), depth), -np.inf, np.float32)
    for row, found in enumerate(lists):
        listed = np.array(found, np.int64)
        head = listed[:depth]
        top[row, : len(head)] = head
        scores[row, : len(head)] = [scored[row, place] for place in range(len(head))]
        place = {each: number for number, each in enumerate(found, 1)}
        for pair in range(starts[row], starts[row + 1]):
            if (number := place.get(int(passage[pair]))) is not None:
                in_pool[pair] = number
                in_language[pair] = np.count_nonzero(language[listed[:number]] == language[passage[pair]])
    return Ranks(
        languages=collection.languages, question_language=collection.question_language,
        question_group=group_numbers(collection.questions), passage_language=language,
        passage_group=group_numbers(collection.passages),
        pool=np.bincount(language, minlength=len(collection.languages)), question=question, passage=passage,
        relevance=relevance, rank_in_language=in_language, rank_in_pool=in_pool, top=top, top_scores=scores,
    )  # fmt: skip


class Scorer(Protocol):
    """What reorders passages, such as :class:`panglot.encoders.sentence_transformer.Reranker`."""

    @property
    def name(self) -> str:
        """Its name, for reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """What differs if its scores do."""
        ...

    def scores(self, query: str, documents: Sequence[str]) -> Doubles:
        """Return how well each document answers the query, higher is better, shape ``[documents]``."""
        ...


def open_reranker(reranker: Scorer | str | Path | None, depth: int) -> Scorer | None:
    """Return a cross-encoder, and read one that is given by name or path."""
    if depth < 1:
        problem = f"`rerank_depth` must be at least 1, got {depth}"
        raise PanglotError(problem, field="rerank_depth", hint="ask for at least 1")
    if not isinstance(reranker, str | Path):
        return reranker
    from panglot.encoders.sentence_transformer import Reranker  # Measuring vectors needs no models.

    return Reranker(reranker)


def rerank(
    ranks: Ranks, questions: Vectors, passages: Vectors, collection: Collection, scorer: Scorer, depth: int = 50
) -> tuple[Ranks, int]:  # fmt: skip
    """Return the ranks after a cross-encoder reorders the first ``depth`` of each pool, and the pairs that it scored.

    The pools are that of each language and that of all. Passages after the first ``depth`` keep their ranks, and equal
    scores keep their order. A pool of one language is reordered only for questions that have a relevant passage among
    its first ``depth``, because no figure of the others can change.

    Args:
        ranks: The ranks by the vectors.
        questions: One row per question, shape ``[questions, dimension]``.
        passages: One row per passage, shape ``[passages, dimension]``.
        collection: What was ranked.
        scorer: The cross-encoder.
        depth: Passages of each pool that it scores.

    Raises:
        PanglotError: A score is not a finite number.
    """
    head = rank(questions, passages, collection, depth=max(depth, 100)) if depth > ranks.top.shape[1] else ranks
    top, top_scores = head.top.copy(), head.top_scores.copy()
    language = ranks.passage_language[ranks.passage]
    heads = [top[:, :depth].astype(np.int64)]
    for number in range(len(ranks.languages)):
        kept = np.flatnonzero(ranks.passage_language == number)
        first = np.full((len(questions), min(depth, len(kept))), -1, np.int64)
        asked = np.unique(ranks.question[(language == number) & (ranks.rank_in_language <= depth)])
        if len(asked):
            marks = np.zeros(len(questions), bool), np.zeros(len(passages), bool)
            marks[0][asked], marks[1][kept] = True, True
            part = collection.keep(*marks)
            first[asked] = kept[rank(questions[asked], passages[kept], part, depth=first.shape[1]).top]
        heads.append(first)
    rank_in_pool, rank_in_language = ranks.rank_in_pool.copy(), ranks.rank_in_language.copy()
    starts = np.searchsorted(ranks.question, np.arange(len(questions) + 1)).tolist()
    texts, pairs = collection.passages["text"], 0
    with progress(f"{scorer.name}: reordering", len(questions), "questions") as advance:
        for row, question in enumerate(collection.questions["text"].to_pylist()):
            rows = np.unique(np.concatenate([each[row] for each in heads]))
            rows = rows[rows >= 0]
            scores, scored = _scores(scorer, question, texts.take(rows).to_pylist())
            pairs += scored
            places: list[dict[int, int]] = []
            for number, each in enumerate(heads):
                listed = each[row][each[row] >= 0]
                own = scores[np.searchsorted(rows, listed)]
                order = np.argsort(-own, kind="stable")
                places.append({passage: place for place, passage in enumerate(listed[order].tolist(), 1)})
                if number == 0:
                    top[row, : len(listed)], top_scores[row, : len(listed)] = listed[order], own[order]
            for pair in range(starts[row], starts[row + 1]):
                passage = int(ranks.passage[pair])
                rank_in_pool[pair] = places[0].get(passage, int(rank_in_pool[pair]))
                rank_in_language[pair] = places[1 + language[pair]].get(passage, int(rank_in_language[pair]))
            advance(1)
    made = {"rank_in_pool": rank_in_pool, "rank_in_language": rank_in_language, "top": top, "top_scores": top_scores}
    return replace(ranks, **made), pairs


def _scores(scorer: Scorer, question: str, texts: Sequence[str]) -> tuple[Doubles, int]:
    """Return one score per text, and how many distinct texts were scored."""
    first: dict[str, int] = {}
    index = [first.setdefault(text, len(first)) for text in texts]
    found = np.asarray(scorer.scores(question, list(first)), np.float64)
    if not np.isfinite(found).all():
        problem = f"{scorer.name} gives {question!r} and a passage a score that is not a finite number"
        raise PanglotError(problem, field="reranker", hint="choose another cross-encoder")
    return found[index], len(first)
