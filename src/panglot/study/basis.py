"""What a command's figures rest on, as one digest: the same digest, the same figures."""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from panglot._environment import versions
from panglot._files import digest, file_digest
from panglot.corpus.registry import CARDS, find
from panglot.encoders._digests import known_digest
from panglot.encoders.bundled import SOURCE_SHA256

#: Options whose value is where something goes, not what it is made of.
_TARGETS = ("--output", "--json", "--report")
#: Settings of a recipe that name data or models.
_SETTINGS = ("model", "on", "leave_out", "dev", "lexicons")


def basis(words: Sequence[str], data_dir: Path | None) -> str:
    """Return the digest of what the figures of a command rest on, beside the processor.

    It is of the words; of the versions of Python and of the packages that figures depend on, torch among them; of
    panglot's own source and data, without what the documentation states; of the bundled model; and of the contents of
    every known data set, recipe, file and folder that the words or a recipe among them name.

    Args:
        words: The command, without ``panglot``.
        data_dir: Where the known sets lie.
    """
    named = [word for before, word in zip(("", *words), words, strict=False) if before not in _TARGETS]
    parts = [part for word in named for part in _contents(word, data_dir)]
    return digest(*words, json.dumps(versions(), sort_keys=True), SOURCE_SHA256, source(), *parts)


@functools.cache
def source() -> str:
    """Return the digest of the package's files; the file of stated figures does not count."""
    root = Path(str(files("panglot")))
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    parts = [(path.relative_to(root).as_posix(), file_digest(path)) for path in found if path.name != "figures.toml"]
    return digest(*(word for part in parts for word in part))


def _contents(word: str, data_dir: Path | None) -> Iterator[str]:
    """Yield the names and digests of the files that a word stands for; nothing for a word that is just a word."""
    head = word.partition("@")[0].partition(":")[0]
    if head in CARDS:
        for card in (CARDS[head], *(CARDS[name] for name in CARDS[head].draws_on)):
            folder = find(card, data_dir) if card.folder else None
            if folder is not None:
                yield from _digests(folder)
        return
    path = Path(word)
    if path.suffix == ".toml" and path.is_file():
        yield from _digests(path)
        try:
            recipe = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # the command will say so
            return
        for name in _SETTINGS:
            value = recipe.get(name, [])
            for each in value if isinstance(value, list) else [value]:
                yield from _contents(str(each), data_dir)
    elif path.exists():
        yield from _digests(path)


def _digests(path: Path) -> Iterator[str]:
    for file in sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file()):
        yield from (file.name if file == path else file.relative_to(path).as_posix(), known_digest(file))
