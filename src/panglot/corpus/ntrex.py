"""NTREX-128: news sentences in some 125 languages; each finds its translations (WMT 2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus.collection import RELEVANCE, TEXTS, Collection
from panglot.corpus.language import canonical

_HELD_OUT = 4


def read(
    folder: Path,
    *,
    name: str = "ntrex-128",
    part: str = "train",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``ntrex-128.parquet``: columns ``doc``, ``line`` and one a language, a row a sentence.

    A sentence's translations in all other languages are relevant, its own language's passage is not, for it is the
    question itself. A quarter of the documents, drawn by the digest of their names, is the part ``test``.

    Args:
        folder: Where the file lies.
        name: What tables call it.
        part: ``train`` or ``test``.
        languages: Canonical codes of the languages to read; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or is not what it should be.
    """
    import pyarrow.parquet as pq

    path = files(folder, "*.parquet")[0]
    try:
        table = pq.read_table(path)
        mine = [(_held_out(document) == (part == "test")) for document in table["doc"].to_pylist()]
        labels = [
            f"{document}-{line}"
            for document, line in zip(*(table[c].to_pylist() for c in ("doc", "line")), strict=True)
        ]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise PanglotError(f"not NTREX: {error}", file=path, cure="fetch it again") from error
    columns = {canonical(column): column for column in table.column_names if column not in {"doc", "line"}}
    wanted = [code for code in sorted(columns) if not languages or code in languages]
    rows: list[tuple[str, str, str, str]] = []
    members: dict[str, list[int]] = {}
    for code in wanted:
        for label, text, kept in zip(labels, table[columns[code]].to_pylist(), mine, strict=True):
            if kept and text and text.strip():
                members.setdefault(label, []).append(len(rows))
                rows.append((f"{code}:{label}", code, label, text.strip()))
    texts = pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=TEXTS)
    questions, passages = np.concatenate([_others(np.asarray(found)) for found in members.values()], axis=1)
    ones = np.ones(len(questions), np.int16)
    relevance = pa.table(
        [pa.array(questions, pa.int32()), pa.array(passages, pa.int32()), pa.array(ones)], schema=RELEVANCE
    )
    facts = {**(about or {}), "part": part, "candidates": "sentence"}
    return Collection(name, texts, texts, relevance, facts)


def _others(rows: np.ndarray) -> np.ndarray:
    """Return every ordered pair of two different rows, shape ``[2, pairs]``."""
    left, right = np.nonzero(~np.eye(len(rows), dtype=bool))
    return np.stack([rows[left], rows[right]])


def _held_out(document: str) -> bool:
    return hashlib.sha256(document.encode()).digest()[0] % _HELD_OUT == 0
