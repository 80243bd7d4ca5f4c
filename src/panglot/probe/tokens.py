"""How many tokens a model takes for a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder


def count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[int] | None:
    """Return the tokens of each text without prompt and special tokens; None where the model has no tokenizer.

    Endpoints and precomputed vectors have none.
    """
    inner: Any = getattr(encoder, "encoder", encoder)
    tokenizer: Any = getattr(getattr(inner, "model", None), "tokenizer", None)
    if not callable(tokenizer) or not texts:
        return None
    found: Any = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False)
    return [len(ids) for ids in found["input_ids"]]
