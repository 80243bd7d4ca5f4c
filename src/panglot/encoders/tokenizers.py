"""Measure what a language costs in tokens, tokenize a few texts before a vocabulary is read, and batch texts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import atomic_folder, write_json
from panglot.data.letters import unspaced_letters
from panglot.encoders.model_folders import SHIPPED, shipped_folder
from panglot.encoders.open_model import fetch, refuse_unsafe
from panglot.encoders.protocol import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Price:
    """Hold the price of a language, measured on sentences with their English translations.

    ``premium`` is tokens per token of the same sentences in English (Petrov et al. 2305.15425). 1 is parity. It is too
    small if much is unknown, because a run of unknown letters is one token.
    """

    sentences: int
    premium: float
    per_word: float | None  # Tokens per word, words being separated by blanks. None in scripts without blanks.
    unknown: float  # The share of letters, marks and digits that the tokenizer does not know.


class Counter:
    """Count the tokens of texts, without special tokens and prompts."""

    def __init__(self, tokenizer: Tokenizer, unknown: int | None) -> None:
        self._tokenizer = tokenizer
        self._unknown = unknown  # The id of the unknown token, or None if the tokenizer knows all bytes.
        # The languages of a set share their English sentences, which are counted once.
        self._english_counts: dict[str, int] = {}

    def counts(self, texts: Sequence[str]) -> tuple[int, int]:
        """Return the number of tokens, and of letters and digits in unknown tokens, of all texts together."""
        tokens = lost = 0
        for text, found in zip(texts, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
            tokens += len(found.ids)
            if self._unknown in found.ids:
                spans = (span for number, span in zip(found.ids, found.offsets, strict=True) if number == self._unknown)
                lost += sum(_letters(text[start:end]) for start, end in spans)
        return tokens, lost

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of texts, with those that begin and end each."""
        return tokens_of(self._tokenizer, texts)

    def price(self, sentences: Sequence[tuple[str, str]]) -> Price | None:
        """Return the price of sentences, each with its English translation. None if there are no sentences."""
        if not sentences:
            return None
        texts = [text for text, _ in sentences]
        tokens, lost = self.counts(texts)
        english = self._english([other for _, other in sentences])
        letters = sum(map(_letters, texts))
        unspaced = sum(len(unspaced_letters().findall(text)) for text in texts) > letters / 2
        per_word = None if unspaced else tokens / max(sum(len(text.split()) for text in texts), 1)
        return Price(len(texts), tokens / max(english, 1), per_word, lost / max(letters, 1))

    def _english(self, texts: Sequence[str]) -> int:
        new = list({text for text in texts if text not in self._english_counts})
        for text, found in zip(new, self._tokenizer.encode_batch(new, add_special_tokens=False), strict=True):
            self._english_counts[text] = len(found.ids)
        return sum(self._english_counts[text] for text in texts)


