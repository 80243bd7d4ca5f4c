"""``panglot data show LEXICON``: what a lexicon has, and how much of a data set it covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from panglot.cli.options import deliver_json, print_table


def is_lexicon(name: str) -> bool:
    """Tell whether a name is a known lexicon's, or a path that is one."""
    from panglot.augment.lexicon_files import looks_like
    from panglot.augment.lexicons import KNOWN

    return name in KNOWN or (Path(name).exists() and looks_like(Path(name)))


def show_lexicon(
    name: str, data_dir: Path | None, *, limit: int, against: str | None, languages: list[str], to: str | None
) -> None:
    """Print entries by language, ``limit`` rows of each, and the share of a data set's English words they cover."""
    from panglot.augment import lexicons

    lexicon = lexicons.read([name], languages, data_dir)
    found: dict[str, Any] = {
        "name": name, "licence": lexicons.KNOWN.get(name), "digest": lexicon.digest,
        "entries": dict(lexicon.sizes), "missing": list(lexicon.missing), "coverage": None,
        "samples": _samples(lexicon, limit),
    }  # fmt: skip
    if against:
        found["coverage"] = _coverage(lexicon, against, data_dir)
    if to:
        deliver_json(found, to)
    if to != "-":
        _print(found)


def _samples(lexicon: Any, limit: int) -> dict[str, list[list[str]]]:
    """Return rows of each language, spread evenly over its entries."""
    rows: dict[str, list[list[str]]] = {code: [] for code in lexicon.languages}
    for english, targets in lexicon.entries.items():
        for code, target in targets.items():
            rows[code].append([english, target])
    return {
        code: [found[len(found) * i // limit] for i in range(min(limit, len(found)))] for code, found in rows.items()
    }


def _coverage(lexicon: Any, against: str, data_dir: Path | None) -> dict[str, Any]:
    from panglot._errors import PanglotError
    from panglot.augment.codeswitch import coverage, english_texts
    from panglot.datasets import registry

    texts = english_texts(registry.read(against, data_dir=data_dir))
    if not texts:
        raise PanglotError(
            f"{against} has no English text", field="against", hint="name a set with English: lexicons are from English"
        )
    told = coverage(texts, lexicon)
    return {
        "against": against, "texts": told.texts, "words": told.words, "any": told.share(),
        "by_language": {code: told.share(code) for code in lexicon.languages},
    }  # fmt: skip


def _print(found: dict[str, Any]) -> None:
    from panglot.data.language import name as language_name

    entries, share = found["entries"], found["coverage"]
    click.echo(f"{found['name']}: {sum(entries.values()):,} usable entries in {len(entries)} languages")
    if found["licence"]:
        click.echo(f"  licence: {found['licence']}")
    if found["missing"]:
        click.echo(f"  none in: {', '.join(found['missing'])}")
    if share:
        click.echo(
            f"  covers {share['any']:.1%} of the {share['words']:,} words of {share['texts']:,} English texts of "
            f"{share['against']}, in one language or another"
        )
    head = ("code", "language", "entries", *(("covers",) if share else ()), "rows")
    rows: list[tuple[str, ...]] = []
    for code, number in entries.items():
        covers = (f"{share['by_language'][code]:.1%}",) if share else ()
        some = "; ".join(f"{english} → {target}" for english, target in found["samples"][code])
        rows.append((code, language_name(code), f"{number:,}", *covers, some))
    print_table(head, rows, right=(2, 3) if share else (2,))
