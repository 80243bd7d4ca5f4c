"""What panglot has for each language: facts, data sets, the tokenizer's price, lexicons, translation routes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot.augment import lexicons
from panglot.data.language import canonical
from panglot.datasets import registry
from panglot.datasets.card import CARDS
from panglot.datasets.facts import facts, known_languages
from panglot.datasets.translations import SETS, parallel_texts
from panglot.encoders.tokenizers import open_counter
from panglot.translation import routes

if TYPE_CHECKING:
    from panglot.encoders.tokenizers import Counter, Price
    from panglot.translation.engines import Engine

# Enough letters to tell a script by.
_SEEN = 200


def profiles(
    codes: Sequence[str] = (),
    *,
    model: str = "bundled",
    data_dir: str | Path | None = None,
    engines: Sequence[Engine] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return what ``panglot languages --json`` writes.

    ``languages`` has a dictionary for each code: the attributes of :class:`panglot.datasets.facts.Facts`, then
    ``tokens`` (null where no parallel text is at hand): the set it was measured on (``on``) and the attributes of
    :class:`panglot.encoders.tokenizers.Price`; ``lexicons``: usable entries by lexicon; ``routes``: the way from
    English ``into`` the language and ``out`` of it into English, or null.

    Args:
        codes: Languages in any style; empty: those of all known data sets and of the lexicons at hand.
        model: Whose tokenizer is measured, as :func:`panglot.encoders.tokenizers.open_counter` takes it.
        data_dir: The folder that holds the folders of the known sets; else ``$PANGLOT_DATA``.
        engines: Translation engines at hand.
        tell: Where lines about the progress go.

    Raises:
        PanglotError: An unknown language, or a data set or the model is broken.
    """
    wanted = {canonical(code) for code in codes}
    counter = open_counter(model)
    at_hand = [name for name in lexicons.KNOWN if lexicons.find(name, data_dir)]
    entries: dict[str, dict[str, dict[str, str]]] = {}
    for name in at_hand:
        tell(f"reading the lexicon {name}")
        entries[name] = lexicons.translations(name, wanted, data_dir)
    texts = _measured(wanted, counter, data_dir, tell)
    spoken = wanted or {*known_languages(), *(code for words in entries.values() for code in words)}
    found: list[dict[str, Any]] = []
    for code in sorted(spoken):
        words = {name: len(entries[name][code]) for name in at_hand if code in entries[name]}
        cells = [cell for name in words for cell in islice(entries[name][code].values(), _SEEN)]
        on, price, seen = texts.get(code, ("", None, cells))
        found.append({
            **dataclasses.asdict(facts(code, seen)),
            "tokens": {"on": on, **dataclasses.asdict(price)} if price else None,
            "lexicons": words,
            "routes": _routes(engines, code),
        })  # fmt: skip
    return {
        "model": model,
        "measured_on": [name for name in SETS if registry.find(CARDS[name], data_dir)],
        "lexicons": at_hand,
        "engines": [engine.name for engine in engines],
        "languages": found,
    }


def _measured(
    wanted: set[str], counter: Counter, data_dir: str | Path | None, tell: Callable[[str], None]
) -> dict[str, tuple[str, Price | None, list[str]]]:
    found: dict[str, tuple[str, Price | None, list[str]]] = {}
    for name in SETS:
        for code, sentences in parallel_texts(name, data_dir):
            if code not in found and sentences and (not wanted or code in wanted):
                tell(f"{name}: {code}, {len(sentences):,} sentences")
                found[code] = (name, counter.price(sentences), [text for text, _ in sentences[:_SEEN]])
    return found


def _routes(engines: Sequence[Engine], code: str) -> dict[str, str | None]:
    ways = (("into", "en", code), ("out", code, "en"))
    return {
        name: str(route) if source != target and (route := routes.find(engines, source, target)) else None
        for name, source, target in ways
    }
