"""Finding the files of a data set in a folder."""

from __future__ import annotations

from pathlib import Path

from panglot._errors import PanglotError


def plain_name(path: Path) -> str:
    """Return a file's name without ``.gz`` and the ending before it.

    >>> plain_name(Path("dev/en.json.gz"))
    'en'
    """
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def files(folder: Path, *patterns: str) -> list[Path]:
    """Return the files of ``folder`` that match a pattern, plain or with ``.gz`` after it, sorted by name.

    Where a file is there both plain and gzipped, the plain one counts.

    Raises:
        PanglotError: There is none.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)) + sorted(folder.glob(f"{pattern}.gz")):
            found.setdefault(str(path).removesuffix(".gz"), path)
    if not found:
        raise PanglotError(
            f"no file {' or '.join(patterns)} (or .gz)", file=folder, cure="put the publisher's files there"
        )
    return [found[name] for name in sorted(found)]
