"""JSON as it is sent: never a NaN, never a character that UTF-8 lacks."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from panglot.search.answer import Answer, Hit


class Json(Response):
    """A JSON answer. Documents may hold any text and numbers: a lone surrogate becomes ``?``, a NaN null."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes."""
        try:
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def of_answer(answer: Answer, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return an answer as JSON; ``seconds`` were spent outside the index."""
    return {
        "question": answer.question,
        "language": answer.language,
        "detected": answer.detected,
        "mode": answer.mode,
        "hits": [_of_hit(hit) for hit in answer.hits],
        "shares": {code: {"hits": hits, "pool": pool} for code, (hits, pool) in answer.shares.items()},
        "seconds": {stage: round(float(spent), 6) for stage, spent in {**answer.seconds, **seconds}.items()},
    }


def _of_hit(hit: Hit) -> dict[str, Any]:
    document = hit.document
    return {
        "id": document.id,
        "rank": hit.rank,
        "score": round(float(hit.score), 6),
        "title": document.title,
        "text": document.text,
        "language": document.language,
        "languages": dict(hit.languages),
        "fields": dict(document.fields),
        "why": {name: round(float(part), 6) for name, part in hit.why.items()},
        "highlight": list(hit.highlight) if hit.highlight else None,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
