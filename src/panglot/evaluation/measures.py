"""Measures of one ranking, as values, and of vectors before any ranking.

``parse("nDCG@10")`` equals itself and can be a key. To add a measure of a ranking, write its formula as an entry of
``_FORMULAS``. The measures of vectors say how much they reveal their language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from panglot._errors import PanglotError
from panglot.evaluation.exact_scores import pair_scores
from panglot.evaluation.ranks import UNLISTED, Ranks

if TYPE_CHECKING:
    from panglot.data.collection import Ints
    from panglot.encoders.protocol import Vectors
    from panglot.evaluation.exact_scores import Bools, Doubles

# Time grows with the texts, and a large data set has far more than a classifier needs.
_PER_LANGUAGE = 400
_PAIRS = 20_000
# λ as a share of the mean eigenvalue of XᵀDX.
_RIDGE = 1e-3


@dataclass(frozen=True, order=True)
class Measure:
    """A measure of one ranking, a fraction of 1.

    Attributes:
        kind: Name of the formula: ``mAP``, ``MRR``, ``R``, ``P``, ``Success`` or ``nDCG``.
        cut: Passages after this rank do not count. None counts the whole ranking.

    >>> str(Measure("nDCG", 10)), {Measure("mAP"): 0.8}[parse("mAP")]
    ('nDCG@10', 0.8)
    """

    kind: str
    cut: int | None = None

    def __str__(self) -> str:
        return self.kind if self.cut is None else f"{self.kind}@{self.cut}"

    def __repr__(self) -> str:
        return str(self)

    def values(self, unit: Ints, rank: Ints, relevance: Ints, units: int) -> Doubles:
        """Measure many rankings at once, given the ranks of their relevant passages.

        Args:
            unit: Ranking that each relevant passage belongs to, shape ``[relevant]``.
            rank: Rank of the passage there, from 1, or ``UNLISTED``, shape ``[relevant]``.
            relevance: Graded relevance of the passage, above 0, shape ``[relevant]``. Only nDCG uses it.
            units: Number of rankings.

        Returns:
            One value per ranking, NaN for a ranking without a relevant passage, shape ``[units]``.

        >>> np.round(Measure("mAP").values(np.array([0, 0]), np.array([1, 4]), np.array([1, 1]), 2), 3)
        array([0.75,  nan])
        """
        # Sorting one number that combines both is fast if they are nearly sorted. UNLISTED would make it overflow.
        last = int(np.where(rank < UNLISTED, rank, 0).max(initial=0)) + 1
        order = np.argsort(unit * (last + 1) + np.minimum(rank, last), kind="stable")
        unit, rank = unit[order], rank[order]
        number = np.bincount(unit, minlength=units)
        position = np.arange(1, len(unit) + 1) - (np.cumsum(number) - number)[unit]
        within = rank <= (UNLISTED - 1 if self.cut is None else self.cut)
        passages = _Relevant(unit, rank, relevance[order], position, number, within)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(number > 0, _FORMULAS[self.kind].values(passages, self.cut), np.nan)


class _Relevant(NamedTuple):
    """The relevant passages of many rankings, sorted by ranking, then by rank.

    All arrays have one entry per passage, but ``number`` has one per ranking.
    """

    unit: Ints  # the ranking
    rank: Ints  # from 1
    relevance: Ints
    position: Ints  # the number of relevant passages up to this one, itself included
    number: Ints  # of relevant passages
    within: Bools  # whether the passage is within the cut

    def sums(self, gain: Doubles | Ints | float) -> Doubles:
        """Return the sum of a gain over the passages within the cut, per ranking, shape ``[units]``."""
        return np.bincount(self.unit, np.where(self.within, gain, 0.0), len(self.number)).astype(np.float64)


def _ndcg(found: _Relevant, cut: int | None) -> Doubles:
    """Σ relevance / log₂(rank + 1) within the cut, divided by the same sum over the best order (Järvelin 2002)."""
    best = np.lexsort((-found.relevance, found.unit))
    gain = np.where(found.position <= (cut or np.inf), found.relevance[best] / np.log2(found.position + 1.0), 0.0)
    ideal = np.bincount(found.unit, gain, len(found.number))
    return found.sums(found.relevance / np.log2(found.rank + 1.0)) / ideal


class _Formula(NamedTuple):
    """A formula of the passages and the cut, other names in lower case, and whether the measure needs a cut.

    ``{k}`` in the meaning, which reports show, is the cut.
    """

    values: Callable[[_Relevant, int | None], Doubles]
    meaning: str
    aliases: tuple[str, ...] = ()
    needs_cut: bool = False


_FORMULAS: dict[str, _Formula] = {
    # Σ precision at the rank of each relevant passage / number of relevant passages, as `map` of trec_eval.
    "mAP": _Formula(
        lambda found, _: found.sums(found.position / found.rank) / found.number,
        "Mean average precision: how early all relevant passages come. 1 is perfect.", ("ap",),
    ),
    # 1 / rank of the first relevant passage.
    "MRR": _Formula(
        lambda found, _: found.sums(np.where(found.position == 1, 1 / found.rank, 0.0)),
        "Mean of 1 / rank of the first relevant passage.", ("rr",),
    ),
    # Share of the relevant passages within the cut.
    "R": _Formula(
        lambda found, _: found.sums(1.0) / found.number,
        "Share of the relevant passages found in the first {k}.", ("recall",), needs_cut=True,
    ),
    # Share of relevant passages among the first `cut`.
    "P": _Formula(
        lambda found, cut: found.sums(1.0) / (cut or 1),
        "Share of the first {k} that is relevant.", ("precision",), needs_cut=True,
    ),
    # 1 if a relevant passage is within the cut, else 0.
    "Success": _Formula(
        lambda found, _: found.sums(np.where(found.position == 1, 1.0, 0.0)),
        "Share of questions with a relevant passage in the first {k}.", needs_cut=True,
    ),
    "nDCG": _Formula(_ndcg, "Gain of the relevant passages in the first {k}, discounted by rank."),
}  # fmt: skip
MEANINGS = {name: formula.meaning for name, formula in _FORMULAS.items()}
"""What each measure says, in a sentence with ``{k}`` for the cut."""
_NAMES = {name: kind for kind, formula in _FORMULAS.items() for name in (kind.lower(), *formula.aliases)}


def parse(name: str | Measure) -> Measure:
    """Read the name of a measure: ``mAP``, ``MRR``, ``MRR@10``, ``R@10``, ``P@10``, ``Success@10``, ``nDCG@10``.

    Case does not matter, and ``AP``, ``RR``, ``Recall@k`` and ``Precision@k`` are accepted.

    Raises:
        PanglotError: No measure has this name, or it needs a cut-off.

    >>> parse("ndcg@10"), parse("Recall@100")
    (nDCG@10, R@100)
    """
    if isinstance(name, Measure):
        return name
    found = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", name.strip())
    kind = _NAMES.get(found[1].lower()) if found else None
    if found is None or kind is None:
        hint = f"use {', '.join(_FORMULAS)}, with a cut-off as in R@10"
        raise PanglotError(f"unknown measure {name!r}", field="measures", hint=hint)
    cut = int(found[2]) if found[2] else None
    if cut is None and _FORMULAS[kind].needs_cut:
        raise PanglotError(f"{kind} needs a cut-off", field="measures", hint=f"write {kind}@10, for example")
    return Measure(kind, cut)


DEFAULT = tuple(parse(name) for name in ("mAP", "MRR", "R@1", "R@10", "R@100", "nDCG@10"))
"""Measures that are reported by default."""


def mean_distances(vectors: Vectors, language: Ints, languages: int) -> Doubles:
    """Return the Euclidean distances ‖μ_x − μ_y‖ of the languages' mean vectors, shape ``[languages, languages]``.

    A distance of 0 means a common centre. Rows and columns of languages without vectors are NaN.
    """
    number = np.bincount(language, minlength=languages)
    sums = np.zeros((languages, vectors.shape[1]))
    for each in np.flatnonzero(number):
        sums[each] = vectors[language == each].sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        means = sums / number[:, None]
    return np.sqrt(np.square(means[:, None] - means[None]).sum(axis=2))


def language_classifier(vectors: Vectors, language: Ints, group: Ints, *, seed: int) -> tuple[float, float] | None:
    """Return the accuracy of a linear classifier of languages on held-out vectors, and chance.

    An accuracy at chance means that no linear classifier can read the language from a vector. The classifier is ridge
    regression in closed form, W = (Xᵀ D X + λI)⁻¹ Xᵀ D Y, with weights D that make languages count equally. Half of
    the groups are held out, with all versions of a text on one side. The accuracy is the mean over languages, chance is
    1 / languages. None is returned if fewer than two languages have enough texts.
    """
    generator = np.random.default_rng(seed)
    # Whole groups are held out, or the classifier would know the meaning of a held-out text.
    held = np.zeros(int(group.max(initial=-1)) + 1, bool)
    held[generator.permutation(len(held))[: len(held) // 2]] = True
    parts: tuple[list[Ints], list[Ints]] = ([], [])
    for each in np.unique(language):
        rows = generator.permutation(np.flatnonzero(language == each))[:_PER_LANGUAGE]
        test = held[group[rows]]
        if test.any() and not test.all():
            parts[0].append(rows[~test])
            parts[1].append(rows[test])
    classes = len(parts[0])
    if classes < 2:
        return None
    train, test = np.concatenate(parts[0]), np.concatenate(parts[1])
    truth = [np.repeat(np.arange(classes), [len(rows) for rows in side]) for side in parts]
    x = vectors[train].astype(np.float64)
    centre = x.mean(axis=0)
    x -= centre
    # Languages count equally, whatever their numbers of texts.
    weight = (1 / np.bincount(truth[0]))[truth[0]]
    target = np.eye(classes)[truth[0]] - 1 / classes
    gram = (x * weight[:, None]).T @ x
    # The ridge grows with the scale of the vectors, so that scaling them changes nothing.
    gram += np.eye(len(gram)) * max(_RIDGE * np.trace(gram) / len(gram), 1e-12)
    coefficients = np.linalg.solve(gram, (x * weight[:, None]).T @ target)
    guess = ((vectors[test].astype(np.float64) - centre) @ coefficients).argmax(axis=1)
    right = np.bincount(truth[1], guess == truth[1]) / np.bincount(truth[1])
    return float(right.mean()), 1 / classes


def translation_cosines(vectors: Vectors, language: Ints, group: Ints, *, seed: int) -> tuple[float, float] | None:
    """Return the mean cosine of translations, and that of random texts in the same pairs of languages.

    A pair consists of versions of one group in two languages that are neighbours in a random order of the group. At
    most 20,000 of them are used. None is returned if no group has versions in two languages.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(group)), group))
    a, b = order[:-1], order[1:]
    keep = (group[a] == group[b]) & (language[a] != language[b])
    a, b = a[keep], b[keep]
    if not len(a):
        return None
    chosen = generator.permutation(len(a))[:_PAIRS]
    a, b = a[chosen], b[chosen]
    # The partner comes from another pair of the same two languages, so that only the meaning is random.
    pair = language[a] * (int(language.max()) + 1) + language[b]
    by_pair = np.lexsort((generator.random(len(a)), pair))
    begins = np.flatnonzero(np.diff(pair[by_pair], prepend=-1))
    lengths = np.diff(np.append(begins, len(a)))
    following = np.arange(1, len(a) + 1)
    following[begins + lengths - 1] = begins
    other = np.empty(len(a), np.int64)
    other[by_pair] = b[by_pair][following]
    # A cyclic neighbour can have the same meaning if few groups are left; such pairs are not random.
    mixed = group[other] != group[a]
    if not mixed.any():
        return None
    return _mean_cosine(vectors[a], vectors[b]), _mean_cosine(vectors[a[mixed]], vectors[other[mixed]])


