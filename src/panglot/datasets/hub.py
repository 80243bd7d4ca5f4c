"""Fetching a data set from the hub, where one can be reached, and putting it into its publisher's layout."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder, digest
from panglot.data import rows as _rows
from panglot.data.collection import Collection
from panglot.data.rows import records
from panglot.datasets.card import DatasetCard

# The hub keeps Parquet copies of every set, also of those that were once made by a script, in this branch.
_BRANCH = "refs/convert/parquet"
_PARTS = {"train": "train", "validation": "dev", "test": "test"}
_COLUMNS = ("id", "context", "question", "answers")

_reasons: dict[str, str] = {}


def fetch(card: DatasetCard) -> Path | None:
    """Return a local folder with the set in its publisher's layout, or None (see :func:`why_not`).

    Downloads are the hub library's own: resumed when cut, and kept in its cache.
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
            card.hub,
            repo_type="dataset",
            revision=_BRANCH,
            allow_patterns=list(card.hub_files),
            etag_timeout=5,
        )
    except Exception as error:  # noqa: BLE001  (each cause has a class of its own)
        _reasons[card.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return None
    convert(card, Path(snapshot), kept)
    return kept


def why_not(card: DatasetCard) -> str:
    """Return, for an error message, why the hub did not help."""
    if not card.hub:
        return "; the hub does not have it in this form"
    where = os.environ.get("HF_ENDPOINT", "the hub")
    return f"; {card.hub} on {where}: {_reasons.get(card.name, 'not tried')}"


def convert(card: DatasetCard, snapshot: Path, folder: Path) -> None:
    """Write the hub's Parquet files below ``snapshot`` to ``folder`` as the publisher's SQuAD-like files.

    Raises:
        PanglotError: A file lacks a column, or the folder cannot be written.
    """
    name_of = _NAMES[card.name]
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(snapshot.rglob("*.parquet")):
        place = path.relative_to(snapshot).as_posix()
        for row in records(path, _COLUMNS):
            if target := name_of(place, str(row["id"])):
                rows.setdefault(target, []).append(row)
    with atomic_folder(folder) as part:
        for target, found in rows.items():
            file = part / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"data": list(_articles(found))}, ensure_ascii=False), encoding="utf-8")


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


def _mlqa_name(place: str, _: str) -> str | None:
    found = re.match(r"mlqa\.(\w\w)\.(\w\w)/(validation|test)", place)
    if found is None:
        return None
    part = _PARTS[found[3]]
    return f"{part}/{part}-context-{found[1]}-question-{found[2]}.json"


def _tydiqa_name(place: str, identity: str) -> str | None:
    found = re.match(r"secondary_task/(train|validation)", place)
    if found is None:
        return None
    part = _PARTS[found[1]]
    # The id begins with the language's English name.
    language = identity.partition("-")[0]
    return f"{part}/tydiqa.goldp.{language}.{part}.json"


_NAMES: Mapping[str, Callable[[str, str], str | None]] = {"mlqa": _mlqa_name, "tydiqa-goldp": _tydiqa_name}

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
        hint = "pip install 'panglot[hub]'"
        raise PanglotError("data sets by column need the `datasets` library", hint=hint) from error
    try:
        found: Any = datasets.load_dataset(repository, config, split=split, streaming=True)
        rows = list(_taken(found, columns, where, limit, repository))
    except PanglotError:
        raise
    except Exception as error:  # each cause has a class of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PanglotError(
            f"{repository} cannot be read: {reason}", hint="check name, config, split and network"
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
        raise PanglotError(f"no setting {wrong[0]!r} of a hub set", field=wrong[0], hint=f"choose among {known}")
    if not values.get("limit", "0").isdecimal():
        raise PanglotError("no whole number", field="limit", hint="write e.g. limit=1000")
    return read(repository, columns, config=values.get("config"), split=values.get("split", "train"),
                where=values.get("where", ""), limit=int(values.get("limit", "0")))  # fmt: skip


def _taken(
    found: Iterable[Mapping[str, Any]], columns: Mapping[str, str], where: str, limit: int, repository: str
) -> Iterator[_rows.Row]:
    if "passage" not in columns or "language" not in columns:
        raise PanglotError("which columns?", field="passage", hint="name at least `passage` and `language`")
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
            raise PanglotError(f"no such column (there are: {there})", file=place, field=column, hint="name another")
        value = value[piece]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value[0] if value else None
    return value
