"""Fit a debiasing by one of four methods, which are pure functions of vectors by side and language.

========== ============================================================== ==================
``center`` subtract the mean of the text's language
``shift``  subtract, from passages only, the mean difference between a    arXiv 2606.18801
           language's passages and their translations in a pivot
``lir``    remove the leading singular directions of each language        arXiv 2109.04727
``lsar``   remove the subspace in which the means of languages differ     arXiv 2401.05792
========== ============================================================== ==================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.debiasing.transform import METHODS, SIDES, Debiasing, Method
from panglot.encoders.protocol import Side, Vectors

Doubles = npt.NDArray[np.float64]

#: The fewest texts of a side and language that are enough to fit on.
FEWEST = 2


@dataclass(frozen=True)
class Sample:
    """Vectors of one side and language, unit rows of shape ``[texts, dimension]``, and the group of each text.

    Translations share a group. Only ``shift`` uses it.
    """

    vectors: Vectors
    groups: tuple[str, ...]


Samples = Mapping["Side", Mapping[str, Sample]]
Counts = Mapping["Side", Mapping[str, int]]


def fit(samples: Samples, method: Method, *, rank: int | None = None, pivot: str | None = None) -> Debiasing:
    """Fit a debiasing. If a language has texts on one side only, they are used for both sides.

    ``rank`` is the number of directions to remove: from each language for ``lir`` (1 if None), from all for ``lsar``
    (one fewer than languages if None). The other methods have no rank. ``pivot`` is as for :func:`pivot_of`.
    """
    if method == "shift":
        # Questions keep their place. Passages are moved to where those of the pivot are.
        samples = {"passage": samples.get("passage", {})}
    counts: Counts = {side: {code: len(each.groups) for code, each in found.items()} for side, found in samples.items()}
    rank = check(counts, method, rank=rank, pivot=pivot)
    enough = {side: {} for side in SIDES} | {
        side: {code: each for code, each in found.items() if len(each.groups) >= FEWEST}
        for side, found in samples.items()
    }
    languages = tuple(sorted({*enough["question"], *enough["passage"]}))
    vectors = {
        side: {code: np.asarray((enough[side].get(code) or enough[other][code]).vectors, np.float64)
               for code in languages}
        for side, other in (SIDES, SIDES[::-1])
    }  # fmt: skip
    dimension = next(iter(vectors["passage"].values())).shape[1]
    offset = np.zeros((2, len(languages), dimension))
    directions = np.zeros((2, len(languages), 0, dimension))
    subspace = np.zeros((0, dimension))
    if method == "center":
        offset = np.stack([[vectors[side][code].mean(axis=0) for code in languages] for side in SIDES])
    elif method == "shift":
        reference = pivot_of(counts, pivot)
        passages = enough["passage"]
        offset[1] = [relative(passages[code], passages[reference], code, reference) for code in languages]
    elif method == "lir":
        if rank >= dimension:
            raise _too_large(rank, dimension - 1, f"vectors of {dimension} numbers")
        directions = np.stack([[leading_directions(vectors[side][code], rank) for code in languages] for side in SIDES])
    else:
        sides = [side for side in SIDES if len(enough[side]) == len(languages)]
        if not sides:
            hint = "give text of one kind in every language, or choose languages that have it"
            raise PanglotError("some languages have questions only and others passages only", field="on", hint=hint)
        # One subspace for both sides, so that questions and passages stay comparable.
        means = np.mean([[vectors[side][code].mean(axis=0) for code in languages] for side in sides], axis=0)
        subspace = differing_subspace(means, rank)
    parts = (np.ascontiguousarray(part, np.float32) for part in (offset, directions, subspace))
    return Debiasing(method, languages, *parts)


def check(counts: Counts, method: str, *, rank: int | None = None, pivot: str | None = None) -> int:
    """Return the rank that :func:`fit` would use (0 if it has none), or refuse settings before anything is encoded.

    ``counts`` are the numbers of texts by side and language. For ``shift``, only of groups that the pivot is in.
    """
    if method not in METHODS:
        raise PanglotError(f"unknown method {method!r}", field="method", hint=f"use one of {', '.join(METHODS)}")
    used = [counts.get("passage", {})] if method == "shift" else list(counts.values())
    languages = sorted({code for found in used for code in found})
    if len(languages) < 2:
        got = languages[0] if languages else "none"
        hint = "give a data set in two languages or more"
        raise PanglotError(f"at least two languages are needed, got {got}", field="languages", hint=hint)
    for code in languages:
        if max(found.get(code, 0) for found in used) < FEWEST:
            what = "passages with a translation" if method == "shift" else "texts"
            hint = f"give more text in {code}, or leave it out of the languages"
            raise PanglotError(f"{code} has fewer than {FEWEST} {what}", field="languages", hint=hint)
    if method == "shift":
        pivot_of(counts, pivot)
    if method in {"center", "shift"}:
        if rank is not None:
            raise PanglotError(f"{method} has no rank", field="rank", hint="leave it out, or use lir or lsar")
        return 0
    if rank is not None and rank < 1:
        raise PanglotError(f"`rank` must be at least 1, got {rank}", field="rank", hint="give 1 or more")
    if method == "lsar":
        most, reason = len(languages) - 1, f"the means of {len(languages)} languages"
        rank = most if rank is None else rank
    else:
        rank = 1 if rank is None else rank
        fewest, code = min((n, code) for found in used for code, n in found.items() if n >= FEWEST)
        most, reason = fewest - 1, f"{fewest} texts in {code}"
    if rank > most:
        raise _too_large(rank, most, reason)
    return rank


def pivot_of(counts: Counts, pivot: str | None = None) -> str:
    """Return the language that ``shift`` does not change: ``pivot``, else English, else the first by its code."""
    codes = sorted(counts.get("passage", {}))
    if pivot is None and codes:
        return "en" if "en" in codes else codes[0]
    if pivot not in codes:
        hint = f"use one of {', '.join(codes)}" if codes else "give a data set with passages"
        raise PanglotError(f"there are no passages in {pivot or 'any language'}", field="pivot", hint=hint)
    return pivot


def relative(target: Sample, pivot: Sample, code: str, reference: str) -> Doubles:
    """Return the mean difference between texts and their translations, shape ``[dimension]``."""
    left, right = _by_group(target), _by_group(pivot)
    shared = [group for group in left if group in right]
    if len(shared) < FEWEST:
        problem = f"at least {FEWEST} passages in {code} must have a translation in {reference}, got {len(shared)}"
        hint = "give a parallel data set, or use center, which needs no translations"
        raise PanglotError(problem, field="on", hint=hint)
    return np.mean([left[group] - right[group] for group in shared], axis=0)


def leading_directions(vectors: Doubles, rank: int) -> Doubles:
    """Return the first right singular vectors of the rows, which are not centered, shape ``[rank, dimension]``."""
    return np.linalg.svd(vectors, full_matrices=False)[2][:rank]


def differing_subspace(means: Doubles, rank: int) -> Doubles:
    """Return an orthonormal basis of the subspace in which the rows differ, shape ``[rank, dimension]``.

    The means are approximated as μ + Σ, where Σ has that rank and μ is common to all rows and orthogonal to Σ. μ is the
    point of the means' affine hull that is nearest to the origin. At full rank (one less than rows), all rows are μ
    after projection on the complement.
    """
    average = means.mean(axis=0)
    left, values, right = np.linalg.svd(means - average, full_matrices=False)
    near = average + (left[:, :rank] * values[:rank]) @ right[:rank]
    normal = np.linalg.pinv(near).sum(axis=1)
    shared = normal / (normal @ normal)
    return np.linalg.svd(near - shared, full_matrices=False)[2][:rank]


def _by_group(sample: Sample) -> dict[str, Doubles]:
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(sample.groups):
        rows.setdefault(group, []).append(row)
    # A group may have several passages in a language, which count as one.
    vectors = np.asarray(sample.vectors, np.float64)
    return {group: vectors[found].mean(axis=0) for group, found in rows.items()}


def _too_large(rank: int, most: int, reason: str) -> PanglotError:
    problem = f"`rank` must be at most {most} for {reason}, got {rank}"
    return PanglotError(problem, field="rank", hint=f"give {most} or less")
