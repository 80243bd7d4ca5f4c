"""Any data set of the hub, by the names of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from panglot._errors import PanglotError
from panglot.corpus import _rows
from panglot.corpus.collection import Collection

_SETTINGS = ("config", "split", "where", "limit")


def read(
    repository: str,
    columns: Mapping[str, str],
    *,
    config: str | None = None,
    split: str = "train",
    where: str = "",
    limit: int = 0,
    name: str = "",
) -> Collection:
    """Read a data set with the ``datasets`` library (``pip install 'panglot[hub]'``), streamed.

    Args:
        repository: ``owner/name``, or whatever ``datasets.load_dataset`` opens.
        columns: Which column is ``question``, ``passage``, ``language``, ``group``, ``id``. ``language`` may be a code:
            where there is no such column it is the language of all rows. A dot goes into a column (``answers.text``);
            the first of a list counts.
        config: The configuration.
        split: The split.
        where: ``COLUMN=VALUE``: only such rows, as ``label=1`` for WikiQA.
        limit: Rows to read at most; 0: all.
        name: What tables call it.

    Raises:
        PanglotError: ``datasets`` is not installed, the set cannot be read, or a column is missing.
    """
    try:
        import datasets
    except ImportError as error:
        cure = "pip install 'panglot[hub]'"
        raise PanglotError("data sets by column need the `datasets` library", cure=cure) from error
    try:
        found: Any = datasets.load_dataset(repository, config, split=split, streaming=True)
        rows = list(_taken(found, columns, where, limit, repository))
    except PanglotError:
        raise
    except Exception as error:  # each cause has a class of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PanglotError(
            f"{repository} cannot be read: {reason}", cure="check name, config, split and network"
        ) from error
    about = {"candidates": "passage", "source": f"hub:{repository}", "part": split}
    return _rows.collect(name or repository.rpartition("/")[2], rows, about)


def read_name(text: str) -> Collection:
    """Read ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en``, and settings as in :func:`read`.

    Raises:
        PanglotError: As :func:`read`, or a setting is not known.
    """
    repository, _, query = text.removeprefix("hub:").partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True))
    columns = {role: values.pop(role) for role in (*_rows.FIELDS, "id") if role in values}
    if wrong := sorted(set(values) - set(_SETTINGS)):
        known = ", ".join((*_rows.FIELDS, "id", *_SETTINGS))
        raise PanglotError(f"no setting {wrong[0]!r} of a hub set", field=wrong[0], cure=f"choose among {known}")
    if not values.get("limit", "0").isdecimal():
        raise PanglotError("no whole number", field="limit", cure="write e.g. limit=1000")
    return read(repository, columns, config=values.get("config"), split=values.get("split", "train"),
                where=values.get("where", ""), limit=int(values.get("limit", "0")))  # fmt: skip


def _taken(
    found: Iterable[Mapping[str, Any]], columns: Mapping[str, str], where: str, limit: int, repository: str
) -> Iterator[_rows.Row]:
    if "passage" not in columns or "language" not in columns:
        raise PanglotError("which columns?", field="passage", cure="name at least `passage` and `language`")
    column, _, value = where.partition("=")
    place = Path(f"hub:{repository}")
    taken = 0
    for line, row in enumerate(found, 1):
        if where and str(_cell(row, column, place)) != value:
            continue
        values = {role: _cell(row, source, place) for role, source in columns.items() if role != "language"}
        spoken = columns["language"]
        values["language"] = row.get(spoken, spoken)
        yield _rows.row(values, place, line)
        taken += 1
        if taken == limit:
            return


def _cell(row: Mapping[str, Any], column: str, place: Path) -> object:
    value: Any = row
    for piece in column.split("."):
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0] if value else None
        if value is None:
            return None
        if not isinstance(value, Mapping) or piece not in value:
            there = ", ".join(map(str, row))
            raise PanglotError(f"no such column (there are: {there})", file=place, field=column, cure="name another")
        value = value[piece]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value[0] if value else None
    return value
