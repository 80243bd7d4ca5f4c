"""An index judged without labels: whose languages fill the results, and what would make them fairer.

The questions are titles, or first sentences, of the documents themselves, in every language that the same group has; or
questions given in several languages. What a question was taken from, and all its translations, are no results of it:
what is left says nothing but which languages the ranking likes. Whether the translations are found is told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.data.files import numbered_lines, parse_json
from panglot.data.language import canonical
from panglot.data.sentences import spans
from panglot.evaluation import bias
from panglot.evaluation.bias import rank_correlation
from panglot.evaluation.ranks import Ranks
from panglot.evaluation.settings import language_means

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from panglot.search.document import Document
    from panglot.search.index import Index
    from panglot.search.ranking.candidates import Candidate
    from panglot.search.result import Mode

DEPTH = 100
"""How deep the rankings are looked at."""

CUT = 10
"""Hits of which shares are taken."""

FAIR = 1.25
"""A self-preference up to this, and down to its inverse, is called fair."""

ENOUGH = 0.8
"""Share of translations found from which on training is not advised."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What one mode found for one question.

    Attributes:
        languages: Of the documents found, without the question's own group, best first.
        groups: Their groups; of one without a group its id.
        places: Where the versions of its own group in other languages stand, from 1, by language; those that are not
            among the first :data:`DEPTH` are not there.
    """

    languages: tuple[str, ...]
    groups: tuple[str, ...]
    places: Mapping[str, int]


def judge(
    index: Index,
    questions: Sequence[Question],
    modes: Sequence[Mode] = ("plain", "centered", "balanced"),
    *,
    tell: Callable[[str], None] | None = None,
) -> Figures:
    """Return the bias of an index by ranking mode, and what would help.

    Args:
        index: The index.
        questions: What is asked, such as :func:`panglot.search.audit.sampled` draws it.
        modes: The ranking modes.
        tell: Called with a line for people before each long step.

    Returns:
        ``{"questions", "languages", "pool", "modes": {mode: figures}, "advice": [sentence, …]}``.
    """
    from panglot.search.request import SearchRequest

    if tell is not None:
        tell(f"{len(questions)} questions to {len(index):,} documents")
    vectors = index.encode([each.text for each in questions])
    counts = index.counts()
    depth = DEPTH + max((len(each.versions) for each in questions), default=0) + 1
    found: dict[str, Figures] = {}
    for mode in modes:
        wish = SearchRequest(mode=mode).check()
        ranked = index.candidates(vectors, [each.language for each in questions], wish, depth, tuple(counts))
        results = [result(rows[:depth], each) for rows, each in zip(ranked, questions, strict=True)]
        found[mode] = figures(questions, results, counts)
    return {
        "questions": len(questions),
        "languages": sorted({each.language for each in questions}),
        "pool": counts,
        "modes": found,
        "advice": advice(found),
    }


def result(ranked: Sequence[Candidate], question: Question) -> Result:
    """Return what is left of a ranking without the question's own group, and where its translations stand."""
    others = [each for each in ranked if each.id not in question.versions][:DEPTH]
    places: dict[str, int] = {}
    ahead = 0
    for each in ranked:
        if each.id not in question.versions:
            ahead += 1
        elif each.language != question.language and ahead < DEPTH:
            # Its rank among what is no version of it: versions do not stand in each other's way.
            places.setdefault(each.language, ahead + 1)
    return Result(
        tuple(each.language for each in others), tuple(each.group or f"\0{each.id}" for each in others), places
    )


