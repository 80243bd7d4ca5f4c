"""Data sets from the hub: known ones in their publisher's layout, any other by its columns."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from panglot._environment import require
from panglot._errors import PanglotError, first_line
from panglot._files import atomic_folder, cache_folder, digest
from panglot.data.collection import Collection
from panglot.data.ingest import collect
from panglot.data.language import canonical_or_none
from panglot.data.rows import FIELDS, Row, check_row, parquet_records
from panglot.datasets.catalog import DatasetCard

# The hub keeps Parquet copies of every set in this branch, also of sets that a script once made.
_BRANCH = "refs/convert/parquet"
_PARTS = {"train": "train", "validation": "dev", "test": "test"}
_COLUMNS = ("id", "context", "question", "answers")
_SETTINGS = ("config", "split", "where", "limit")

_reasons: dict[str, str] = {}


def fetch(card: DatasetCard) -> Path | None:
    """Return a local folder with the set in its publisher's layout, or None (see :func:`why_not`).

    The hub's library resumes interrupted downloads and caches them.
    """
    if not card.hub:
        return None
    kept = cache_folder() / "hub" / f"{card.name}-{digest(card.hub, _BRANCH)[:12]}"
    if kept.is_dir():
        return kept
    try:
        import huggingface_hub
    except ImportError:
        _reasons[card.name] = "huggingface_hub is not installed"
        return None
    try:
        snapshot = huggingface_hub.snapshot_download(
            card.hub, repo_type="dataset", revision=_BRANCH, allow_patterns=list(card.hub_files), etag_timeout=5
        )
    except Exception as error:  # noqa: BLE001  (each cause has its own class)
        _reasons[card.name] = f"{type(error).__name__}: {first_line(error)}"
        return None
    _convert(card, Path(snapshot), kept)
    return kept


def why_not(card: DatasetCard) -> str:
    """Return, for an error message, why the set could not be fetched."""
    if not card.hub:
        return "; the hub does not have it in this form"
    where = os.environ.get("HF_ENDPOINT", "the hub")
    return f"; {card.hub} on {where}: {_reasons.get(card.name, 'not tried')}"


def _convert(card: DatasetCard, snapshot: Path, folder: Path) -> None:
    """Write the hub's Parquet files below ``snapshot`` to ``folder`` as the publisher's SQuAD-like files."""
    pattern = re.compile(card.hub_pattern)
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(snapshot.rglob("*.parquet")):
        place = path.relative_to(snapshot).as_posix()
        for row in parquet_records(path, _COLUMNS):
            if found := pattern.match(f"{place}#{row['id']}"):
                target = card.hub_path.format(part=_PARTS[found["split"]], **found.groupdict())
                rows.setdefault(target, []).append(row)
    with atomic_folder(folder) as part:
        for target, found_rows in rows.items():
            file = part / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"data": list(_articles(found_rows))}, ensure_ascii=False), encoding="utf-8")


def _articles(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, object]]:
    by_context: dict[str, list[object]] = {}
    for row in rows:
        answers = cast("dict[str, list[Any]]", row["answers"])
        pairs = zip(answers["text"], answers["answer_start"], strict=True)
        qa = {"id": row["id"], "question": row["question"],
              "answers": [{"text": text, "answer_start": start} for text, start in pairs]}  # fmt: skip
        by_context.setdefault(str(row["context"]), []).append(qa)
    for context, qas in by_context.items():
        yield {"title": "", "paragraphs": [{"context": context, "qas": qas}]}


def read(
    repository: str,
    columns: Mapping[str, str],
    *,
    config: str | None = None,
    split: str = "train",
    where: str = "",
    limit: int = 0,
) -> Collection:
    """Stream a data set with the ``datasets`` library (``pip install 'panglot[hub]'``).

    Args:
        repository: ``owner/name``, or whatever ``datasets.load_dataset`` opens.
        columns: The columns for ``question``, ``passage``, ``language``, ``group`` and ``id``. ``language`` may also be
            the code of all rows, also if a column of texts has that name. A dot looks inside a column
            (``answers.text``), and the first element of a list counts.
        config: The configuration.
        split: The split.
        where: ``COLUMN=VALUE`` keeps only such rows, as ``label=1`` for WikiQA.
        limit: Number of rows to read at most. 0 means all.
    """
    require("reading columns of the hub", "datasets", extra="hub")
    import datasets

    try:
        found: Any = datasets.load_dataset(repository, config, split=split, streaming=True)
        place = Path(f"hub:{repository}")
        rows = [(place, row) for row in _select(found, columns, where, limit, place)]
    except PanglotError:
        raise
    except Exception as error:  # each cause has its own class
        hint = "check name, config, split and network"
        raise PanglotError(f"{repository} cannot be read: {first_line(error)}", hint=hint) from error
    metadata = {"candidates": "passage", "source": f"hub:{repository}", "part": split}
    return collect(repository.rpartition("/")[2], rows, metadata)


def read_name(text: str) -> Collection:
    """Read ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en``, with settings as in :func:`read`."""
    repository, _, query = text.removeprefix("hub:").partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True))
    columns = {role: values.pop(role) for role in (*FIELDS, "id") if role in values}
    if wrong := sorted(set(values) - set(_SETTINGS)):
        hint = f"choose one of {', '.join((*FIELDS, 'id', *_SETTINGS))}"
        raise PanglotError(f"unknown setting {wrong[0]!r} of a hub data set", field=wrong[0], hint=hint)
    limit = values.get("limit", "0")
    if not limit.isdecimal():
        raise PanglotError(f"`limit` must be a whole number, got {limit!r}", field="limit", hint="write limit=1000")
    return read(repository, columns, config=values.get("config"), split=values.get("split", "train"),
                where=values.get("where", ""), limit=int(limit))  # fmt: skip


def _select(
    found: Iterable[Mapping[str, Any]], columns: Mapping[str, str], where: str, limit: int, place: Path
) -> Iterator[Row]:
    for role in ("passage", "language"):
        if role not in columns:
            hint = f"add {role}=COLUMN" + (" or a language code" if role == "language" else "")
            raise PanglotError("`passage` and `language` are required", field=role, hint=hint)
    column, _, value = where.partition("=")
    fitting = ((line, row) for line, row in enumerate(found, 1) if not where or str(_cell(row, column, place)) == value)
    for line, row in islice(fitting, limit or None):
        values = {role: _cell(row, source, place) for role, source in columns.items() if role != "language"}
        values["language"] = _language(row, columns["language"], columns, place)
        yield check_row(values, place, line)


def _language(row: Mapping[str, Any], source: str, columns: Mapping[str, str], place: Path) -> object:
    """Return the language of a row: ``source`` if it is a code, or else the cell of the column of that name.

    A column that is called like a language mostly holds texts in it. It holds the rows' languages if the cell is a
    code and no other role takes the column.
    """
    if canonical_or_none(source) is None:
        return _cell(row, source, place)
    cell = row.get(source)
    is_code = isinstance(cell, str) and canonical_or_none(cell) is not None
    return cell if is_code and [*columns.values()].count(source) == 1 else source


def _cell(row: Mapping[str, Any], column: str, place: Path) -> object:
    value: Any = row
    for piece in column.split("."):
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0] if value else None
        if value is None:
            return None
        if not isinstance(value, Mapping) or piece not in value:
            problem = f"there is no such column (there are: {', '.join(map(str, row))})"
            raise PanglotError(problem, file=place, field=column, hint="name another column")
        value = value[piece]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value[0] if value else None
    return value
