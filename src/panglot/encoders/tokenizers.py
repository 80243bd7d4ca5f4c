"""What a model's tokenizer makes of a language: its price in tokens, and what it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.data.scripts import unspaced_letters
from panglot.encoders.hub import fetch
from panglot.encoders.opening import refuse_unsafe

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Price:
    """What a language costs a tokenizer, on sentences whose English is at hand.

    Attributes:
        sentences: Number of sentences.
        premium: Its tokens by those of the same sentences in English (Petrov et al. 2305.15425 call that the premium;
            1 is parity). Where much is unknown it is too small: a run of unknown letters is one token.
        per_word: Tokens by words, as blanks part them (fertility); None in scripts without blanks between words.
        unknown: Share of the letters, marks and digits that the tokenizer does not know.
    """

    sentences: int
    premium: float
    per_word: float | None
    unknown: float


class Counter:
    """Counts the tokens of texts, special ones and prompts apart.

    Args:
        tokenizer: A ``tokenizers`` tokenizer.
        unknown: The number of its token for what it does not know, or None where it knows all bytes.
    """

    def __init__(self, tokenizer: Tokenizer, unknown: int | None) -> None:
        self._tokenizer, self._unknown = tokenizer, unknown
        # Every language of a set has the same English.
        self._met: dict[str, int] = {}

    def counts(self, texts: Sequence[str]) -> tuple[int, int]:
        """Return the tokens, and the letters and digits that fell into unknown ones, of all texts together."""
        tokens = lost = 0
        for text, found in zip(texts, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
            tokens += len(found.ids)
            if self._unknown in found.ids:
                spans = (span for number, span in zip(found.ids, found.offsets, strict=True) if number == self._unknown)
                lost += sum(_letters(text[start:end]) for start, end in spans)
        return tokens, lost

    def price(self, sentences: Sequence[tuple[str, str]]) -> Price | None:
        """Return the price of sentences, each with its English; None where there is none."""
        if not sentences:
            return None
        texts = [text for text, _ in sentences]
        tokens, lost = self.counts(texts)
        english = self._english([other for _, other in sentences])
        letters = sum(map(_letters, texts))
        unspaced = sum(len(unspaced_letters().findall(text)) for text in texts) > letters / 2
        words = sum(len(text.split()) for text in texts)
        return Price(
            len(texts), tokens / max(english, 1), None if unspaced else tokens / max(words, 1), lost / max(letters, 1)
        )

    def _english(self, texts: Sequence[str]) -> int:
        new = list({text for text in texts if text not in self._met})
        for text, found in zip(new, self._tokenizer.encode_batch(new, add_special_tokens=False), strict=True):
            self._met[text] = len(found.ids)
        return sum(self._met[text] for text in texts)


def open_counter(model: str | Path) -> Counter:
    """Return the counter of ``bundled``, a sentence-transformers folder or a model of the hub; no weights are loaded.

    Raises:
        PanglotError: The model is not there or unsafe, or has no ``tokenizer.json``.
    """
    from tokenizers import Tokenizer

    if model == "bundled":
        from panglot.encoders.bundled import bundled_folder

        model = bundled_folder()
    elif re.match(r"https?://|vectors:", str(model)):
        raise PanglotError(
            f"{model} has no tokenizer that could be counted with", field="model", hint="name the model's folder"
        )
    folder = fetch(model)
    refuse_unsafe(folder, trust_remote_code=False)
    path = next(
        (path for path in (folder / "tokenizer.json", *folder.glob("*/tokenizer.json")) if path.is_file()), None
    )
    if path is None:
        raise PanglotError("the model has no tokenizer.json", file=folder, hint="save it with a fast tokenizer")
    try:
        tokenizer: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises a plain Exception
        raise PanglotError(f"not a tokenizer: {error}", file=path, hint="save or fetch the model again") from error
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
