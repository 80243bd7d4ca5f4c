"""Fit a debiasing by one of five methods, which are pure functions of vectors by side and language.

========== ============================================================== ==================
``center`` subtract the mean of the text's language
``shift``  subtract, from passages only, the mean difference between a    arXiv 2606.18801
           language's passages and their translations in a pivot
``lir``    remove the leading singular directions of each language        arXiv 2109.04727
``lsar``   remove the subspace in which the means of languages differ     arXiv 2401.05792
``leace``  erase the language by the affine map that changes vectors      arXiv 2306.03819
           least
========== ============================================================== ==================

Each can be followed by :func:`whitening` within groups of translations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.debiasing.correction import METHODS, SIDES, Debiasing, Method
from panglot.encoders.protocol import Side, Vectors

Doubles = npt.NDArray[np.float64]

#: The fewest texts of a side and language that are enough to fit on.
FEWEST = 2


@dataclass(frozen=True)
class Sample:
    """Vectors of one side and language, unit rows of shape ``[texts, dimension]``, and the group of each text.

    Translations share a group. Only ``shift`` and whitening use it.
    """

    vectors: Vectors
    groups: tuple[str, ...]


Samples = Mapping["Side", Mapping[str, Sample]]
#: The group of each text by side and language, as a :class:`Sample` has them.
Groups = Mapping["Side", Mapping[str, Sequence[str]]]


def fit(
    samples: Samples, method: Method, *, rank: int | None = None, pivot: str | None = None, strength: float = 1.0,
    whiten: float | None = None,
) -> Debiasing:  # fmt: skip
    """Fit a debiasing. If a language has texts on one side only, they are used for both sides.

    ``rank`` is the number of directions to remove: from each language for ``lir`` (1 if None), from all for ``lsar``
    (one fewer than languages if None). The other methods have no rank. ``pivot`` is as for :func:`pivot_of`.
    ``strength`` is the share of the correction to apply: of the mean that is subtracted or of the component that is
    removed. ``whiten`` is the shrinkage of :func:`whitening`, which is applied to what the method leaves, or None.
    """
    if method == "shift":
        # Questions keep their place. Passages are moved to where those of the pivot are.
        samples = {"passage": samples.get("passage", {})}
    groups: Groups = {side: {code: each.groups for code, each in found.items()} for side, found in samples.items()}
    rank = check(groups, method, rank=rank, pivot=pivot, strength=strength, whiten=whiten)
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
    matrix = bias = None
    if method == "center":
        offset = np.stack([[vectors[side][code].mean(axis=0) for code in languages] for side in SIDES])
    elif method == "shift":
        reference = pivot_of(groups, pivot)
        passages = enough["passage"]
        offset[1] = [_relative(passages[code], passages[reference], code, reference) for code in languages]
    elif method == "lir":
        if rank >= dimension:
            raise _too_large(rank, dimension - 1, f"vectors of {dimension} numbers")
        # The first right singular vectors of the rows, which are not centered.
        svds = [[np.linalg.svd(vectors[side][code], full_matrices=False) for code in languages] for side in SIDES]
        directions = np.stack([[right[:rank] for _, _, right in each] for each in svds])
    else:
        sides = [side for side in SIDES if len(enough[side]) == len(languages)]
        if not sides:
            hint = "give text of one kind in every language, or choose languages that have it"
            raise PanglotError("some languages have questions only and others passages only", field="on", hint=hint)
        # One map for both sides, so that questions and passages stay comparable.
        if method == "lsar":
            means = np.mean([[vectors[side][code].mean(axis=0) for code in languages] for side in sides], axis=0)
            subspace = differing_subspace(means, rank)
        else:
            matrix, bias = _concept_erasure([[vectors[side][code] for side in sides] for code in languages], strength)
    parts = (offset * strength, directions * np.sqrt(strength), subspace * np.sqrt(strength), matrix, bias)
    debiasing = _debiasing(method, languages, *parts, strength=strength, whiten=whiten)
    if whiten is None:
        return debiasing
    white = whitening(_within_groups(samples, debiasing), whiten)
    matrix = white if matrix is None else white @ matrix
    bias = None if bias is None else white @ bias
    return _debiasing(method, languages, *parts[:3], matrix, bias, strength=strength, whiten=whiten)


def _debiasing(
    method: Method, languages: tuple[str, ...], *arrays: Doubles | None, strength: float, whiten: float | None
) -> Debiasing:
    floats: list[Any] = [None if array is None else np.ascontiguousarray(array, np.float32) for array in arrays]
    return Debiasing(method, languages, *floats, strength=strength, whiten=whiten)


def check(
    groups: Groups, method: str, *, rank: int | None = None, pivot: str | None = None, strength: float = 1.0,
    whiten: float | None = None,
) -> int:  # fmt: skip
    """Return the rank that :func:`fit` would use (0 if it has none), or refuse settings before anything is encoded.

    ``groups`` are those of the texts by side and language. For ``shift``, only groups that the pivot is in.
    """
    if method not in METHODS:
        raise PanglotError(f"unknown method {method!r}", field="method", hint=f"use one of {', '.join(METHODS)}")
    for name, value in (("strength", strength), ("whiten", whiten)):
        # NaN is refused too, because its comparisons are false.
        if value is not None and not 0 <= value <= 1:
            problem = f"`{name}` must be between 0 and 1, got {value:g}"
            raise PanglotError(problem, field=name, hint="choose a value in range")
    counts = {side: {code: len(each) for code, each in found.items()} for side, found in groups.items()}
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
        pivot_of(groups, pivot)
    if whiten is not None:
        times = Counter((side, group) for side, found in groups.items() for each in found.values() for group in {*each})
        if (parallel := sum(number > 1 for number in times.values())) < FEWEST:
            problem = f"whitening needs at least {FEWEST} texts with translations, got {parallel}"
            raise PanglotError(problem, field="whiten", hint="give a parallel data set, or leave the whitening out")
    if method in {"center", "shift", "leace"}:
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


def pivot_of(groups: Mapping[Side, Iterable[str]], pivot: str | None = None) -> str:
    """Return the language that ``shift`` does not change: ``pivot``, else English, else the first by its code.

    ``groups`` has the languages of each side, as its keys if it has :data:`Groups`.
    """
    codes = sorted(groups.get("passage", ()))
    if pivot is None and codes:
        return "en" if "en" in codes else codes[0]
    if pivot not in codes:
        hint = f"use one of {', '.join(codes)}" if codes else "give a data set with passages"
        raise PanglotError(f"there are no passages in {pivot or 'any language'}", field="pivot", hint=hint)
    return pivot


def _relative(target: Sample, pivot: Sample, code: str, reference: str) -> Doubles:
    """Return the mean difference between texts and their translations, shape ``[dimension]``."""
    left, right = (_by_group(each.vectors, each.groups) for each in (target, pivot))
    shared = [group for group in left if group in right]
    if len(shared) < FEWEST:
        problem = f"at least {FEWEST} passages in {code} must have a translation in {reference}, got {len(shared)}"
        hint = "give a parallel data set, or use center, which needs no translations"
        raise PanglotError(problem, field="on", hint=hint)
    return np.mean([left[group] - right[group] for group in shared], axis=0)


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


def _concept_erasure(by_language: Sequence[Sequence[Doubles]], strength: float = 1.0) -> tuple[Doubles, Doubles]:
    """Return matrix and bias of LEACE, which makes the means of all languages equal and changes vectors least.

    r(x) = x − s W⁺ U Uᵀ W (x − μ), where μ and Σ are mean and covariance of the vectors, W = (Σ^½)⁺ whitens them, U is
    an orthonormal basis of the whitened differences of means from μ, and s is the strength. At s = 1 no linear
    classifier can tell the languages of the sample apart (2306.03819, theorem 4.3). ``by_language`` has parts of shape
    ``[texts, dimension]`` for each language. Languages count equally, and so do the parts of each.
    """
    stacked = np.concatenate([part for parts in by_language for part in parts])
    weight = np.concatenate(
        [np.full(len(part), 1 / (len(by_language) * len(parts) * len(part))) for parts in by_language for part in parts]
    )
    mean = weight @ stacked
    covariance = (stacked - mean).T @ ((stacked - mean) * weight[:, None])
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    means = np.stack([np.mean([part.mean(axis=0) for part in parts], axis=0) for parts in by_language])
    whitened = (means - mean) @ vectors / root
    _, found, right = np.linalg.svd(whitened, full_matrices=False)
    basis = right[found > found[0] * max(whitened.shape) * np.finfo(np.float64).eps]
    if len(basis) >= len(root):
        problem = f"the means of {len(by_language)} languages span all {len(root)} directions of their vectors"
        raise PanglotError(problem, field="method", hint="give more text or fewer languages, or use center")
    erased = (vectors * root) @ basis.T @ basis @ (vectors / root).T
    return np.eye(len(mean)) - strength * erased, strength * (erased @ mean)


def whitening(scatter: Doubles, shrinkage: float) -> Doubles:
    """Return W = ((1 − λ) S + λ (tr S / d) I)^(−½) of a scatter S of shape ``[d, d]`` and shrinkage λ from 0 to 1.

    Directions in which translations differ lose weight against those in which they agree. In speaker recognition the
    same map is called within-class covariance normalisation (WCCN), with a speaker in place of a group.
    """
    dimension = len(scatter)
    shrunk = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / dimension * np.eye(dimension)
    values, vectors = np.linalg.eigh(shrunk)
    if values[0] <= max(values[-1], np.finfo(np.float64).tiny) * dimension * np.finfo(np.float64).eps:
        problem = f"translations do not differ in all {dimension} directions, so `whiten` = {shrinkage:g} is impossible"
        raise PanglotError(problem, field="whiten", hint="give a larger shrinkage, such as .8, or more text")
    return (vectors / np.sqrt(values)) @ vectors.T


def _within_groups(samples: Samples, debiasing: Debiasing) -> Doubles:
    """Return the scatter of corrected translations around the mean of their group over languages, shape ``[d, d]``.

    Groups count by their number of languages less one, on each side. A language's texts of one group count as one.
    """
    scatter = np.zeros((debiasing.dimension, debiasing.dimension))
    freedom = 0
    for side, found in samples.items():
        groups: dict[str, list[Doubles]] = {}
        for code, each in found.items():
            corrected = debiasing.corrected(each.vectors, [code] * len(each.groups), side)
            for group, vector in _by_group(corrected, each.groups).items():
                groups.setdefault(group, []).append(vector)
        for versions in groups.values():
            differences = np.stack(versions) - np.mean(versions, axis=0)
            scatter += differences.T @ differences
            freedom += len(versions) - 1
    return scatter / max(freedom, 1)


def _by_group(vectors: npt.ArrayLike, groups: Sequence[str]) -> dict[str, Doubles]:
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    # A group may have several passages in a language, which count as one.
    every = np.asarray(vectors, np.float64)
    return {group: every[found].mean(axis=0) for group, found in rows.items()}


def _too_large(rank: int, most: int, reason: str) -> PanglotError:
    problem = f"`rank` must be at most {most} for {reason}, got {rank}"
    return PanglotError(problem, field="rank", hint=f"give {most} or less")


def spread(samples: Mapping[Side, Mapping[str, Sample]], debiasing: Debiasing | None = None) -> dict[str, float]:
    """Return the mean distance between the mean vectors of two languages by side, corrected by ``debiasing``."""
    distances: dict[str, float] = {}
    for side, by_language in samples.items():
        vectors = {code: each.vectors for code, each in by_language.items() if len(each.vectors)}
        if debiasing is not None:
            vectors = {code: debiasing.apply(each, [code] * len(each), side) for code, each in vectors.items()}
        means = np.stack([np.mean(each, axis=0, dtype=np.float64) for each in vectors.values()])
        pairs = np.linalg.norm(means[:, None] - means[None], axis=2)
        if len(means) > 1:
            distances[side] = round(float(pairs[np.triu_indices(len(means), 1)].mean()), 6)
    return distances
