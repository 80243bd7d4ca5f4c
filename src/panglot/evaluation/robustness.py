"""Measure how much a model loses when questions are typed carelessly, cut short, or mix two languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from panglot._errors import PanglotError
from panglot.augment import lexicons
from panglot.augment.codeswitch import switch
from panglot.data.letters import lower, upper
from panglot.encoders.protocol import LanguageAware, by_id
from panglot.evaluation.bootstrap import PerQuestion, Sums, draw, interval
from panglot.evaluation.figures import SETTINGS, Figures
from panglot.evaluation.ranks import rank

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.augment.lexicons import Lexicon
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.evaluation.measures import Measure

#: Returns the changed question, given its text, its language and the seed.
_Change = Callable[[str, str, int], str]

_WORD = regex.compile(r"[\p{L}\p{M}]{3,}")
_LETTER = regex.compile(r"\X")


def typos(text: str, language: str, seed: int) -> str:
    """Swap two neighbouring letters in one word in four, but in one word at least.

    A letter has the marks that belong to it. Words of fewer than three letters stay, and so does the first letter of a
    word. Text without blanks between words counts as one word.

    >>> typos("Where does Lake Saimaa lie?", "en", 0)
    'Where does Lake Samiaa lie?'
    """
    del language
    found = [(match.start(), _LETTER.findall(match[0])) for match in _WORD.finditer(text)]
    words = [(start, letters, places) for start, letters in found if (places := _swappable(letters))]
    generator = np.random.default_rng([seed, *text.encode()])
    chosen = generator.permutation(len(words))[: max(1, round(len(words) / 4))]
    for start, letters, places in (words[row] for row in chosen.tolist()):
        place = places[int(generator.integers(len(places)))]
        swapped = [*letters[:place], letters[place + 1], letters[place], *letters[place + 2 :]]
        text = text[:start] + "".join(swapped) + text[start + len("".join(letters)) :]
    return text


def _swappable(letters: Sequence[str]) -> list[int]:
    return [place for place in range(1, len(letters) - 1) if letters[place] != letters[place + 1]]


def cut(text: str, language: str, seed: int) -> str:
    """Return the first two thirds of the letters, as of a question that is not typed to its end.

    >>> cut("Where does Lake Saimaa lie?", "en", 0)
    'Where does Lake Sa'
    """
    del language, seed
    letters = _LETTER.findall(text)
    return "".join(letters[: max(1, 2 * len(letters) // 3)]).rstrip()


def mixed(text: str, language: str, seed: int, *, lexicon: Lexicon) -> str:
    """Replace half of the words of an English question that a lexicon has by words of one other language.

    MiLQ (2505.16631) asks such questions as bilingual people wrote them. Its texts may not be passed on. These are made
    from a lexicon, so they read worse, and only English questions change.
    """
    if language.partition("-")[0] != "en":
        return text
    return switch(text, lexicon, mode="bilingual", share=0.5, name=("mixed", seed, text)).text


#: What reports call each change.
LABELS: Mapping[str, str] = {
    "lower": "lower case", "capitals": "capitals", "typos": "typos", "cut": "last third missing",
    "mixed": "mixed languages",
}  # fmt: skip


def robustness(
    encoder: Encoder, questions: Vectors, passages: Vectors, collection: Collection, before: PerQuestion, *,
    measure: Measure, draws: int, seed: int, data_dir: str | Path | None = None,
) -> tuple[Figures, list[Figures]]:  # fmt: skip
    """Return by how much figures fall when questions are changed, and what was not measured.

    Passages stay as they are. Each change has the number of ``questions`` that it changed, and for each setting, and
    for rank distance, ``before``, ``after`` and their ``difference`` over these questions, with its ``interval``: a
    bootstrap over question groups, with the same draws on both sides.

    Args:
        encoder: The encoder of the vectors.
        questions: Vectors of the unchanged questions, shape ``[questions, dimension]``.
        passages: Vectors of the passages, shape ``[passages, dimension]``.
        collection: The collection.
        before: Values of the unchanged questions.
        measure: What is measured in the three settings.
        draws: Bootstrap draws, 0 for no intervals.
        seed: Seed of the draws and of the changes.
        data_dir: Folder that holds lexicons, for mixed languages.

    Raises:
        PanglotError: The encoder has precomputed vectors, and none of changed questions.
    """
    if by_id(encoder):
        problem = f"{encoder.name} has vectors of the data set's own questions, and none of changed ones"
        raise PanglotError(problem, field="robust", hint="leave it out, or name a model")
    texts, codes = (collection.questions[name].to_pylist() for name in ("text", "language"))
    changes: dict[str, _Change] = {
        "lower": lambda text, language, _: lower(text, language),
        "capitals": lambda text, language, _: upper(text, language),
        "typos": typos,
        "cut": cut,
    }
    missing: list[Figures] = []
    try:
        changes["mixed"] = partial(mixed, lexicon=lexicons.read((), sorted({*codes} - {"en"}), data_dir))
    except PanglotError as error:
        missing.append({"what": "questions in mixed languages", "why": error.problem})
    aware = isinstance(encoder, LanguageAware)
    figures: Figures = {}
    for name, change in changes.items():
        changed = [change(text, code, seed) for text, code in zip(texts, codes, strict=True)]
        rows = np.array([row for row, pair in enumerate(zip(texts, changed, strict=True)) if pair[0] != pair[1]], int)
        figures[name] = {"questions": len(rows)}
        if not len(rows):
            continue
        vectors = questions.copy()
        options: dict[str, Any] = {"languages": [codes[row] for row in rows]} if aware else {}
        vectors[rows] = encoder.encode([changed[row] for row in rows], "question", **options)
        after = PerQuestion.of(rank(vectors, passages, collection), [measure])
        keys = {setting: f"{setting}.{measure}" for setting in SETTINGS} | {
            "rank_distance": "multilingual.rank_distance"
        }
        for key, value in keys.items():
            sides = [Sums.of(each.values[value][rows], before.language[rows], before.group[rows])
                     for each in (before, after)]  # fmt: skip
            means = [each.mean() for each in sides]
            if not np.isfinite(means).all():
                continue
            drawn = draw(dict(zip(("before", "after"), sides, strict=True)), draws, seed) if draws else {}
            ends = interval(drawn["after"] - drawn["before"]) if drawn else None
            found = {"before": means[0], "after": means[1], "difference": means[1] - means[0]}
            figures[name][key] = {**found, "interval": list(ends) if ends else None}
    return figures, missing
