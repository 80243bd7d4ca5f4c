"""Encode with numpy what is little, and until there is much, because importing torch takes longer than a few texts."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from panglot._environment import cpu_precision
from panglot._errors import PanglotError, first_line
from panglot._files import cache_folder, digest, write_json
from panglot._progress import progress
from panglot.encoders.light_transformer import NumpyTransformer
from panglot.encoders.model_folders import SHIPPED, shipped_folder
from panglot.encoders.open_model import fetch, folder_digest, refuse_unsafe, refuse_unusable
from panglot.encoders.packed import first_position
from panglot.encoders.protocol import CutTexts, Encoder, Side, Tokens, Vectors, check_texts
from panglot.encoders.sentence_transformer import (
    CHUNK,
    SentenceTransformerEncoder,
    fingerprint_of,
    reopened,
    source_of,
)
from panglot.encoders.tokenizers import Pieces, token_batches, tokens_of, windows

LIMIT = 1 << 15
"""Tokens that numpy encodes before torch takes over. Torch saves as much time on them as its import takes."""

FEW = 128
"""Tokens of a call that torch never takes over in bfloat16, such as those of a query. For one query, torch takes more
than twice as long, and for eight as long."""

_BATCH_TOKENS = 1024
_SHOWN = 32
_FEW_TEXTS, _FIRST_CALLS = 4, 8  # Texts and calls that do without the whole vocabulary. The next one reads it.
_SAME = {"fp32": 0.99999, "bf16": 0.999}  # Least cosine to torch's vectors.
_TRIED = "In which language is the answer? Die Antwort steht auf Seite 17. 答えは何語ですか。"
_FORMAT = 1
_TINY = 1e-12  # As in torch's normalize.


@dataclass(frozen=True)
class EncoderSpec:
    """What the numbers in a model folder do not say: what torch's libraries made of its configuration."""

    pooling: str  # "mean" or "cls".
    prompts: Mapping[Side, str]
    max_length: int
    truncation_side: str
    first_position: int
    heads: int
    epsilon: float  # Of layer normalisation.
    part: str = ""  # The folder of the transformer within the model's.
    tokenizer: str = ""  # As JSON. Empty if it is what tokenizer.json says.


def open_light(
    path_or_name: str | Path, *, name: str | None = None, precision: Literal["auto", "fp32"] = "auto"
) -> Encoder:  # fmt: skip
    """Return a :class:`LightEncoder` of a model that is known to work with it, else torch's encoder.

    Models that come with panglot are known. Another one is opened with torch the first time, compared, and known from
    then on. For the arguments, see :class:`panglot.encoders.sentence_transformer.SentenceTransformerEncoder`.
    """
    if path_or_name in SHIPPED:
        folder = shipped_folder(str(path_or_name))
        return LightEncoder(path_or_name, folder, _shipped_spec(folder), name=name, precision=precision)
    folder = fetch(path_or_name)
    refuse_unsafe(folder, trust_remote_code=False)
    refuse_unusable(folder)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        spec = EncoderSpec(**json.loads(_spec_file(folder).read_text("utf-8")))
        return LightEncoder(path_or_name, folder, spec, name=name, precision=precision)
    with warnings.catch_warnings(record=True) as notes:
        warnings.filterwarnings("always", category=RuntimeWarning)
        opened = SentenceTransformerEncoder(path_or_name, name=name, precision=precision)
    for note in notes:
        warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)
    # A model of which panglot has something to note stays with torch, whose encoder says it every time.
    is_noted = any(issubclass(note.category, RuntimeWarning) for note in notes)
    if not is_noted and (spec := _compared(opened)):
        with contextlib.suppress(PanglotError):  # Without a cache, torch opens the model the next time too.
            write_json(_spec_file(folder), asdict(spec))
    return opened


