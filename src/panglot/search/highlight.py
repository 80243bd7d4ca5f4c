"""The sentence of a document that answers best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.corpus._sentences import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document


def best_sentences(encoder: Encoder, question: Vectors, documents: Sequence[Document]) -> list[tuple[int, int] | None]:
    """Return begin and end, in characters of the text, of each document's sentence nearest to the question.

    Of equal ones it is the first; a text of one sentence is not encoded. None for a text without any.

    Args:
        encoder: Gives plain vectors.
        question: The question's vector.
        documents: What was found.
    """
    sentences = [spans(each.text, each.language or "en") for each in documents]
    asked = [row for row, found in enumerate(sentences) if len(found) > 1]
    texts = [documents[row].text[begin:end] for row in asked for begin, end in sentences[row]]
    scores = encoder.encode(texts, "passage") @ question if texts else np.zeros(0, np.float32)
    best: list[tuple[int, int] | None] = [found[0] if found else None for found in sentences]
    at = 0
    for row in asked:
        mine = scores[at : at + len(sentences[row])]
        best[row] = sentences[row][int(np.argmax(mine))]
        at += len(mine)
    return best
