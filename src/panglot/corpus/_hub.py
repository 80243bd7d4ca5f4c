"""Fetching a data set from the hub, where one can be reached, and putting it into its publisher's layout."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from panglot._files import atomic_folder, cache_folder, digest
from panglot.corpus.cards import Card
from panglot.corpus.parquet import records

# The hub keeps Parquet copies of every set, also of those that were once made by a script, in this branch.
_BRANCH = "refs/convert/parquet"
_PARTS = {"train": "train", "validation": "dev", "test": "test"}
_COLUMNS = ("id", "context", "question", "answers")

_reasons: dict[str, str] = {}


def fetch(card: Card) -> Path | None:
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


def why_not(card: Card) -> str:
    """Return, for an error message, why the hub did not help."""
    if not card.hub:
        return "; the hub does not have it in this form"
    where = os.environ.get("HF_ENDPOINT", "the hub")
    return f"; {card.hub} on {where}: {_reasons.get(card.name, 'not tried')}"


def convert(card: Card, snapshot: Path, folder: Path) -> None:
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
