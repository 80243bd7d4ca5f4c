"""Open py3langid's model. The package has it compressed, and unpacking takes as long as a few dozen searches."""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder, write_json

_ARRAYS = ("nb_ptc", "nb_pc", "tk_nextmove", "tk_row", "tk_output")


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return py3langid's identifier for all its languages, which the first call unpacks into the cache folder.

    py3langid's module-level identifier is shared, and the user may have restricted it to some languages.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    folder = cache_folder() / f"py3langid-{version('py3langid')}"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return _mapped(folder)
    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Without a cache, it is unpacked the next time too. Another version may keep other things, and is then not cached.
    with contextlib.suppress(PanglotError, AttributeError, TypeError, ValueError):
        _save(made, folder)
    return made


def _save(made: Any, folder: Path) -> None:
    with atomic_folder(folder) as part:
        for name in _ARRAYS:
            np.save(part / f"{name}.npy", np.asarray(getattr(made, name)), allow_pickle=False)
        write_json(part / "classes.json", list(made.nb_classes))


def _mapped(folder: Path) -> Any:
    """Return the identifier that was saved. Its arrays are mapped into memory, and read where a text leads to."""
    from py3langid.langid import LanguageIdentifier

    classes = json.loads((folder / "classes.json").read_text("utf-8"))
    table, prior, moves, rows, output = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    # A view gives Python's numbers, as the arrays of py3langid do, and does so faster than numpy.
    return LanguageIdentifier(
        table, np.asarray(prior), classes, memoryview(moves), output.tolist(), norm_probs=True, tk_row=rows.tolist()
    )
