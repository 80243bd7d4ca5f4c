"""``panglot.mine``: a model and a training set in, the same set with hard negatives out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import RELEVANCE, Collection, Ints
from panglot.evaluation.evaluate import encode, open_encoder, open_sets
from panglot.mining.exclusions import barred
from panglot.mining.hardest import Bools, Margin, hardest

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder

Languages = Literal["any", "same", "drawn", "passage"]
MINED = "mined"


@dataclass(frozen=True)
class Report:
    """What mining found.

    Attributes:
        questions: How many questions have 0, 1, 2, … negatives, by that number.
        left_out: How many pairs of a question and a passage were left out, by reason.
        same_language: Share of the negatives that are in their question's language.
        unanswered: Questions without a relevant passage, which get no negatives.
    """

    questions: dict[int, int]
    left_out: dict[str, int]
    same_language: float
    unanswered: int

    @classmethod
    def of(cls, collection: Collection) -> Report:
        """Return the report that :func:`mine` wrote into a collection's ``about``."""
        found: dict[str, Any] = json.loads(collection.about[MINED])["found"]
        questions = {int(number): count for number, count in found["questions"].items()}
        return cls(questions, found["left_out"], found["same_language"], found["unanswered"])


def mine(
    model: Encoder | str | Path,
    collection: Collection | str | Path,
    *,
    negatives: int = 4,
    language: Languages = "any",
    relative_margin: float = 0.05,
    absolute_margin: float = 0.0,
    similarity: float = 0.9,
    seed: int = 0,
    data_dir: str | Path | None = None,
    trust_remote_code: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Collection:
    """Return a training set with the passages that a model ranks highest and that answer nothing, as grade 0.

    ``panglot.mine("runs/first", "mlqa").save("mlqa+mined")``; training reads them as ``hard_negatives``. They take
    the place of what was judged irrelevant before, unless a model ranks that among the first itself.

    Never a negative of a question: its relevant passages and all versions of their groups; those of its translations
    and of equal questions; passages that contain or half share the text of one; those as similar to the relevant
    passage as ``similarity`` says; and, since nobody judged the rest, passages too close to the relevant one in score.

    Args:
        model: An encoder, or what :func:`panglot.load` understands.
        collection: A training set, or its name or path as for :func:`panglot.read`.
        negatives: How many for each question, at most.
        language: In which language they are: ``any``, the question's own (``same``), one ``drawn`` for each question,
            or those of its relevant passages (``passage``).
        relative_margin: A negative's score is at most this share below the relevant passage's: .05 is NV-Retriever's
            TopK-PercPos at 95 %. The relevant passage is the best in the negative's language, if there is one.
        absolute_margin: And lower by at least this.
        similarity: Passages with this cosine or more with that relevant passage count as its copies; 1: none do.
        seed: Draws the languages.
        data_dir: Where named data sets lie.
        trust_remote_code: Whether Python code that comes with a model may run.
        tell: Called with a line for people before each long step.

    Raises:
        PanglotError: A setting is out of range, the set is a test set, has no relevant passage, or cannot be read.
    """
    margin = _checked(negatives, language, relative_margin, absolute_margin, similarity)
    ((name, source),) = open_sets(collection, data_dir=data_dir).items()
    if source.about.get("test_only") == "yes":
        raise PanglotError(f"{name} is a test set", field="on", hint="mine in a training set")
    if not len(source.pairs[0]):
        raise PanglotError(f"{name} has no relevant passage", field="on", hint="add judgements with a grade above 0")
    encoder = open_encoder(model, trust_remote_code=trust_remote_code)
    tell = tell or (lambda _: None)
    tell(f"{encoder.name} on {name}: {source.questions.num_rows:,} questions, {source.passages.num_rows:,} passages")
    vectors = encode(encoder, source)
    tell("looking for copies of relevant passages")
    never = barred(source)
    allowed = languages_of(source, language, seed)
    tell("searching")
    found = hardest(*vectors, source, never, allowed, negatives, margin)
    settings = {"negatives": negatives, "language": language, "relative_margin": relative_margin,
                "absolute_margin": absolute_margin, "similarity": similarity, "seed": seed}  # fmt: skip
    told = {"model": encoder.name, "fingerprint": encoder.fingerprint, "settings": settings,
            "found": _report(source, found.passage, found.left_out)}  # fmt: skip
    judged = _judged(source, found.passage)
    return replace(source, name=f"{name}+{MINED}", relevance=judged, about={**source.about, MINED: json.dumps(told)})


def languages_of(collection: Collection, language: Languages, seed: int) -> Bools:
    """Return in which languages the negatives of each question may be, shape ``[questions, languages]``."""
    own = collection.question_language
    allowed = np.zeros((len(own), len(collection.languages)), bool)
    there = np.unique(collection.passage_language)
    if language == "any":
        allowed[:, there] = True
    elif language == "same":
        allowed[np.arange(len(own)), own] = True
    elif language == "drawn":
        allowed[np.arange(len(own)), np.random.default_rng(seed).choice(there, len(own))] = True
    else:
        question, passage = collection.pairs
        allowed[question, collection.passage_language[passage]] = True
    return allowed


def _checked(negatives: int, language: str, relative: float, absolute: float, similarity: float) -> Margin:
    if negatives < 1:
        raise PanglotError(f"{negatives} negatives", field="negatives", hint="give 1 or more")
    if language not in get_args(Languages):
        known = ", ".join(get_args(Languages))
        raise PanglotError(f"{language!r} is unknown", field="language", hint=f"choose among {known}")
    bounds = {
        "relative_margin": (relative, 0, 1),
        "absolute_margin": (absolute, 0, 2),
        "similarity": (similarity, -1, 1),
    }
    for name, (value, low, high) in bounds.items():
        if not low <= value <= high:
            raise PanglotError(f"{value} is out of range", field=name, hint=f"choose from {low} to {high}")
    return Margin(relative, absolute, similarity)


def _judged(collection: Collection, passage: Ints) -> pa.Table:
    """Return the relevant pairs, then the negatives with grade 0."""
    grade = collection.relevance["grade"].to_numpy()
    relevant = collection.relevance.filter(pa.array(grade > 0))
    question, place = np.nonzero(passage >= 0)
    mined = [pa.array(question, pa.int32()), pa.array(passage[question, place], pa.int32()),
             pa.array(np.zeros(len(question)), pa.int16())]  # fmt: skip
    return pa.concat_tables([relevant.cast(RELEVANCE), pa.table(mined, schema=RELEVANCE)])


def _report(collection: Collection, passage: Ints, left_out: dict[str, int]) -> dict[str, Any]:
    answered = np.zeros(len(passage), bool)
    answered[collection.pairs[0]] = True
    number = np.bincount((passage[answered] >= 0).sum(axis=1), minlength=passage.shape[1] + 1)
    question, place = np.nonzero(passage >= 0)
    same = collection.question_language[question] == collection.passage_language[passage[question, place]]
    return {
        "questions": {str(count): int(times) for count, times in enumerate(number)},
        "left_out": left_out,
        "same_language": round(float(same.mean()), 4) if len(same) else 0.0,
        "unanswered": int((~answered).sum()),
    }
