"""Make a debiased model's folder from a model and unlabelled text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot import __version__
from panglot._errors import PanglotError
from panglot.debiasing import folder
from panglot.debiasing.fit import Counts, Sample, check, fit, pivot_of
from panglot.debiasing.texts import Texts, open_sets, sample
from panglot.debiasing.transform import SIDES, Debiasing, Method
from panglot.encoders.cache import cached
from panglot.encoders.load import load
from panglot.encoders.open_model import prompt_of
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Encoder, Side

__all__ = ["debias", "encode", "spread"]

_TEXTS = 200
"""Default number of texts per side and language."""


def debias(
    model: str | Path,
    on: str | Path | Collection | Sequence[str | Path | Collection],
    method: Method,
    output: str | Path,
    *,
    rank: int | None = None,
    languages: Sequence[str] | None = None,
    texts: int = _TEXTS,
    pivot: str | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Fit a correction of a model's language bias, without training, and return the folder of both.

    ``panglot.debias("bundled", on="libreoffice-help", method="center", output="runs/centered")``

    Only the languages of the texts are used (for ``shift``, also which passages are translations of each other). Which
    passage answers a question is never used, and test sets are refused. :func:`panglot.load` and
    ``SentenceTransformer`` open the folder, as its ``README.md`` explains.

    Args:
        model: ``bundled``, a sentence-transformers folder or a hub name.
        on: Text to fit on: data sets as ``NAME[:PART][@CANDIDATES]``, paths or collections.
        method: ``center``, ``shift``, ``lir`` or ``lsar``. See :mod:`panglot.debiasing.fit`.
        output: The folder to write. It must not exist yet.
        rank: The number of directions to remove, for ``lir`` (default 1) and ``lsar`` (default: one fewer than
            languages).
        languages: The languages to fit on. By default all of the text.
        texts: The most texts to encode per side and language.
        pivot: For ``shift``, the language whose vectors do not change. By default English.
        seed: The seed of the sample of texts.
        data_dir: The folder of the data sets.
        progress: Called with a line of text before each long step.

    Raises:
        PanglotError: The model, the text or a setting is wrong, or the folder cannot be written.
    """
    output = Path(output)
    folder.refuse_existing(output)
    if texts < 1:
        raise PanglotError(f"`texts` must be at least 1, got {texts}", field="texts", hint="give some hundreds")
    sources = [on] if isinstance(on, str | Path) or not isinstance(on, Sequence) else list(on)
    collections = open_sets(sources, data_dir=data_dir, languages=languages)
    if method == "shift":
        passages = {code: 1 for collection in collections for code in collection.passages["language"].to_pylist()}
        pivot = pivot_of({"passage": passages}, pivot)
    elif pivot is not None:
        raise PanglotError(f"{method} has no pivot", field="pivot", hint="leave it out, or use shift")
    drawn = sample(collections, texts, seed, pivot=pivot)
    counts: Counts = {side: {code: len(each.texts) for code, each in found.items()} for side, found in drawn.items()}
    # Settings that cannot work are refused before the model is opened and texts are encoded.
    check(counts, method, rank=rank, pivot=pivot)
    encoder = _open(model)
    folder.modules_of(encoder.folder, method)
    if progress is not None:
        total = sum(n for found in counts.values() for n in found.values())
        codes = {code for found in counts.values() for code in found}
        progress(f"{encoder.name}: {total:,} texts in {len(codes)} languages")
    samples = encode(cached(encoder), drawn)
    debiasing = fit(samples, method, rank=rank, pivot=pivot)
    metadata: dict[str, Any] = {
        "panglot": __version__,
        "model": {"name": encoder.name},
        "prompts": {side: prompt_of(encoder.model, side) for side in SIDES},
        "on": [
            {"name": each.name, "digest": each.digest, "licence": each.about.get("licence", "")} for each in collections
        ],
        "texts": counts,
        "pivot": pivot,
        "seed": seed,
        "distance_between_languages": {"before": spread(samples), "after": spread(samples, debiasing)},
    }
    folder.write(output, encoder.folder, debiasing, metadata)
    return output


def encode(encoder: Encoder, drawn: Mapping[Side, Mapping[str, Texts]]) -> dict[Side, dict[str, Sample]]:
    """Return the vectors of texts by side and language."""
    samples: dict[Side, dict[str, Sample]] = {}
    for side, by_language in drawn.items():
        vectors = encoder.encode([text for each in by_language.values() for text in each.texts], side)
        ends = np.cumsum([len(each.texts) for each in by_language.values()])
        parts = np.split(vectors, ends[:-1])
        samples[side] = {
            code: Sample(part, each.groups) for (code, each), part in zip(by_language.items(), parts, strict=True)
        }
    return samples


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


def _open(model: str | Path) -> SentenceTransformerEncoder:
    if folder.is_debiased(Path(model).expanduser()):
        raise PanglotError(
            "this model is debiased already", file=model, hint=f"name the model inside, {Path(model) / folder.MODEL}"
        )
    encoder = load(model)
    if not isinstance(encoder, SentenceTransformerEncoder):
        raise PanglotError(
            f"{encoder.name} has no files to copy into a debiased model's folder",
            field="model",
            hint="name a folder or a hub model. In Python, panglot.debiasing.encoder.Debiased wraps any encoder",
        )
    return encoder
