"""``panglot.mine``: add hard negatives to a training set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import QRELS, Collection, Ints
from panglot.datasets.registry import refuse_test_set
from panglot.evaluation.inputs import encode, open_encoder, open_sets
from panglot.mining.hard_negatives import Exclusions, HardNegatives, Margin, mine_hard_negatives

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder
    from panglot.evaluation.exact_scores import Bools

Languages = Literal["any", "same", "drawn", "passage"]
MINED = "mined"


@dataclass(frozen=True)
class Report:
    """Figures of one mining: questions by number of negatives, and excluded pairs by reason.

    ``same_language`` is the share of the negatives in their question's language. ``unanswered`` is the number of
    questions without a relevant passage. They get no negatives.
    """

    questions: dict[int, int]
    excluded: dict[str, int]
    same_language: float
    unanswered: int

    @classmethod
    def of(cls, collection: Collection) -> Report:
        """Read the report that :func:`mine` wrote into a collection's ``metadata``."""
        found: dict[str, Any] = json.loads(collection.metadata[MINED])["found"]
        questions = {int(number): count for number, count in found["questions"].items()}
        # Sets mined by version 0.1 call it "left_out".
        excluded = found["excluded"] if "excluded" in found else found["left_out"]
        return cls(questions, excluded, found["same_language"], found["unanswered"])


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
    progress: Callable[[str], None] | None = None,
) -> Collection:
    """Return a training set in which the best-ranked wrong passages of each question are judged with relevance 0.

    ``panglot.mine("runs/first", "mlqa").save("mlqa+mined")`` writes a set that training reads with the setting
    ``hard_negatives``. The mined passages replace earlier judgements of relevance 0, unless the model ranks those among
    the first itself.

    These passages are never a negative of a question:

    - its relevant passages and all versions of their groups, also those of its translations and of equal questions;
    - passages that contain or share half of the text of one of them;
    - passages whose cosine with the relevant passage is ``similarity`` or more;
    - passages too close to the relevant one in score, because nobody judged them.

    Args:
        model: An encoder, or what :func:`panglot.load` accepts.
        collection: A training set, or a name or path for :func:`panglot.read`.
        negatives: Largest number of negatives per question.
        language: Language of the negatives: ``any``, the question's own (``same``), one ``drawn`` per question, or
            those of its relevant passages (``passage``).
        relative_margin: Share by which a negative's score is below that of the relevant passage. The default is
            TopK-PercPos at 95 % of NV-Retriever (2407.15831). The relevant passage is the best in the negative's
            language, if there is one.
        absolute_margin: Smallest difference between the two scores.
        similarity: Cosine with that relevant passage from which on a passage counts as its copy. With 1, none does.
        seed: Seed of the drawn languages.
        data_dir: Folder of the named data sets.
        trust_remote_code: Whether Python code that comes with a model may run.
        progress: Called with one line of text before each long step.

    Raises:
        PanglotError: A setting is out of range, or the set is a test set, has no relevant passage or cannot be read.
    """
    margin = _checked(negatives, language, relative_margin, absolute_margin, similarity)
    # Settings are checked first: a mistake should not cost the time of reading a set.
    ((name, source),) = open_sets(collection, data_dir=data_dir).items()
    refuse_test_set(name, source, "mining in it", "mine in a training set", "collection")
    if not len(source.pairs[0]):
        hint = "add judgements with a relevance above 0"
        raise PanglotError(f"{name} has no relevant passage", field="collection", hint=hint)
    encoder = open_encoder(model, trust_remote_code=trust_remote_code)
    progress = progress or (lambda _: None)
    sizes = f"{source.questions.num_rows:,} questions, {source.passages.num_rows:,} passages"
    progress(f"{encoder.name} on {name}: {sizes}")
    vectors = encode(encoder, source)
    progress("finding copies of relevant passages")
    exclusions = Exclusions.of(source)
    allowed = allowed_languages(source, language, seed)
    progress("searching negatives")
    found = mine_hard_negatives(*vectors, source, exclusions, allowed, negatives, margin)
    settings = {"negatives": negatives, "language": language, "relative_margin": relative_margin,
                "absolute_margin": absolute_margin, "similarity": similarity, "seed": seed}  # fmt: skip
    report = {"model": encoder.name, "fingerprint": encoder.fingerprint, "settings": settings,
              "found": _report(source, found)}  # fmt: skip
    judged = _judged(source, found.passage)
    metadata = {**source.metadata, MINED: json.dumps(report)}
    return replace(source, name=f"{name}+{MINED}", qrels=judged, metadata=metadata)


def allowed_languages(collection: Collection, language: Languages, seed: int) -> Bools:
    """Return the languages that the negatives of each question may have, shape ``[questions, languages]``."""
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
        raise PanglotError(f"must be at least 1, got {negatives}", field="negatives")
    if language not in get_args(Languages):
        raise PanglotError(f"must be one of {', '.join(get_args(Languages))}, got {language!r}", field="language")
    for name, value, low, high in (
        ("relative_margin", relative, 0, 1), ("absolute_margin", absolute, 0, 2), ("similarity", similarity, -1, 1)
    ):  # fmt: skip
        if not low <= value <= high:
            raise PanglotError(f"must be between {low} and {high}, got {value}", field=name)
    return Margin(relative, absolute, similarity)


def _judged(collection: Collection, passage: Ints) -> pa.Table:
    """Return the judgements: the relevant pairs, then the negatives with relevance 0."""
    relevance = collection.qrels["relevance"].to_numpy()
    relevant = collection.qrels.filter(pa.array(relevance > 0))
    question, place = np.nonzero(passage >= 0)
    mined = [pa.array(question, pa.int32()), pa.array(passage[question, place], pa.int32()),
             pa.array(np.zeros(len(question)), pa.int16())]  # fmt: skip
    return pa.concat_tables([relevant.cast(QRELS), pa.table(mined, schema=QRELS)])


def _report(collection: Collection, found: HardNegatives) -> dict[str, Any]:
    passage = found.passage
    answered = np.zeros(len(passage), bool)
    answered[collection.pairs[0]] = True
    number = np.bincount((passage[answered] >= 0).sum(axis=1), minlength=passage.shape[1] + 1)
    question, place = np.nonzero(passage >= 0)
    same = collection.question_language[question] == collection.passage_language[passage[question, place]]
    return {
        "questions": {str(count): int(times) for count, times in enumerate(number)},
        "excluded": found.excluded,
        "same_language": round(float(same.mean()), 4) if len(same) else 0.0,
        "unanswered": int((~answered).sum()),
    }
