"""How to read the page, and where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panglot.report.markup import Child, Markup, tag
from panglot.report.names import clean
from panglot.report.results import Results, dig


def how_to_read(results: Results) -> Markup:
    """Return the terms of the page in plain words."""
    terms = [
        ("Monolingual", "A question meets only passages in its own language."),
        (
            "Cross-lingual",
            "A question meets only passages in one other language: a figure per pair, then their mean.",
        ),
        (
            "Multilingual",
            "A question meets the passages of all languages at once; every version of the answer counts.",
        ),
        (
            "mAP",
            "Mean average precision: 1 if every relevant passage comes before every other, near 0 if late.",
        ),
        (
            "Rank distance",
            (
                "Ranks between the first and the last version of an answer, in the pool of all languages. "
                "A model that is blind to language puts them side by side. Larger pools make it larger."
            ),
        ),
        (
            "Self-preference",
            "A language's share of the first results for its own questions, over its share of the pool.",
        ),
        (
            "Intervals",
            (
                "95% bootstrap intervals over question groups: all translations of a question are drawn "
                "together, so the interval says how the figure would move with other questions."
            ),
        ),
    ]
    if results.compared:
        terms.append(
            (
                "Bold",
                (
                    "The best model, and only where a paired randomisation test, corrected for the number of "
                    "comparisons, tells it from the others. Where none is bold, no order should be claimed."
                ),
            )
        )
    content = tag("dl", [[tag("dt", term), tag("dd", text)] for term, text in terms], class_="terms")
    return tag("section", tag("h2", "How to read this"), content, class_="about", id="how-to-read")


def provenance(results: Results) -> Markup:
    """Return settings, versions, machine and command: what it takes to make the figures again."""
    each = {model: _facts(results.evaluations.get(model) or {}) for model in results.models}
    if results.compared and (whole := _facts(results.about)):
        each = {model: found | whole for model, found in each.items()}
    keys = list(dict.fromkeys(key for found in each.values() for key in found))
    shared = [key for key in keys if len({found.get(key) for found in each.values()}) == 1]
    same = tag("dl", [_pair(key, each[results.models[0]][key]) for key in shared], class_="facts")
    parts: list[Child] = [same]
    for model in results.models:
        own = [_pair(key, value) for key, value in each[model].items() if key not in shared]
        if own:
            parts += [tag("h3", tag("bdi", model)), tag("dl", own, class_="facts")]
    return tag("footer", tag("h2", "Where the figures come from"), parts, class_="about")


def _pair(key: str, value: str) -> Markup:
    shown = tag("code", value) if key == "command" else tag("bdi", value)
    return tag("div", tag("dt", key), tag("dd", shown))


def _facts(figures: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in ("panglot", "date", "command", "seconds"):
        if figures.get(key) is not None:
            found[key] = _text(figures[key])
    for group in ("model", "settings", "machine", "versions"):
        for key, value in (dig(figures, group) or {}).items():
            if (group, key) != ("model", "name") and value is not None:
                found[f"{group} {clean(key)}" if group == "model" else clean(key)] = _text(value)
    for name, dataset in (dig(figures, "datasets") or {}).items():
        if digest := dig(dataset, "digest"):
            found[f"digest of {clean(name)}"] = _text(digest)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(key)} {_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return f"{value:,.6g}" if isinstance(value, float) else clean(value)
