"""The rows of large collections, found once and memory-mapped afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder
from panglot.corpus._cache import source_key
from panglot.corpus._keys import Ints32
from panglot.corpus._maps import open_array
from panglot.corpus.collection import Collection

#: Collections of so many questions are kept; smaller ones take less than a second or two.
LARGE = 200_000
# Goes up whenever other rows or blocks are found in the same collection.
_VERSION = 1

_log = logging.getLogger(__name__)


class Rows(NamedTuple):
    """What is found in a collection; as :class:`panglot.batching.Source` has it."""

    question: Ints32
    passage: Ints32
    block: Ints32
    mono: bool


def found_once(collection: Collection, find: Callable[[], Rows]) -> Rows:
    """Return the rows of a collection, from the cache if they are there; find them, and keep those of a large one."""
    home = collection.folder
    if home is None or collection.questions.num_rows < LARGE:
        return find()
    key = source_key([home / f"{part}.arrow" for part in ("questions", "passages", "relevance")], rows=_VERSION)
    folder = cache_folder() / "sources" / key
    try:
        return _opened(folder)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("finding the rows of %s again: %s", collection.name, error)
    found = find()
    try:
        with atomic_folder(folder) as part:
            for name in ("question", "passage", "block"):
                np.save(part / f"{name}.npy", getattr(found, name))
            (part / "rows.json").write_text(json.dumps({"mono": found.mono}), "utf-8")
    except PanglotError as error:
        _log.warning("not cached: %s", error)
        return found
    del found
    return _opened(folder)


def _opened(folder: Path) -> Rows:
    mono = json.loads((folder / "rows.json").read_text("utf-8"))["mono"]
    question, passage, block = (open_array(folder / f"{name}.npy") for name in ("question", "passage", "block"))
    return Rows(question, passage, block, bool(mono))