def separation(questions: Vectors, passages: Vectors, ranks: Ranks, *, seed: int) -> tuple[float | None, float | None]:
    """Return how often a relevant passage is nearer to its question than a random passage is, in two ways.

    This is the area under the ROC curve of relevant against random pairs, question by question: P(s(q, p) > s(q, r)),
    with ties as half. For the first value, the random passage r is in the language of the relevant passage p. For the
    second, p is in another language than the question and r in the question's own, which is what *strong alignment*
    asks for (2004.05484). Random passages of p's group or relevant to q are left out. At most 20,000 relevant pairs
    are used. Each is the mean over pairs of a question's and a passage's language, or None if there is no such pair.
    """
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(ranks.question))[:_PAIRS]
    q, p = ranks.question[chosen], ranks.passage[chosen]
    asked, answered = ranks.question_language[q], ranks.passage_language[p]
    by_language = np.argsort(ranks.passage_language, kind="stable")
    starts = np.cumsum(ranks.pool) - ranks.pool
    true = pair_scores(questions, q, passages, p)
    found: list[float | None] = []
    for language, usable in ((answered, True), (asked, (asked != answered) & (ranks.pool[asked] > 0))):
        drawn = (generator.random(len(q)) * ranks.pool[language]).astype(np.int64)
        # A language without passages has no place of its own. Its pairs are not used.
        r = by_language[np.minimum(starts[language] + drawn, len(by_language) - 1)]
        wrong = (ranks.passage_group[r] != ranks.passage_group[p]) & ~_is_relevant(q, r, ranks)
        rows = np.flatnonzero(usable & wrong)
        random = pair_scores(questions, q[rows], passages, r[rows])
        above = (true[rows] > random) + (true[rows] == random) / 2
        cell = np.unique(asked[rows] * len(ranks.languages) + answered[rows], return_inverse=True)[1]
        found.append(float(np.mean(np.bincount(cell, above) / np.bincount(cell))) if len(rows) else None)
    return found[0], found[1]


def _is_relevant(question: Ints, passage: Ints, ranks: Ranks) -> Bools:
    size = len(ranks.passage_language)
    asked, known = question * size + passage, ranks.question * size + ranks.passage
    # The pairs of ranks are sorted, so that looking them up is far faster than a set of both.
    return known.take(known.searchsorted(asked), mode="clip") == asked


def _mean_cosine(a: Vectors, b: Vectors) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Zero vectors have a cosine of 0 with any other, not NaN, which JSON cannot hold.
    cosines = np.einsum("nd,nd->n", a, b) / np.maximum(norms, np.finfo(np.float32).tiny)
    return float(cosines.mean(dtype=np.float64))
