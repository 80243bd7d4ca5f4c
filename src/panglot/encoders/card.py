"""The metadata of a model card, as the hub of Hugging Face reads them: base model, licence, data sets, results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from panglot._files import shareable

_HUB_DATASET = re.compile(r"huggingface\.co/datasets/([\w.-]+/[\w.-]+)")
_TAGS = ["sentence-transformers", "feature-extraction", "panglot", "multilingual", "retrieval"]


class Origin(NamedTuple):
    """Where a model comes from: its name on the hub and its licence, or None if that is not known."""

    model: str | None
    licence: str | None


def origin_of(model: str, folder: Path) -> Origin:
    """Return the origin of a ``model``, which lies in ``folder``. A local folder states it in its own card."""
    if model == "bundled":
        return Origin("intfloat/multilingual-e5-small", "mit")
    card = _metadata_in(folder / "README.md")
    on_hub = model if re.fullmatch(r"[\w.-]+/[\w.-]+", model) and not Path(model).exists() else None
    return Origin(on_hub or _text(card.get("base_model")), _text(card.get("license")))


def metadata(
    name: str, origin: Origin, languages: Sequence[str], datasets: Sequence[tuple[str, Mapping[str, str]]],
    results: Sequence[tuple[str, str, float]] = (),
) -> str:  # fmt: skip
    """Return the YAML at the head of a card.

    ``datasets`` are names with what is known of them. A data set of the hub gets its name there. ``results`` are data
    set, measure and value.
    """
    from huggingface_hub import EvalResult, ModelCardData

    found = [
        EvalResult(
            "information-retrieval", _slug(dataset), dataset, _slug(measure), round(value, 4), metric_name=measure
        )
        for dataset, measure, value in results
    ]
    names = dict.fromkeys(_dataset(shareable(each), about) for each, about in datasets)
    card = ModelCardData(
        base_model=origin.model, license=origin.licence, language=list(languages), library_name="sentence-transformers",
        pipeline_tag="sentence-similarity", tags=[*_TAGS], datasets=list(names) or None, model_name=name,
        eval_results=found or None,
    )  # fmt: skip
    return card.to_yaml()


def _dataset(name: str, about: Mapping[str, str]) -> str:
    on_hub = _HUB_DATASET.search(about.get("source", ""))
    return on_hub[1] if on_hub else re.split("[:@]", name)[0]


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower() or "unnamed"


def _metadata_in(card: Path) -> dict[str, Any]:
    from huggingface_hub import ModelCard

    try:
        return ModelCard.load(card, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError):  # There is no card, or it is not YAML.
        return {}


def _text(value: object) -> str | None:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else None
