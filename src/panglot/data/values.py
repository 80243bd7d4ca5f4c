"""Values of fields: what a file means by a number, true, false or nothing."""

from __future__ import annotations

import math

import numpy as np

from panglot._errors import PanglotError

_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0", "")


def as_text(value: object, field: str) -> str | None:
    """Return a text or a number as a text, or None for nothing: null, not a number (NaN), or blanks.

    Many sources number their ids, groups and answers. 0 is such a number. A whole number is the same with or without a
    point, because tables with a missing value hold their numbers as 1.0.

    Raises:
        PanglotError: The value is neither, or has half of a surrogate pair.

    >>> as_text(0, "id"), as_text(1.0, "group"), as_text(" ", "title"), as_text(float("nan"), "group")
    ('0', '1', None, None)
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        problem = f"must be a text or a number, got {type(value).__name__}"
        raise PanglotError(problem, field=field, hint="put it in quotes")
    # JSON may escape such a half, but it has no UTF-8, so that Arrow cannot hold it.
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise PanglotError("the text has half of a surrogate pair", field=field, hint="correct the escape")
    return value


def as_truth(value: object, field: str) -> bool:
    """Return whether a field says yes: true, 1 or "yes". Nothing means no.

    Raises:
        PanglotError: The value is another one.

    >>> [as_truth(value, "test_only") for value in (True, "yes", 1, None, "no", False)]
    [True, True, True, False, False, False]
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    said = (as_text(value, field) or "").strip().lower()
    if said not in (*_TRUE, *_FALSE):
        raise PanglotError(f"must be true or false, got {value!r}", field=field, hint="write true or false")
    return said in _TRUE
