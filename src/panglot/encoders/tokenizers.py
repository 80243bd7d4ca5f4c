"""Measure how a model's tokenizer treats a language: its price in tokens, and the share that is unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.data.letters import unspaced_letters
from panglot.encoders.open_model import fetch, refuse_unsafe
from panglot.encoders.protocol import Tokens
from panglot.encoders.shipped import SHIPPED, shipped_folder

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
