"""The page of languages: what panglot has for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_HEAD = (
    ("code", "name", "own name", "script", "direction", "family"),
    ("code", "train", "test", "tokens", "a word", "unknown", "lexicons", "routes"),
)


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        figures: What :func:`panglot.study.profiles.profiles` returns, with ``command``, ``date`` and ``machine``.
    """
    languages: list[Mapping[str, Any]] = figures["languages"]
    bases = {each["code"].split("-", 1)[0] for each in languages}
    written = (
        f"Written by `{figures['command']}` on {figures['date']} ({figures['machine']}); write it again instead of "
        "editing it."
    )
    told = (
        f"{len(languages)} codes of {len(bases)} languages: those of all data sets that panglot knows, and of the "
        f"lexicons at hand ({_listed(figures['lexicons'])}). {_legend(figures)}"
    )
    return "\n".join([
        "# Languages", "",
        written, "",
        told, "",
        "## Names, scripts and families",
        "",
        *_table(_HEAD[0], (_named(each) for each in languages)),
        "",
        "## Data, tokens, lexicons and translation",
        "",
        *_table(_HEAD[1], (_measured(each) for each in languages)),
        "",
    ])  # fmt: skip


def _legend(figures: Mapping[str, Any]) -> str:
    return (
        "Names and likely scripts are CLDR's; where a language's text at hand is in another script, that one is "
        "told. Families are groups of ISO 639-5, the widest first, as CLDR fills them: some are of convenience, not of "
        "descent (Altaic, Caucasian, South American Indian), creoles stand with the language of their words, and – "
        "means that ISO 639-5 has the language in no group, as with Korean, Aymara and Mapuche.\n\n"
        f"`tokens`: tokens of `{figures['model']}` by those of the same sentences in English (the premium of Petrov et "
        "al., arXiv 2305.15425; 1.00 is parity), on the first set of "
        f"{_listed(figures['measured_on'])} that has the language, all parts; a digit behind it tells which. `a word`: "
        "tokens a word, where blanks part words. `unknown`: share of the letters that the tokenizer does not know; "
        "where it is high, the premium is too small, for a run of unknown letters is one token. `lexicons`: usable "
        "English entries. `routes`: from English and into English with the engines at hand "
        f"({_listed(figures['engines'])}); others reach more (`--engine` of `panglot translate`)."
    )


def _named(each: Mapping[str, Any]) -> list[str]:
    script = f"{each['script_name']} ({each['script']})" if each["script"] else ""
    return [f"`{each['code']}`", each["name"], each["own_name"], script, each["direction"], " › ".join(each["family"])]


def _measured(each: Mapping[str, Any]) -> list[str]:
    tokens = each["tokens"]
    cells = ["", "", ""]
    if tokens:
        cells = [
            f"{tokens['premium']:.2f} {_SIGNS[tokens['on']]}",
            f"{tokens['per_word']:.2f}" if tokens["per_word"] else "",
            f"{tokens['unknown']:.1%}" if tokens["unknown"] >= 0.0005 else "0",
        ]
    entries = ", ".join(f"{name} {number:,}" for name, number in each["lexicons"].items())
    routes = "; ".join(route for route in each["routes"].values() if route)
    return [f"`{each['code']}`", " ".join(each["trains"]), " ".join(each["tests"]), *cells, entries, routes]


_SIGNS = {"ntrex-128": "¹", "sib-200": "²", "tatoeba-112": "³"}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") or "–" for cell in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
