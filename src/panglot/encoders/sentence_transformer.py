"""Encode fast with any sentence-transformers model, with its own prompts and pooling, and score with cross-encoders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from panglot._environment import Precision, choose_device, choose_precision
from panglot._errors import PanglotError, first_line
from panglot._files import digest
from panglot._progress import progress
from panglot.encoders import packed
from panglot.encoders.model_folders import SHIPPED
from panglot.encoders.open_model import count_longer, fetch, folder_digest, long_text, open_model, prompt_of, tried
from panglot.encoders.protocol import CutTexts, Side, Tokens, Vectors, check_texts
from panglot.encoders.tokenizers import token_batches, tokens_of, windows

if TYPE_CHECKING:
    import torch


CHUNK = 32_768  # Texts that are tokenized and sorted at a time.

_BATCH_TOKENS = {"cpu": 4_096, "cuda": 65_536}
"""Tokens per batch. On two CPU cores, speed is flat from 1,024 to 8,192 and falls when a batch exceeds the caches."""


def fingerprint_of(files: str, precision: str, max_length: int | None) -> str:
    """Return the fingerprint of a model, by the digest of its folder. Encoders with and without torch share it."""
    return digest("sentence-transformers", files, precision, str(max_length))


def source_of(path_or_name: str | Path, name: str | None) -> tuple[str, str]:
    """Return where other processes find a model, and its name: by default that of its folder."""
    source = str(path_or_name)
    folder = Path(source)
    if source in SHIPPED or not folder.is_dir():
        return source, name or source
    return str(folder.resolve()), name or folder.name


class SentenceTransformerEncoder:
    """Encode with a sentence-transformers folder or a model of the hub.

    Vectors are those of ``encode_query`` and ``encode_document`` at unit length, up to rounding. BERT- and
    RoBERTa-like models with mean or first-token pooling run without padding. All others run in
    sentence-transformers' own code, in batches of similar length.

    Args:
        path_or_name: The folder, or ``owner/model`` on the hub.
        device: A device of torch. By default a GPU if there is one.
        precision: The precision of products. ``auto`` is ``bf16`` where it is faster (cosine to ``fp32`` above
            .9999), else ``fp32``. ``int8`` is for OpenVINO. The returned vectors are always float32.
        max_length: The number of tokens to which texts are cut. By default the model's own.
        batch_tokens: The number of tokens per batch.
        trust_remote_code: Whether Python code that comes with the model may run.
        name: The name in tables. By default the name of the folder or model.

    Raises:
        PanglotError: The folder does not exist, is unsafe or damaged, or the model cannot be fetched.
    """

    def __init__(
        self, path_or_name: str | Path, *, device: str | None = None, precision: Precision = "auto",
        max_length: int | None = None, batch_tokens: int | None = None, trust_remote_code: bool = False,
        name: str | None = None,
    ) -> None:  # fmt: skip
        if max_length is not None and max_length < 1:
            problem = f"`max_length` must be at least 1, got {max_length}"
            raise PanglotError(problem, field="max_length", hint="use 16 or more")
        self.device = choose_device(device)
        self._check_backend(precision)
        self.precision = choose_precision(precision, self.device)
        self.batch_tokens = batch_tokens or _BATCH_TOKENS.get(self.device.type, _BATCH_TOKENS["cpu"])
        self.model, self.folder = open_model(path_or_name, self.device, trust_remote_code=trust_remote_code)
        if max_length is not None:
            self.model.max_seq_length = min(max_length, self.model.max_seq_length or max_length)
        self.max_length: int | None = self.model.max_seq_length
        self.dimension = int(self.model.get_embedding_dimension())
        source, self.name = source_of(path_or_name, name)
        files = folder_digest(self.folder)
        self.fingerprint = fingerprint_of(files, self.precision, self.max_length)
        # How other processes and machines open the same model.
        options = {
            "device": device, "precision": self.precision, "max_length": self.max_length, "batch_tokens": batch_tokens,
            "trust_remote_code": trust_remote_code, "name": self.name,
        }  # fmt: skip
        self._again = (source, options)
        self.prompts = {side: prompt_of(self.model, side) for side in get_args(Side)}
        self.pooling = packed.pooling_of(self.model)
        #: The sides whose cut texts were warned of. :meth:`encode` warns once, unless its caller counts them.
        self.told: set[Side] = set()
        self._prepare()
        if source not in SHIPPED:
            self._try()

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        check_texts(texts, side)
        import torch

        if side not in self.told:
            cuts = CutTexts(self, side)
            cuts.add(texts)
            cuts.warn()
        vectors = np.empty((len(texts), self.dimension), np.float32)
        with torch.inference_mode(), progress(f"{self.name}: {side}s", len(texts)) as advance:
            for begin in range(0, len(texts), CHUNK):
                chunk = list(texts[begin : begin + CHUNK])
                rows = vectors[begin : begin + len(chunk)]
                for batch, found in self._chunk(chunk, side):
                    rows[batch] = torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy()
                    advance(len(batch))
        return vectors

    def count_cut(self, texts: Sequence[str], side: Side) -> int:
        """Return how many texts are cut at :attr:`max_length`, with their prompt."""
        prompt = self.prompts[side]
        return count_longer(self.model.tokenizer, [prompt + text for text in texts], self.max_length)

    def _try(self) -> None:
        """Encode one long text, so that no error of torch comes up in the middle of long work."""
        import torch

        with tried(self.folder, "one long text is encoded") as refuse, torch.inference_mode():
            for _, vectors in self._chunk([long_text(self.max_length)], "passage"):
                refuse(vectors)

    def window(self, texts: Sequence[str], side: Side) -> list[tuple[int, int]]:
        """Return begin and end of what the model sees of each text, in characters."""
        if self._cutting is None:
            return [(0, len(text)) for text in texts]
        return windows(self._cutting, self.prompts[side], texts)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of passages, however many they are."""
        prompt = self.prompts["passage"]
        whole = [prompt + text for text in texts]
        if self._whole is not None:
            return tokens_of(self._whole, whole, len(prompt))
        # Other tokenizers do not say where tokens begin. They are taken for equally long.
        found: Any = self.model.tokenizer(whole) if callable(self.model.tokenizer) else {"input_ids": whole}
        numbers = map(len, found["input_ids"])
        return [
            Tokens(number, [place * len(text) // number for place in range(number)])
            for text, number in zip(texts, numbers, strict=True)
        ]

    @cached_property
    def _whole(self) -> Any:
        """A copy of the tokenizer, which other threads may use while this one encodes. None if it is not a fast one."""
        fast = getattr(self.model.tokenizer, "backend_tokenizer", None)
        if fast is None:
            return None
        copy = type(fast).from_str(fast.to_str())
        copy.no_padding()
        copy.no_truncation()
        return copy

    @cached_property
    def _cutting(self) -> Any:
        """Another copy, which cuts texts. None if nothing is cut."""
        if self._whole is None or self.max_length is None:
            return None
        copy = type(self._whole).from_str(self._whole.to_str())
        copy.enable_truncation(self.max_length, direction=self.model.tokenizer.truncation_side)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the way to open the model instead of its weights, for other processes and machines."""
        return reopened, (type(self), *self._again, self.fingerprint)

    def _check_backend(self, precision: Precision) -> None:
        """Refuse what the backend cannot do, before the model is opened."""
        if precision == "int8":
            hint = "use the backend openvino (pip install 'panglot[openvino]'), or fp32 or bf16"
            raise PanglotError("torch does not run models in int8", field="precision", hint=hint)

    def _prepare(self) -> None:
        """Keep the weights of linear layers in bfloat16, so that autocast does not cast them in every batch.

        LayerNorm, residuals and softmax stay in float32.
        """
        import torch

        if self.pooling and self.precision == "bf16" and self.device.type == "cpu":
            for part in self.model[0].auto_model.modules():
                if isinstance(part, torch.nn.Linear):
                    part.to(torch.bfloat16)

    def _chunk(self, texts: list[str], side: Side) -> Iterator[tuple[np.ndarray[Any, Any], torch.Tensor]]:
        tokens = self._tokens(texts, side)
        for batch in token_batches([len(text) for text in tokens], self.batch_tokens):
            if self.pooling:
                yield batch, self._embed([tokens[row] for row in batch])
            else:
                yield batch, self._theirs([texts[row] for row in batch], side)

    def _tokens(self, texts: list[str], side: Side) -> list[np.ndarray[Any, Any]]:
        """Return the token ids of each text with its prompt, cut to the maximum length and not padded."""
        whole = [self.prompts[side] + text for text in texts]
        tokenizer: Any = self.model.tokenizer
        fast = getattr(tokenizer, "backend_tokenizer", None)
        if fast is None:
            # Models of pooled words have no tokenizer to call. Bytes are good enough to sort texts by length.
            if not callable(tokenizer):
                return [np.frombuffer(text.encode("utf-8", "replace"), np.uint8) for text in whole]
            found: Any = tokenizer(whole, truncation=self.max_length is not None, max_length=self.max_length)
            return [np.asarray(row, np.int32) for row in found["input_ids"]]
        fast.no_padding()
        if self.max_length is None:
            fast.no_truncation()
        else:
            fast.enable_truncation(self.max_length, direction=tokenizer.truncation_side)
        return [np.asarray(found.ids, np.int32) for found in fast.encode_batch_fast(whole)]

    def _embed(self, tokens: list[Any]) -> torch.Tensor:
        with self._autocast():
            return packed.embed(self.model, tokens, self.pooling)

    def _theirs(self, texts: list[str], side: Side) -> torch.Tensor:
        call = self.model.encode_query if side == "question" else self.model.encode_document
        with self._autocast():
            return call(texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        bf16 = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()


class Reranker:
    """A sentence-transformers ``CrossEncoder``, by folder or hub name, that gives one score per pair.

    Attributes:
        name: The name of the hub or of the folder.
    """

    def __init__(self, model: str | Path) -> None:
        from sentence_transformers import CrossEncoder

        self.name = Path(model).name if Path(model).is_dir() else str(model)
        self._folder = fetch(model)
        try:
            self._model: Any = CrossEncoder(str(self._folder))
        except (OSError, ValueError, KeyError) as error:
            problem = f"not a cross-encoder: {first_line(error)}"
            raise PanglotError(problem, field="reranker", hint="name the folder or hub name of one") from error
        # A fast tokenizer raises "Already borrowed" when several threads use it.
        self._predicting = threading.Lock()
        if self._model.num_labels != 1:
            problem = f"a reranker must give one score per pair, this gives {self._model.num_labels}"
            hint = "choose a model that was trained to rank"
            raise PanglotError(problem, file=str(model), field="reranker", hint=hint)

    def scores(
        self, query: str, documents: Sequence[str], *, logits: bool = False
    ) -> npt.NDArray[np.float64]:  # fmt: skip
        """Return how well each document answers the query, higher is better, shape ``[documents]``.

        With ``logits``, they are what the model gives before the activation that its configuration names.
        """
        if not documents:
            return np.zeros(0)
        pairs = [(query, document) for document in documents]
        options: dict[str, Any] = {}
        if logits:
            from torch import nn

            options["activation_fn"] = nn.Identity()
        with self._predicting:
            return np.asarray(self._model.predict(pairs, show_progress_bar=False, **options), np.float64)

    @property
    def fingerprint(self) -> str:
        """One digest of the files that its scores depend on."""
        return folder_digest(self._folder)


def reopened(
    kind: type[SentenceTransformerEncoder], source: str, options: dict[str, Any], fingerprint: str
) -> SentenceTransformerEncoder:
    """Return the encoder that another process or machine pickled, or report that the model is another one here."""
    found = kind(source, **options)
    if found.fingerprint != fingerprint:
        problem = f"{source} is another model in this process or on this machine"
        raise PanglotError(problem, hint="give all processes and machines the same files")
    found.told.update(("question", "passage"))  # The process that sends the texts counts those that are cut.
    return found
