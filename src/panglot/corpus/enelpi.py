"""ENELPI's Turkish questions on Ottoman history, in SQuAD's layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from panglot.corpus import squad
from panglot.corpus._folder import files
from panglot.corpus.collection import Collection


def read(
    folder: Path,
    *,
    name: str = "enelpi-tr",
    part: str = "train",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``*-train_data*.json`` or ``*-test_data*.json``: many questions on few long contexts.

    Ids are numbers that repeat from file to file, and many offsets are wrong: :func:`panglot.corpus.squad.collect`
    numbers the ones and looks for the answers of the others.

    Raises:
        PanglotError: A file is broken or missing.
    """
    paths = [(path, "tr") for path in files(folder, f"*-{part}_data*.json")]
    return squad.collect(name, paths, candidates=candidates, context=context, about={**(about or {}), "part": part})