class LightEncoder:
    """Encode with a BERT- or RoBERTa-like model by numpy. After :data:`LIMIT` tokens, torch takes over.

    Vectors are those of :class:`panglot.encoders.sentence_transformer.SentenceTransformerEncoder` up to rounding, and
    so is the fingerprint. Weights are mapped into memory, so that only the rows of the words of a text are read.

    ``precision`` is ``bf16`` or ``fp32``, that of torch when it takes over, so it is part of the fingerprint.
    """

    def __init__(
        self, path_or_name: str | Path, folder: Path, spec: EncoderSpec, *, name: str | None = None,
        precision: Literal["auto", "fp32"] = "auto",
    ) -> None:  # fmt: skip
        self.folder, self.max_length, self.pooling = folder, spec.max_length, spec.pooling
        self._asked: Literal["auto", "fp32"] = precision
        self.precision = cpu_precision() if precision == "auto" else precision
        self._source, self.name = source_of(path_or_name, name)
        self._files = folder_digest(folder)
        self.fingerprint = fingerprint_of(self._files, self.precision, self.max_length)
        self._spec = spec
        weights = folder / spec.part / "model.safetensors"
        self._bf16 = self.precision == "bf16"
        self._transformer = NumpyTransformer(weights, spec.heads, spec.first_position, spec.epsilon, bf16=self._bf16)
        self.dimension = self._transformer.dimension
        self._pieces_place = cache_folder() / "pieces" / digest(self._files, spec.tokenizer)[:32]
        self._pieces, self._calls = Pieces.open(self._pieces_place), 0
        #: As in the encoder with torch.
        self.told: set[Side] = set()
        #: Tokens after which torch takes over, :data:`LIMIT` if None. A service goes on, so it has fewer.
        self.limit: int | None = None
        self._changing = threading.Lock()
        self._encoded = 0
        self._torch: Future[SentenceTransformerEncoder | None] | None = None

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        check_texts(texts, side)
        if side not in self.told:
            cuts = CutTexts(self, side)
            cuts.add(texts)
            cuts.warn()
        vectors = np.empty((len(texts), self.dimension), np.float32)
        # A bar would not appear in the time that a few texts take.
        few = len(texts) <= _SHOWN
        shown = contextlib.nullcontext(lambda _done: None) if few else progress(f"{self.name}: {side}s", len(texts))
        with shown as advance:
            for begin in range(0, len(texts), CHUNK):
                chunk, rows = texts[begin : begin + CHUNK], vectors[begin : begin + CHUNK]
                whole = [self._spec.prompts[side] + text for text in chunk]
                tokens = self._token_ids(whole)
                if heavy := self._successor(sum(map(len, tokens))):
                    rows[:] = heavy.encode(chunk, side)
                    continue
                for batch in token_batches([len(text) for text in tokens], _BATCH_TOKENS):
                    found = self._transformer.embed([tokens[row] for row in batch], self.pooling)
                    rows[batch] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _TINY)
                    advance(len(batch))
        return vectors

    def count_cut(self, texts: Sequence[str], side: Side) -> int:
        """Return how many texts are cut at ``max_length``, with their prompt."""
        whole = [self._spec.prompts[side] + text for text in texts]
        # A token is at least a byte, but for a few that begin and end a text. Most texts need no tokenizer.
        long = [text for text in whole if len(text.encode("utf-8", "replace")) > self.max_length - 8]
        return sum(bool(found.overflowing) for found in self._tokenizer.encode_batch(long)) if long else 0

    def window(self, texts: Sequence[str], side: Side) -> list[tuple[int, int]]:
        """Return begin and end of what the model sees of each text, in characters."""
        return windows(self._tokenizer, self._spec.prompts[side], texts)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of passages, however many they are."""
        prompt = self._spec.prompts["passage"]
        return tokens_of(self._whole, [prompt + text for text in texts], len(prompt))

    def _token_ids(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of texts, with their prompt."""
        if self._pieces and len(texts) <= _FEW_TEXTS and self._calls < _FIRST_CALLS:
            self._calls += 1
            spec = self._spec
            if (found := self._pieces.encode(texts, spec.max_length, spec.truncation_side)) is not None:
                return found
        self._calls = _FIRST_CALLS
        return [found.ids for found in self._tokenizer.encode_batch_fast(texts)]

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        file, made = self.folder / self._spec.part / "tokenizer.json", cast("Any", Tokenizer)
        found = made.from_str(self._spec.tokenizer) if self._spec.tokenizer else made.from_file(str(file))
        found.no_padding()
        found.enable_truncation(self._spec.max_length, direction=self._spec.truncation_side)
        if not self._pieces and not self._pieces_place.exists():
            # Without a cache, the first call of the next process reads the vocabulary too.
            with contextlib.suppress(PanglotError, OSError, ValueError, KeyError, TypeError):
                Pieces.save(self._spec.tokenizer or file.read_text("utf-8"), self._pieces_place)
        return found

    @cached_property
    def _whole(self) -> Any:
        """A copy of the tokenizer that cuts nothing."""
        copy = type(self._tokenizer).from_str(self._tokenizer.to_str())
        copy.no_truncation()
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the way to open the model with torch, because other processes are started for heavy work."""
        options = {"precision": self.precision, "name": self.name}
        return reopened, (SentenceTransformerEncoder, self._source, options, self.fingerprint)

    def _successor(self, tokens: int) -> SentenceTransformerEncoder | None:
        """Return the encoder with torch once it is open. A call with much to encode waits for it."""
        if self._bf16 and tokens <= FEW:
            return None
        with self._changing:
            self._encoded += tokens
            if self._encoded > (LIMIT if self.limit is None else self.limit) and self._torch is None:
                pool = ThreadPoolExecutor(1, "panglot-torch")
                self._torch = pool.submit(self._open_torch)
                pool.shutdown(wait=False)
        opening = self._torch
        return opening.result() if opening and (opening.done() or tokens > LIMIT) else None

    def _open_torch(self) -> SentenceTransformerEncoder | None:
        try:
            opened = SentenceTransformerEncoder(self._source, name=self.name, precision=self._asked)
            problem = "" if folder_digest(opened.folder) == self._files else "the model has changed"
        except (PanglotError, ImportError, RuntimeError, OSError) as error:
            if str(error).endswith("shutdown"):  # "can't register atexit after shutdown": the process ends meanwhile.
                return None
            opened, problem = None, first_line(error)
        if opened is None or problem:
            warnings.warn(f"{self.name}: torch does not take over: {problem}", RuntimeWarning, stacklevel=1)
            return None
        # The cut texts that this encoder was told to leave to its caller stay with it.
        opened.told = self.told
        return opened


def _shipped_spec(folder: Path) -> EncoderSpec:
    """Return what is known of a folder that :func:`panglot.encoders.bundled.write_model` wrote."""
    config, library, length = (
        json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name in ("config", "config_sentence_transformers", "sentence_bert_config")
    )
    prompts: dict[Side, str] = {"question": library["prompts"]["query"], "passage": library["prompts"]["document"]}
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    return EncoderSpec("mean", prompts, length["max_seq_length"], "right", 0, heads, epsilon)


def _spec_file(folder: Path) -> Path:
    from importlib.metadata import version  # Slow, and models that come with panglot do not need it.

    # Other versions of the libraries may read the same folder in another way.
    libraries = (f"{name} {version(name)}" for name in ("transformers", "sentence-transformers", "tokenizers"))
    return cache_folder() / "light" / f"{digest(folder_digest(folder), str(_FORMAT), *libraries)[:32]}.json"


def _compared(opened: SentenceTransformerEncoder) -> EncoderSpec | None:
    """Return the specification of a model if a :class:`LightEncoder` of it gives torch's vectors, else None."""
    spec = _spec_of(opened)
    if spec is None:
        return None
    try:
        light = LightEncoder(opened.folder, opened.folder, spec, precision="fp32")
        texts = ["", _TRIED, _TRIED * spec.max_length]
        light.told.update(spec.prompts)  # One of these texts is cut on purpose.
        opened.told.update(spec.prompts)
        cosines = [(light.encode(texts, side) * opened.encode(texts, side)).sum(axis=1) for side in spec.prompts]
    except (OSError, ValueError, KeyError, TypeError, StopIteration):  # The weights have another form.
        return None
    finally:
        opened.told.clear()
    return spec if float(np.min(cosines)) > _SAME[opened.precision] else None


