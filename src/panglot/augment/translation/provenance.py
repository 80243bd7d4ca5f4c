"""Where each translated row comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from panglot._errors import PanglotError

#: The file in the folder of a translated collection.
FILE = "provenance.arrow"


class Origin(NamedTuple):
    """One translated row: its side, id and language, who made it, and of which row."""

    side: str
    id: str
    language: str
    engine: str
    version: str
    route: str
    source: str
    source_language: str


def write(path: Path, origins: Sequence[Origin]) -> None:
    """Write the origins as an Arrow file, repeated texts once."""
    plain = {"id", "source"}
    arrays = [
        pa.array([row[place] for row in origins], pa.string())
        if name in plain
        else pa.array([row[place] for row in origins], pa.string()).dictionary_encode()
        for place, name in enumerate(Origin._fields)
    ]
    table = pa.table(arrays, names=list(Origin._fields))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def read(folder: Path) -> list[Origin]:
    """Return the origin of every translated row of a folder that ``panglot translate`` wrote.

    Raises:
        PanglotError: There is no such file, or it is damaged.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(folder / FILE))).read_all()
        return [Origin(**row) for row in table.to_pylist()]
    except (OSError, TypeError, pa.ArrowException) as error:
        raise PanglotError(f"no origins of translations: {error}", file=folder, cure="translate again") from error
