"""``panglot.debias``: a model and unlabelled text in, a debiased model's folder out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot import __version__
from panglot._errors import PanglotError
from panglot.debiasing import folder as place
from panglot.debiasing.fit import Counts, Sample, check, fit, pivot_of
from panglot.debiasing.texts import Texts, open_sets, sample
from panglot.debiasing.transform import SIDES, Debiasing, Method
from panglot.encoders.cache import cached
from panglot.encoders.load import load
from panglot.encoders.opening import prompt_of
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Encoder, Side

TEXTS = 200
"""Texts of a side and language, by default."""


def debias(
    model: str | Path,
    on: str | Path | Collection | Sequence[str | Path | Collection],
    method: Method,
    output: str | Path,
    *,
    rank: int | None = None,
    languages: Sequence[str] | None = None,
    texts: int = TEXTS,
    pivot: str | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Fit a remedy for a model's language bias, without training, and return the folder of both.

    ``panglot.debias("bundled", on="libreoffice-help", method="center", output="runs/centered")``

    Only the languages of the texts are looked at (for ``shift``, which passages are translations too), never which
    passage answers a question; and never test sets. The folder opens in :func:`panglot.load` and in
    ``SentenceTransformer``; how, its ``README.md`` says.

    Args:
        model: ``bundled``, a sentence-transformers folder or a hub name.
        on: Text to fit on: sets, ``NAME[:PART][@CANDIDATES]``, paths or collections.
        method: ``center``, ``shift``, ``lir`` or ``lsar``; see :mod:`panglot.debiasing.fit`.
        output: The folder to write; it must not be there yet.
        rank: Directions to remove, for ``lir`` (1 by default) and ``lsar`` (one fewer than languages).
        languages: Fit on these only.
        texts: The most texts of a side and language to encode.
        pivot: For ``shift``, the language that stays where it is; English by default.
        seed: Draws the texts.
        data_dir: Where known sets lie.
        tell: Called with a line for people before each long step.

    Raises:
        PanglotError: The model, the text or a setting is wrong, or the folder cannot be written.
    """
    output = Path(output)
    place.refuse_existing(output)
    if texts < 1:
        raise PanglotError(f"{texts} texts", field="texts", hint="give 2 or more; some hundreds are good")
    given = [on] if isinstance(on, str | Path) or not isinstance(on, Sequence) else list(on)
    collections = open_sets(given, data_dir=data_dir, languages=languages)
    if method == "shift":
        passages = {code: 1 for collection in collections for code in collection.passages["language"].to_pylist()}
        pivot = pivot_of({"passage": passages}, pivot)
    elif pivot is not None:
        raise PanglotError(f"{method} has no pivot", field="pivot", hint="leave it out, or use shift")
    drawn = sample(collections, texts, seed, pivot=pivot)
    counts: Counts = {side: {code: len(each.texts) for code, each in found.items()} for side, found in drawn.items()}
    check(counts, method, rank=rank, pivot=pivot)
    encoder = _open(model)
    place.modules_of(encoder.folder, method)
    if tell is not None:
        total = sum(n for found in counts.values() for n in found.values())
        tell(f"{encoder.name}: {total:,} texts in {len({c for f in counts.values() for c in f})} languages")
    samples = encode(cached(encoder), drawn)
    remedy = fit(samples, method, rank=rank, pivot=pivot)
    about: dict[str, Any] = {
        "panglot": __version__,
        "model": {"name": encoder.name},
        "prompts": {side: prompt_of(encoder.model, side) for side in SIDES},
        "on": [
            {"name": each.name, "digest": each.digest, "licence": each.about.get("licence", "")} for each in collections
        ],
        "texts": counts,
        "pivot": pivot,
        "seed": seed,
        "distance_between_languages": {"before": spread(samples), "after": spread(samples, remedy)},
    }
    place.write(output, encoder.folder, remedy, about)
    return output


def encode(encoder: Encoder, drawn: Mapping[Side, Mapping[str, Texts]]) -> dict[Side, dict[str, Sample]]:
    """Return the vectors of texts by side and language."""
    found: dict[Side, dict[str, Sample]] = {}
    for side, by_language in drawn.items():
        vectors = encoder.encode([text for each in by_language.values() for text in each.texts], side)
        ends = np.cumsum([len(each.texts) for each in by_language.values()])
        parts = np.split(vectors, ends[:-1])
        found[side] = {
            code: Sample(part, each.groups) for (code, each), part in zip(by_language.items(), parts, strict=True)
        }
    return found


def spread(samples: Mapping[Side, Mapping[str, Sample]], remedy: Debiasing | None = None) -> dict[str, float]:
    """Return the mean distance between the mean vectors of two languages by side, after ``remedy`` if given."""
    found: dict[str, float] = {}
    for side, by_language in samples.items():
        used = {code: each.vectors for code, each in by_language.items() if len(each.vectors)}
        if remedy is not None:
            used = {code: remedy.apply(each, [code] * len(each), side) for code, each in used.items()}
        means = np.stack([np.mean(each, axis=0, dtype=np.float64) for each in used.values()])
        distances = np.linalg.norm(means[:, None] - means[None], axis=2)
        if len(means) > 1:
            found[side] = round(float(distances[np.triu_indices(len(means), 1)].mean()), 6)
    return found


def _open(model: str | Path) -> SentenceTransformerEncoder:
    if place.is_debiased(Path(model).expanduser()):
        raise PanglotError(
            "this model has a remedy already",
            file=model,
            hint=f"name the model in it, {Path(model) / place.MODEL}",
        )
    encoder = load(model)
    if not isinstance(encoder, SentenceTransformerEncoder):
        raise PanglotError(
            f"{encoder.name} is no model that could be copied beside its remedy",
            field="model",
            hint="name a folder or a hub model; in Python, panglot.debiasing.encoder.Debiased wraps any encoder",
        )
    return encoder
