"""The interface of a translation engine, and the store of what engines returned and where each row comes from."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest, explain_write


class Engine(Protocol):
    """A translation engine."""

    name: str  # Its name in the records.
    batch_size: int  # Maximum number of sentences per call.

    def serves(self, source: str, target: str) -> bool:
        """Return whether it translates directly between two canonical BCP 47 codes."""
        return target in (self.targets(source) or ())

    def targets(self, source: str) -> Sequence[str] | None:
        """Return the languages it translates into from ``source``, None if only :meth:`serves` can answer."""
        ...

    def version(self, source: str, target: str) -> str:
        """Return what its output depends on beside the text: releases, digests of models, addresses."""
        ...

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Return one translation per sentence, in order. A sentence has no line breaks and is never blank.

        Raises:
            EngineError: These sentences were not translated. Others may be.
            PanglotError: Nothing can be translated until the user fixes something.
        """
        ...


class EngineError(PanglotError):
    """An engine gave no usable answer for a batch."""


def check_answer(found: Sequence[object], expected: int, name: str) -> list[str]:
    """Return the answer of an engine as one text per sentence, or raise an :class:`EngineError`."""
    if len(found) != expected:
        raise EngineError(f"{name} was sent {expected} sentences and returned {len(found)}", hint="try again")
    texts = [" ".join(text.split()) for text in found if isinstance(text, str)]
    if len(texts) != expected or not all(texts):
        raise EngineError(f"{name} returned a blank or no text for a sentence", hint="try again")
    return texts


# Far below the number of variables that any build of SQLite takes.
_CHUNK = 500


class Direction(NamedTuple):
    """What a translation depends on beside the text."""

    engine: str
    version: str
    source: str
    target: str


class Store:
    """Translations by engine, version, direction and text, in a SQLite file with a write-ahead log.

    When :meth:`put` returns, its translations are on disk. A process that is killed loses at most the batch that it was
    waiting for. Several processes may use one file, by default ``translations.sqlite`` in the cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "translations.sqlite"
        with explain_write(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # A write takes the lock at its beginning, so that it waits for other processes instead of failing.
            self._base = sqlite3.connect(self.path, timeout=60.0, isolation_level="IMMEDIATE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, engine TEXT, version TEXT,"
                " source TEXT, target TEXT, text TEXT, translation TEXT) WITHOUT ROWID"
            )

    def get(self, direction: Direction, texts: Iterable[str]) -> dict[str, str]:
        """Return the known translations, by text."""
        texts_by_key = {_key(direction, text): text for text in texts}
        found: dict[str, str] = {}
        keys = list(texts_by_key)
        with self._explained():
            for begin in range(0, len(keys), _CHUNK):
                part = keys[begin : begin + _CHUNK]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, translation FROM translations WHERE key IN ({marks})"  # noqa: S608
                found.update((texts_by_key[key], text) for key, text in self._base.execute(query, part))
        return found

    def put(self, direction: Direction, translations: Mapping[str, str]) -> None:
        """Keep translations, by text. The first translation of a text is never replaced."""
        rows = [(_key(direction, text), *direction, text, found) for text, found in translations.items()]
        # The connection's block commits at its end, or rolls back after an error.
        with self._explained(), self._base:
            self._base.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = "free some space, name another file with --cache, or remove it to translate everything again"
            raise PanglotError(f"the store of translations failed: {error}", file=self.path, hint=hint) from error


def _key(direction: Direction, text: str) -> bytes:
    return bytes.fromhex(digest(*direction, text))[:20]


#: The file of origins in the folder of a translated collection.
ORIGINS_FILE = "provenance.arrow"


class Origin(NamedTuple):
    """Where a translated row comes from: engine, version and route, and the source row."""

    side: str
    id: str
    language: str
    engine: str
    version: str
    route: str
    source: str
    source_language: str


def write_origins(path: Path, origins: Sequence[Origin]) -> None:
    """Write the origins as an Arrow file. Values that repeat are stored once."""
    distinct, repeated = pa.string(), pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([(name, distinct if name in {"id", "source"} else repeated) for name in Origin._fields])
    table = pa.Table.from_pylist([origin._asdict() for origin in origins], schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def read_origins(folder: Path) -> list[Origin]:
    """Return the origin of every translated row of a folder that ``panglot translate`` wrote."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(folder / ORIGINS_FILE))).read_all()
        return [Origin(**row) for row in table.to_pylist()]
    except (OSError, TypeError, pa.ArrowException) as error:
        problem = f"the origins of translations cannot be read: {error}"
        raise PanglotError(problem, file=folder, hint="translate again") from error
