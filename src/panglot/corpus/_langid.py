"""The one identifier of languages, py3langid (Lui & Baldwin 2012)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from panglot._errors import PanglotError
from panglot.corpus.language import canonical


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return an identifier of our own, never restricted: the one of the module's functions belongs to the user."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=256)
def code(label: str) -> str | None:
    """Return the canonical code of one of its labels; None for ``zxx``, no language."""
    try:
        return canonical(label)
    except PanglotError:
        return None