def figures(questions: Sequence[Question], results: Sequence[Result], counts: Mapping[str, int]) -> Figures:
    """Return one mode's figures: ``self_preference@10``, ``rank_correlation``, ``translation_found@10``, and tables.

    Args:
        questions: What was asked.
        results: What was found for each.
        counts: Documents by language.
    """
    ranks = as_ranks(questions, results, counts)
    languages, asked = ranks.languages, ranks.question_language
    shares = language_means(bias.head_shares(ranks, CUT), asked, len(languages))[0]
    own = bias.self_preference(ranks, CUT)
    pairs: dict[str, dict[str, list[float]]] = {}
    for question, each in zip(questions, results, strict=True):
        for code in sorted({code for code in question.versions.values() if code != question.language}):
            within = float(each.places.get(code, DEPTH + 1) <= CUT)
            pairs.setdefault(question.language, {}).setdefault(code, []).append(within)
    matrix = {x: {y: float(np.mean(found)) for y, found in row.items()} for x, row in pairs.items()}
    cells = [value for row in matrix.values() for value in row.values()]
    return {
        f"self_preference@{CUT}": _mean(language_means(own, asked, len(languages))[0]),
        "rank_correlation": _mean(rank_correlation(ranks)),
        f"translation_found@{CUT}": float(np.mean(cells)) if cells else None,
        f"language_share@{CUT}": {
            x: {y: round(share, 6) for y, share in zip(languages, row, strict=True) if counts.get(y)}
            for x, row in zip(languages, shares.tolist(), strict=True)
            if np.isfinite(row).all()
        },
        f"self_preference@{CUT}_by_language": {
            code: value
            for code, value in zip(languages, language_means(own, asked, len(languages))[0].tolist(), strict=True)
            if np.isfinite(value)
        },
        f"translation_found@{CUT}_by_pair": matrix,
        "pool_share": {code: number / sum(counts.values()) for code, number in counts.items()},
    }


def as_ranks(questions: Sequence[Question], results: Sequence[Result], counts: Mapping[str, int]) -> Ranks:
    """Return results in the form that the measures of bias take; without relevant passages, which nobody knows."""
    languages = tuple(sorted({*counts, *(each.language for each in questions)}))
    number = {code: row for row, code in enumerate(languages)}
    depth = min((len(each.groups) for each in results), default=0)
    groups: dict[str, int] = {}
    asked: dict[str, int] = {}
    rows = [(number[code], groups.setdefault(group, len(groups))) for each in results
            for code, group in zip(each.languages[:depth], each.groups[:depth], strict=True)]  # fmt: skip
    spoken, grouped = np.array(rows, np.int64).reshape(-1, 2).T
    none = np.zeros(0, np.int64)
    top = np.arange(len(rows), dtype=np.int32).reshape(len(results), depth)
    return Ranks(
        languages=languages,
        question_language=np.array([number[each.language] for each in questions], np.int64),
        question_group=np.array([asked.setdefault(each.group, len(asked)) for each in questions], np.int64),
        passage_language=spoken,
        passage_group=grouped,
        pool=np.array([counts.get(code, 0) for code in languages], np.int64),
        question=none, passage=none, grade=none, within=none, pooled=none,
        top=top,
        top_scores=np.zeros(top.shape, np.float32),
    )  # fmt: skip


def advice(modes: Mapping[str, Figures]) -> list[str]:
    """Return in sentences what the figures of some modes, ``plain`` among them, say to do.

    >>> fair = {"self_preference@10": 1.1, "translation_found@10": 0.9}
    >>> biased = {"self_preference@10": 4.0, "translation_found@10": 0.3}
    >>> for line in advice({"plain": biased, "centered": fair}):
    ...     print(line)
    Of the first 10, 4.0 times as many as of the pool are in the language of the question.
    The mode centered helps: it makes that 1.1 times, and 90% of the translations are among the first 10 instead of 30%.
    >>> advice({"plain": fair})
    ['Of the first 10, 1.1 times as many as of the pool are in the language of the question: no mode is needed.']
    """
    kind, found = f"self_preference@{CUT}", f"translation_found@{CUT}"
    plain = modes["plain"]
    if plain[kind] is None:
        return ["No question is in a language of the documents, so that none can be preferred."]
    said = f"Of the first {CUT}, {plain[kind]:.1f} times as many as of the pool are in the language of the question"
    if is_fair(plain):
        return [f"{said}: no mode is needed."]
    lines = [f"{said}."]
    rest = [mode for mode in modes if mode != "plain" and unfairness(modes[mode]) < unfairness(plain)]
    if rest:
        # What is found counts before what is fair: a ranking at random is fair.
        best = max(rest, key=lambda mode: (round((modes[mode][found] or 0) / 0.05), -unfairness(modes[mode])))
        after = modes[best]
        gain = (
            f", and {after[found]:.0%} of the translations are among the first {CUT} instead of {plain[found]:.0%}"
            if after[found] is not None
            else ""
        )
        lines.append(f"The mode {best} helps: it makes that {after[kind]:.1f} times{gain}.")
        if is_fair(after) and (after[found] is None or after[found] >= ENOUGH):
            return lines
    lines.append(
        "Training on parallel text with hybrid batches goes further: panglot train MODEL --batches hybrid-row."
    )
    return lines


