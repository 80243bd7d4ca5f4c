"""Show what comes first: the results of a real query, and how languages flow from queries to results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from panglot.report.by_language import Matrix
from panglot.report.labels import language_name
from panglot.report.markup import Child, Markup, beside, tag

_MOST = 12  # Languages with a place of their own. The rest share one.
_OTHER = "…"
_LINE = 0.8  # Height of a label, as a share of the room of one language.


def example(
    heading: str, query: str, language: str, rankings: Mapping[str, Sequence[Mapping[str, Any]]], marked: str
) -> Markup:
    """Return a query with its first results, side by side for each way of ranking.

    Args:
        heading: What it is an example of.
        query: The query.
        language: Its language.
        rankings: Name of the way of ranking → results with ``language``, ``text`` and perhaps ``title``. What is
            ``relevant`` or a ``version`` of the query's document gets a mark.
        marked: What the mark means.
    """
    shown = tag("p", tag("bdi", query, lang=language_name(language).tag, dir="auto"), class_="lead")
    lists = [_ranking(name, hits, language) for name, hits in rankings.items()]
    good = any(_is_good(hit) for hits in rankings.values() for hit in hits)
    legend = tag("p", f"✓ {marked}", class_="quiet") if good else None
    return tag("div", tag("h3", heading), shown, beside(*lists), legend, class_="example")


def _is_good(hit: Mapping[str, Any]) -> bool:
    return bool(hit.get("relevant") or hit.get("version"))


def _ranking(name: str, hits: Sequence[Mapping[str, Any]], asked: str) -> Markup:
    own = sum(each["language"] == asked for each in hits)
    head = tag("p", tag("strong", tag("bdi", name)), f": {own} of {len(hits)} in {language_name(asked).english}")
    # Passages of one section have one title, which would look like one result many times.
    titles = Counter(each.get("title") for each in hits)
    shown = [_hit(each, asked, whole=titles[each.get("title")] > 1) for each in hits]
    return tag("div", head, tag("ol", shown, class_="ranking"))


def _hit(hit: Mapping[str, Any], asked: str, *, whole: bool) -> Markup:
    named = language_name(hit["language"])
    badge = tag("span", named.code, class_="badge own" if hit["language"] == asked else "badge", title=named.english)
    title, start = hit.get("title") or "", hit["text"]
    text = f"{title[:60]}: {start}" if title and whole else title or start
    mark = tag("span", "✓ ") if _is_good(hit) else None
    return tag("li", badge, mark, tag("bdi", text[:120], lang=named.tag, dir="auto"))


def flow(title: Child, shares: Matrix, codes: Sequence[str]) -> Markup:
    """Return a figure of two columns of languages with bands between them, in the same order on both sides.

    A band from x to y is as thick as the mean share of y among the first results of queries in x. Bands from a language
    to itself stand out.

    Args:
        title: What it shows.
        shares: Language of the query → language of the result → share.
        codes: All languages, in order. Those after the first twelve are drawn as one.
    """
    asked = [code for code in codes if code in shares]
    names = list(codes) if len(codes) <= _MOST else [*codes[: _MOST - 1], _OTHER]
    bands = dict.fromkeys(((x, y) for x in names for y in names), 0.0)
    own = 0.0
    for x in asked:
        for y, share in shares[x].items():
            bands[x if x in names else _OTHER, y if y in names else _OTHER] += share / len(asked)
            own += share / len(asked) * (x == y)
    left = {x: sum(bands[x, y] for y in names) for x in names}
    right = {y: sum(bands[x, y] for x in names) for y in names}
    starts, ends = _starts(left), _starts(right)
    parts: list[Markup] = []
    for x in names:
        for y in names:
            thick = bands[x, y]
            look = "own" if x == y != _OTHER else None
            parts += [_band(starts[x], ends[y], thick, look)] if thick > 0.0005 else []
            starts[x] += thick
            ends[y] += thick
    # What stands out is drawn last.
    parts.sort(key=lambda part: 'class="own"' in part)
    label = f"{own:.0%} of the first results are in the language of their query"
    picture = tag("svg", parts, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=label)
    sides = [_labels(left, "from"), picture, _labels(right, "to", shares=True)]
    area = tag("div", sides, class_="bands", style=f"height:{max(8, 1.5 * len(names)):g}rem")
    caption = tag("figcaption", title, tag("span", f"{own:.0%} in the same language", class_="quiet"))
    return tag("figure", caption, area, class_="flow")


def _starts(sizes: Mapping[str, float]) -> dict[str, float]:
    """Return where each part begins if they are stacked."""
    found, at = dict[str, float](), 0.0
    for name, size in sizes.items():
        found[name] = at
        at += size
    return found


def _band(start: float, end: float, thick: float, look: str | None) -> Markup:
    a, b, c, d = (f"{100 * value:.2f}" for value in (start, end, end + thick, start + thick))
    return tag("path", d=f"M0 {a}C50 {a} 50 {b} 100 {b}V{c}C50 {c} 50 {d} 0 {d}Z", class_=look)


def _labels(sizes: Mapping[str, float], side: str, *, shares: bool = False) -> Markup:
    """Return the names of the parts of a side, each beside the middle of its part if there is room."""
    starts = _starts(sizes)
    room = _LINE / len(sizes)
    places = [starts[name] + size / 2 for name, size in sizes.items()]
    # Down, so that none covers the one above, then up again from the lower end.
    for row in range(1, len(places)):
        places[row] = max(places[row], places[row - 1] + room)
    places[-1] = min(places[-1], 1 - room / 2)
    for row in range(len(places) - 2, -1, -1):
        places[row] = min(places[row], places[row + 1] - room)
    spans = [
        tag("span", _name(name), f" {size:.0%}" if shares else None, style=f"top:{100 * place:.2f}%")
        for (name, size), place in zip(sizes.items(), places, strict=True)
        if size > 0
    ]
    return tag("div", spans, class_=side)


def _name(code: str) -> Markup:
    return tag("abbr", code, title="other languages" if code == _OTHER else language_name(code).english)