def _spec_of(opened: SentenceTransformerEncoder) -> EncoderSpec | None:
    """Return the specification of an opened model, or None if it is of no supported kind."""
    model: Any = opened.model
    modules = list(model)
    if not opened.pooling or any(type(module).__name__ != "Normalize" for module in modules[2:]):
        return None
    config, tokenizer = modules[0].auto_model.config, model.tokenizer
    fast = tokenizer.backend_tokenizer
    is_plain = config.hidden_act == "gelu" and getattr(config, "position_embedding_type", "absolute") == "absolute"
    # The service reads from torch's model to which lengths its vectors may be cut.
    is_plain = is_plain and not any(getattr(config, name, None) for name in ("matryoshka_dimensions", "is_matryoshka"))
    # Without special tokens, an empty text has no vector.
    if not is_plain or opened.max_length is None or not fast.num_special_tokens_to_add(False):
        return None
    part = json.loads((opened.folder / "modules.json").read_text("utf-8"))[0]["path"]
    made = json.loads(fast.to_str()) | {"truncation": None, "padding": None}
    file = opened.folder / part / "tokenizer.json"
    read = json.loads(file.read_text("utf-8")) | {"truncation": None, "padding": None} if file.is_file() else None
    return EncoderSpec(
        opened.pooling, opened.prompts, opened.max_length, tokenizer.truncation_side, first_position(config),
        config.num_attention_heads, config.layer_norm_eps, part, "" if made == read else json.dumps(made),
    )  # fmt: skip
