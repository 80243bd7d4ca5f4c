"""JSON as it is sent: never a NaN, never a character that UTF-8 lacks."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response


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


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
