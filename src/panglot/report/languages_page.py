"""The Markdown page of languages: names, data, tokens, lexicons and translation routes of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panglot.report.tables import simple_table, table_to_markdown

_SET_SIGNS = {"ntrex-128": "¹", "sib-200": "²", "tatoeba-112": "³"}


def languages_to_markdown(figures: Mapping[str, Any]) -> str:
    """Return the page of languages from what ``panglot languages --json`` writes."""
    languages: list[Mapping[str, Any]] = figures["languages"]
    bases = {each["code"].split("-", 1)[0] for each in languages}
    written = f"Written by `{figures['command']}` on {figures['date']} ({figures['machine']})."
    names = ("code", "language", "own name", "script", "direction", "family")
    measures = ("code", "to train on", "to test on", "tokens", "a word", "unknown", "lexicons", "routes")
    counted = (
        f"{len(languages)} codes of {len(bases)} languages: those of all data sets that panglot knows, and of the "
        f"available lexicons ({_listed(figures['lexicons'])}). {_languages_legend(figures)}"
    )
    parts = (
        "# Languages",
        f"{written} Run it again instead of editing this page.",
        counted,
        "## Names, scripts and families",
        _language_table(names, map(_language_names, languages)),
        "## Data, tokens, lexicons and translation",
        _language_table(measures, map(_language_measures, languages)),
    )
    return "".join(f"{part}\n\n" for part in parts)[:-1]


def _languages_legend(figures: Mapping[str, Any]) -> str:
    return (
        "Names and likely scripts come from CLDR. If the available text of a language is in another script, that "
        "script is shown. Families are groups of ISO 639-5, the widest first, as CLDR fills them. Some groups are for "
        "convenience and not by descent (Altaic, Caucasian, South American Indian), and creoles are with the language "
        "of their words. A – means that ISO 639-5 has the language in no group, as with Korean, Aymara and Mapuche."
        "\n\n"
        f"`tokens`: tokens of `{figures['model']}` divided by those of the same sentences in English (the premium of "
        "Petrov et al., arXiv 2305.15425; 1.00 is parity), on the first set of "
        f"{_listed(figures['measured_on'])} that has the language, all parts. The digit after the figure says which "
        "set. `a word`: tokens per word, in scripts with blanks between words. `unknown`: share of the letters that "
        "the tokenizer does not know. If it is high, the premium is too small, because a run of unknown letters is one "
        "token. `lexicons`: usable English entries. `routes`: from English and into English with the available engines "
        f"({_listed(figures['engines'])}). Other engines reach more (`--engine` of `panglot translate`)."
    )


def _language_names(each: Mapping[str, Any]) -> list[str]:
    script = f"{each['script_name']} ({each['script']})" if each["script"] else ""
    return [each["code"], each["name"], each["own_name"], script, each["direction"], " › ".join(each["family"])]


def _language_measures(each: Mapping[str, Any]) -> list[str]:
    cells = ["", "", ""]
    if tokens := each["tokens"]:
        per_word = f"{tokens['per_word']:.2f}" if tokens["per_word"] else ""
        unknown = f"{tokens['unknown']:.1%}" if tokens["unknown"] >= 0.0005 else "0"
        cells = [f"{tokens['premium']:.2f} {_SET_SIGNS[tokens['on']]}", per_word, unknown]
    entries = ", ".join(f"{name} {number:,}" for name, number in each["lexicons"].items())
    routes = "; ".join(route for route in each["routes"].values() if route)
    return [each["code"], " ".join(each["trains"]), " ".join(each["tests"]), *cells, entries, routes]


def _language_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    filled = [[cell or "–" for cell in row] for row in rows]
    return table_to_markdown(simple_table(head, filled, left=range(len(head)), code=True))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
