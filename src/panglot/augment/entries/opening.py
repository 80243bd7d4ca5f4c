"""Which reader a lexicon's file needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from panglot._errors import PanglotError
from panglot.augment.entries import panlex, parquet, tables, tei
from panglot.augment.entries.entry import Entry

_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Entry]]] = {
    "parquet": parquet.entries, "tei": tei.entries, "xml": tei.entries,
    "txt": tables.entries, "tsv": tables.entries, "tab": tables.entries, "csv": tables.entries,
}  # fmt: skip
KNOWN = (
    "a table .tsv, .csv or .txt called after its languages (en-sw.tsv) or headed by them, MUSE's en-xx.txt, FreeDict's "
    ".tei, a folder of PanLex's dump, or Parquet with the columns lang, en, target"
)


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield what a lexicon's file or folder says, in its order.

    Args:
        path: A file of a kind in :data:`KNOWN`.
        wanted: Canonical codes of the languages to keep; empty: all.

    Raises:
        PanglotError: A file of no known kind, or a broken one.
    """
    if path.is_dir():
        yield from panlex.entries(path, wanted)
        return
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending not in _READERS:
        raise PanglotError("a lexicon of no known kind", file=path, field="lexicons", cure=f"give {KNOWN}")
    yield from _READERS[ending](path, wanted)


def looks_like(path: Path) -> bool:
    """Tell whether a path is a lexicon rather than a data set; a Parquet file is one by its columns."""
    if path.is_dir():
        return (path / panlex.FILES[2]).is_file()
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending == "parquet":
        return _has_columns(path)
    return ending in _READERS and path.is_file()


def _has_columns(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {"lang", "en", "target"} <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False