def token_batches(lengths: Sequence[int], budget: int) -> list[npt.NDArray[np.int64]]:
    """Cut texts, longest first, into batches of rows whose padded size stays within ``budget`` tokens.

    A text longer than the budget is a batch of its own.

    >>> [batch.tolist() for batch in token_batches([3, 9, 4, 1], 8)]
    [[1], [2, 0], [3]]
    """
    sizes = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    # The longest texts first, so that a lack of memory shows at once and the time left is not underestimated.
    order = np.argsort(-sizes, kind="stable")
    batches: list[npt.NDArray[np.int64]] = []
    begin = 0
    while begin < len(order):
        count = max(1, budget // int(sizes[order[begin]]))
        batches.append(order[begin : begin + count])
        begin += count
    return batches


def windows(cutting: Any, prompt: str, texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return begin and end of what a tokenizer that cuts leaves of each text behind its prompt, in characters."""
    found: list[tuple[int, int]] = []
    for text, tokens in zip(texts, cutting.encode_batch([prompt + text for text in texts]), strict=True):
        if not tokens.overflowing:
            found.append((0, len(text)))
            continue
        special = zip(tokens.offsets, tokens.special_tokens_mask, strict=True)
        places = [place for place, is_special in special if not is_special and place[1] > len(prompt)]
        begin, end = (places[0][0], places[-1][1]) if places else (len(prompt), len(prompt))
        found.append((max(begin - len(prompt), 0), end - len(prompt)))
    return found


def tokens_of(tokenizer: Any, texts: Sequence[str], prompt: int = 0) -> list[Tokens]:
    """Return the tokens of texts that begin with a prompt of so many characters, which their places do not count."""
    found: list[Tokens] = []
    for each in tokenizer.encode_batch(list(texts)):
        starts = [
            max(begin - prompt, 0)
            for (begin, end), special in zip(each.offsets, each.special_tokens_mask, strict=True)
            if not special and end > prompt
        ]
        found.append(Tokens(len(each.ids), starts))
    return found


class Pieces:
    """Tokenize a few texts with those pieces of a Unigram vocabulary that occur in them.

    Reading a vocabulary of 250,000 pieces takes a second, which is longer than the rest of a search. Of these, only the
    substrings of a text can be its tokens. They are looked up in arrays that are mapped into memory, and a tokenizer of
    them alone gives the same tokens.
    """

    def __init__(self, folder: Path) -> None:
        head = json.loads((folder / "head.json").read_text("utf-8"))
        self._json: dict[str, Any] = head["tokenizer"]
        self._longest: int = head["longest"]
        self._special: list[tuple[int, str, float]] = [
            (number, piece, score) for number, piece, score in head["special"]
        ]
        self._keys, self._ids, self._scores = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("keys", "ids", "scores")
        )
        self._front = self._made([])

    @classmethod
    def open(cls, folder: Path) -> Pieces | None:
        """Return those that :meth:`save` wrote, or None if they are not there."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return cls(folder)
        return None

    @staticmethod
    def save(content: str, folder: Path) -> None:
        """Write the pieces of a ``tokenizer.json``, if it is of a kind for which they are enough.

        Raises:
            PanglotError: The folder cannot be written.
        """
        found = json.loads(content)
        model, added = found["model"], sorted(found["added_tokens"], key=lambda each: each["id"])
        split = (found["pre_tokenizer"] or {}).get("type") == "Metaspace" and found["pre_tokenizer"].get("split")
        # The ids of special tokens in a template stay as they are.
        template = (found.get("post_processor") or {}).get("special_tokens") or {}
        used = [number for each in template.values() for number in each["ids"]]
        in_place = all(number < len(added) and added[number]["id"] == number for number in used)
        plain = model["type"] == "Unigram" and not model.get("byte_fallback") and found["normalizer"]
        if not (plain and split and in_place):
            # So that no other process looks into the file again.
            with atomic_folder(folder) as part:
                write_json(part / "head.json", {})
            return
        vocabulary: list[tuple[str, float]] = model.pop("vocab")
        lowest = min(range(len(vocabulary)), key=lambda number: vocabulary[number][1])
        # An unknown letter costs as much as the lowest score of all, and some more.
        numbers = [*(each["id"] for each in added), lowest]
        special = [(number, *vocabulary[number]) for number in numbers]
        keys = _keys([piece for piece, _ in vocabulary])
        order = np.argsort(keys)
        with atomic_folder(folder) as part:
            np.save(part / "keys.npy", keys[order])
            np.save(part / "ids.npy", order.astype(np.int32))
            np.save(part / "scores.npy", np.array([score for _, score in vocabulary])[order])
            longest = max(len(piece) for piece, _ in vocabulary)
            write_json(part / "head.json", {"tokenizer": found, "longest": longest, "special": special})

    def encode(self, texts: Sequence[str], length: int, side: str) -> list[list[int]] | None:
        """Return the tokens of texts, cut to ``length`` on a ``side``, or None if a text holds a special token."""
        if any(piece in text for text in texts for _, piece, _ in self._special[:-1]):
            return None
        pieces: set[str] = set()
        for text in texts:
            for word, _ in self._front.pre_tokenizer.pre_tokenize_str(self._front.normalizer.normalize_str(text)):
                ends = range(1, self._longest + 1)
                pieces.update(word[begin : begin + size] for begin in range(len(word)) for size in ends)
        known = sorted(pieces - {piece for _, piece, _ in self._special})
        at = np.minimum(np.searchsorted(self._keys, keys := _keys(known)), len(self._keys) - 1)
        rows = [
            (int(self._ids[place]), piece, float(self._scores[place]))
            for place, piece, key in zip(at, known, keys, strict=True)
            if self._keys[place] == key
        ]
        small, numbers = self._made(rows), [number for number, *_ in (*self._special, *rows)]
        small.enable_truncation(length, direction=side)
        return [[numbers[each] for each in found.ids] for found in small.encode_batch(list(texts))]

    def _made(self, rows: Sequence[tuple[int, str, float]]) -> Any:
        """Return a tokenizer that knows the special pieces and some others."""
        from tokenizers import Tokenizer

        numbers = {number: place for place, (number, *_) in enumerate(self._special)}
        model = self._json["model"]
        added = [{**each, "id": numbers[each["id"]]} for each in self._json["added_tokens"]]
        unknown = None if model["unk_id"] is None else numbers[model["unk_id"]]
        vocabulary = [(piece, score) for _, piece, score in (*self._special, *rows)]
        whole = {**self._json, "added_tokens": added, "model": {**model, "unk_id": unknown, "vocab": vocabulary}}
        made: Any = Tokenizer
        return made.from_str(json.dumps(whole))


def _keys(pieces: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return a number for each piece. Of 250,000, two have the same with a probability of 10⁻⁹."""
    found = b"".join(
        hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest() for piece in pieces
    )
    return np.frombuffer(found, "<u8")


def open_counter(model: str | Path) -> Counter:
    """Return the counter of ``bundled``, ``panglot-small``, a folder or a model of the hub, without its weights."""
    from tokenizers import Tokenizer

    if model in SHIPPED:
        model = shipped_folder(str(model))
    elif re.match(r"https?://|vectors:", str(model)):
        problem = f"{model} has no tokenizer to count tokens with"
        raise PanglotError(problem, field="model", hint="name the model's folder")
    folder = fetch(model)
    refuse_unsafe(folder, trust_remote_code=False)
    paths = (folder / "tokenizer.json", *folder.glob("*/tokenizer.json"))
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        raise PanglotError("the model has no tokenizer.json", file=folder, hint="save it with a fast tokenizer")
    try:
        tokenizer: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises a plain Exception
        problem = f"the tokenizer cannot be read: {error}"
        raise PanglotError(problem, file=path, hint="save or fetch the model again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Counter(tokenizer, _unknown(json.loads(path.read_text("utf-8"))["model"], tokenizer))


def _unknown(model: dict[str, Any], tokenizer: Any) -> int | None:
    if (number := model.get("unk_id")) is not None:
        return number
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None


def _letters(text: str) -> int:
    return sum(not letter.isspace() and (letter.isalnum() or not letter.isascii()) for letter in text)