def is_fair(found: Figures) -> bool:
    """Whether a mode prefers or avoids the question's language by no more than :data:`FAIR`."""
    return unfairness(found) <= float(np.log(FAIR))


def unfairness(found: Figures) -> float:
    """Return how far a mode's self-preference is from 1, in either direction, as a logarithm."""
    return float(abs(np.log(max(found[f"self_preference@{CUT}"], 1e-3))))


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


@dataclass(frozen=True)
class Question:
    """One question in one language.

    Attributes:
        group: The same for its translations.
        language: Its language.
        text: What is asked.
        versions: Ids of the documents that it was taken from, and of their translations, with their languages.
    """

    group: str
    language: str
    text: str
    versions: Mapping[str, str]


def sampled(documents: Iterator[list[Document]], number: int = 50, seed: int = 0) -> list[Question]:
    """Return questions out of documents: of some groups, or documents without one, each version's title.

    Where a document has no title, its first sentence is taken. Groups in two languages or
    more come first; where there are none, documents of each language are drawn.

    Args:
        documents: All documents, in pieces.
        number: Groups, or documents of each language, at most.
        seed: Draws them.

    Raises:
        PanglotError: No document has a title or sentence that could be asked.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for piece in documents:
        for each in piece:
            key = f"g{each.group}" if each.group else f"d{each.id}"
            groups.setdefault(key, []).append((each.id, each.language, _asked(each)))
    parallel = [key for key, found in groups.items() if len({code for _, code, text in found if text}) > 1]
    generator = np.random.default_rng(seed)
    if parallel:
        chosen = [parallel[row] for row in sorted(generator.permutation(len(parallel))[:number].tolist())]
    else:
        by_language: dict[str, list[str]] = {}
        for key, found in groups.items():
            if found[0][2]:
                by_language.setdefault(found[0][1], []).append(key)
        chosen = [
            keys[row]
            for _, keys in sorted(by_language.items())
            for row in sorted(generator.permutation(len(keys))[:number].tolist())
        ]
    questions: list[Question] = []
    for key in chosen:
        versions = {name: code for name, code, _ in groups[key]}
        texts = {code: text for _, code, text in reversed(groups[key]) if text}
        questions += [Question(key, code, text, versions) for code, text in sorted(texts.items())]
    if not questions:
        raise PanglotError("no document has a title or a sentence to ask", hint="give questions (`--questions`)")
    return questions


def read_questions(path: Path) -> list[Question]:
    """Read JSON lines of ``group, language, text``: the same question in several languages shares its group.

    Raises:
        PanglotError: A line is broken; the message names file, line and field.
    """
    found: list[Question] = []
    for line, text in numbered_lines(path):
        value: Any = parse_json(text, path, line)
        if not isinstance(value, dict):
            raise PanglotError("not a JSON object", file=path, line=line, hint='write {"group": …, "text": …}')
        row: dict[str, object] = value
        for name in ("group", "language", "text"):
            if not str(row.get(name) or "").strip():
                raise PanglotError("missing or empty", file=path, line=line, field=name, hint="fill it in")
        try:
            code = canonical(str(row["language"]))
        except PanglotError as error:
            raise PanglotError(error.problem, file=path, line=line, field="language", hint=error.hint) from error
        found.append(Question(str(row["group"]), code, str(row["text"]), {}))
    if not found:
        raise PanglotError("no question", file=path, hint='write lines of {"group", "language", "text"}')
    return found


def _asked(document: Document) -> str:
    found = spans(document.text, document.language or "en")
    text = document.title.strip() or (document.text[slice(*found[0])] if found else "")
    return text if sum(letter.isalnum() for letter in text) > 1 else ""
