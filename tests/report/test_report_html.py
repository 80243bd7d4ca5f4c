"""The page as text: it needs nothing from elsewhere, escapes everything, and names what it shows."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
import sample_figures
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.report import heatmap, to_html, write_html
from panglot.report.dataset_tables import own_share
from panglot.report.evaluations import read_results
from panglot.report.markup import example

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "br", "hr", "col"}
Attributes = dict[str, str | None]
# Half of the characters are special in HTML.
ANY_TEXT = st.text(st.sampled_from("<>&\"'/=a") | st.characters(), max_size=40)


class Page(HTMLParser):
    """Every element of a page in order, its text, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.elements if name == tag]


def one() -> Page:
    return Page(to_html(sample_figures.figures(), sample_figures.log_lines()))


def many() -> Page:
    comparison = sample_figures.comparison()
    return Page(to_html(comparison, {model: sample_figures.log_lines(model) for model in comparison["models"]}))


@pytest.mark.parametrize("make", [one, many, lambda: Page(to_html(sample_figures.not_parallel()))])
def test_the_page_needs_nothing_but_itself(make: Any) -> None:
    page: Page = make()
    assert not {"script", "iframe", "object", "embed", "img", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    style = "".join(page.text)
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("make", [one, many])
def test_tables_and_drawings_say_what_they_are(make: Any) -> None:
    page: Page = make()
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(th.get("scope") for th in page.all("th"))
    drawings = page.all("svg")
    nested = [svg for svg in drawings if (svg.get("class") or "").startswith("mark")]
    for svg in drawings:
        assert svg in nested or svg.get("aria-hidden") or (svg.get("role") == "img" and svg.get("aria-label"))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_figure_of_the_matrix_is_a_cell() -> None:
    figures = sample_figures.figures()
    text = to_html(figures)
    (table,) = re.findall(r"<table class=\"heat\">(?:(?!</table>).)*answered in(?:(?!</table>).)*</table>", text)
    values = re.findall(r"<td class=\"s\d+(?: own)?\">([^<]*)</td>", table)
    matrix = figures["datasets"]["xquad-r"]["crosslingual"]["matrix"]["mAP"]
    mono = figures["datasets"]["xquad-r"]["monolingual"]["by_language"]
    wanted = [mono[x]["mAP"] if x == y else matrix[x][y] for x in sample_figures.POOL for y in sample_figures.POOL]
    assert values == [f"{value:.2f}".removeprefix("0") for value in wanted]


def test_right_to_left_names_have_their_own_direction() -> None:
    names = [bdi for bdi in one().all("bdi") if bdi.get("lang") == "ar"]
    assert names
    assert all(name["dir"] == "auto" for name in names)


def test_the_page_begins_with_the_sentence_that_matters_and_a_real_question() -> None:
    text = to_html(sample_figures.figures())
    assert "<h1>Questions in Thai: 34% of the first 10 passages are in Thai. It has 7% of the pool.</h1>" in text
    assert text.index("The first question in Thai") < text.index("Every pair of languages")
    assert '<bdi lang="th" dir="auto">โทมัส เอดิสัน เกิดเมื่อใด</bdi>' in text
    # Of several models, the first and the one that prefers the language least.
    several = to_html(sample_figures.comparison())
    assert "34% of the first 10 passages are in Thai with bundled, 15% with runs/hybrid. It has" in several
    shown = re.findall(r"<p><strong><bdi>([^<]*)</bdi></strong>: (\d+) of 10 in Thai", several)
    assert shown == [("bundled", "7"), ("runs/hybrid", "2")]
    # A title that is given is the heading.
    assert "<h1>My title</h1>" in to_html(sample_figures.figures(), title="My title")


def test_axes_are_shared_and_begin_at_nothing() -> None:
    text = to_html(sample_figures.comparison(), {"runs/mono": sample_figures.log_lines()})
    ends = re.findall(r"<div class=\"axis\"><span>([^<]*)</span><span>([^<]*)</span>", text)
    assert ends[:4] == [(".00", "1.00")] * 3 + [("0", "1,500")]
    lowest = re.findall(r"<span class=\"y\" style=\"bottom:0.00%\">([^<]*)<", text)
    assert lowest
    assert set(lowest) == {".00"}


def test_digests_are_folded_away() -> None:
    text = to_html(sample_figures.figures())
    seen, _, folded = text[text.index("How the figures were made") :].partition("<details>")
    assert "panglot evaluate bundled" in seen
    for digest in ("9f2c61d0a7b3e845", "1571fc9827503943"):
        assert digest not in seen
        assert digest in folded


def test_bold_is_only_what_is_best_beyond_chance() -> None:
    text = to_html(sample_figures.comparison())
    bold = set(re.findall(r"<strong(?: title=\"[^\"]*\")?>([.\d,]+)</strong>", text))
    assert bold == {".566"}


def test_scripts_in_names_stay_text() -> None:
    bad = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    comparison = sample_figures.renamed(
        sample_figures.renamed(sample_figures.comparison(), "runs/mono", bad), "xquad-r", bad
    )
    page = Page(to_html(comparison, {bad: sample_figures.log_lines()}))
    assert [tag for tag, _ in page.elements] == [
        tag for tag, _ in Page(to_html(sample_figures.comparison(), {"runs/mono": sample_figures.log_lines()})).elements
    ]
    assert bad in page.text


@settings(max_examples=25)
@given(name=ANY_TEXT, why=ANY_TEXT)
def test_no_text_from_outside_changes_the_page(name: str, why: str) -> None:
    def tags(model: str, reason: str) -> list[tuple[str, Any]]:
        figures = sample_figures.not_parallel()
        figures["model"]["name"] = model or "model"
        figures["command"] = f"panglot {reason}"
        figures["datasets"] = {reason or "x": figures["datasets"]["tydiqa-goldp"]}
        figures["datasets"][reason or "x"]["not_measured"][0]["why"] = reason
        return [(tag, sorted(attributes)) for tag, attributes in Page(to_html(figures)).elements]

    assert tags(name, why) == tags("model", "why")


def test_unknown_language_codes_stand_for_themselves() -> None:
    figures = sample_figures.renamed(sample_figures.figures(), "ar", "<b>x</b>")
    figures["datasets"]["xquad-r"]["languages"][0] = "<b>x</b>"
    text = to_html(figures)
    assert "<b>x" not in text
    assert "&lt;b&gt;x" in text


@pytest.mark.parametrize("letter", ["s", "d"])
def test_numbers_in_cells_are_readable(letter: str) -> None:
    rules = re.findall(rf"\.{letter}(\d+)\{{background:(#\w+);color:(#\w+)\}}", heatmap.color_classes())
    assert len(rules) == heatmap.STEPS
    for _, ground, ink in rules:
        assert heatmap.contrast(heatmap.parse(ground), heatmap.parse(ink)) >= 4.5


def test_the_sequential_scale_rises_evenly_in_lightness() -> None:
    black = (0, 0, 0)
    lightness = [heatmap.contrast(heatmap.colour("s", place / 40), black) for place in range(41)]
    assert lightness == sorted(lightness)


def test_a_comparison_with_holes_is_shown() -> None:
    comparison = sample_figures.comparison()
    del comparison["evaluations"]["runs/cross"]["datasets"]["xquad-r"]
    comparison["evaluations"]["runs/mono"]["datasets"]["xquad-r"]["multilingual"] = None
    comparison["evaluations"]["runs/mono"]["datasets"]["xquad-r"]["geometry"] = None
    for contest in comparison["datasets"]["xquad-r"].values():
        contest["values"]["runs/cross"] = None
        contest["differences"] = []
    comparison["datasets"]["other"] = {}
    assert "runs/cross" in "".join(Page(to_html(comparison)).text)


@pytest.mark.parametrize("key", ["monolingual", "crosslingual", "multilingual", "geometry"])
def test_any_setting_may_be_null(key: str) -> None:
    figures = sample_figures.figures()
    figures["datasets"]["xquad-r"][key] = None
    figures["datasets"]["xquad-r"]["not_measured"] = [{"what": key, "why": f"no {key} here"}]
    assert f"no {key} here" in "".join(Page(to_html(figures)).text)


def test_a_single_language_and_an_empty_evaluation_are_shown() -> None:
    figures = sample_figures.figures()
    figures["datasets"] = {"empty": {"languages": [], "monolingual": None, "not_measured": []}}
    Page(to_html(figures))
    figures["datasets"] = {}
    Page(to_html(figures))
    figures["datasets"] = {
        "one": {
            "languages": ["sw"],
            "pool": {"sw": 3},
            "monolingual": {"mAP": 0.5, "by_language": {"sw": {"mAP": 0.5}}},
        }
    }
    assert "Kiswahili" in "".join(Page(to_html(figures)).text)


def test_a_page_of_a_hundred_languages_stays_small() -> None:
    codes = [f"q{chr(97 + a)}{chr(97 + b)}" for a in range(10) for b in range(10)]
    cells = {x: dict.fromkeys(codes, 0.5) for x in codes}
    figures = sample_figures.figures()
    figures["datasets"]["xquad-r"] |= {
        "languages": codes,
        "crosslingual": {"mAP": 0.5, "matrix": {"mAP": cells}},
        "multilingual": {"mAP": 0.4, "language_share@10": cells, "pool_share": dict.fromkeys(codes, 0.01)},
        "geometry": {"mean_distance": cells},
    }
    assert len(to_html(figures)) < 3_000_000


def test_results_that_share_a_title_show_their_text() -> None:
    hits = [
        {"language": "de", "title": title, "text": text}
        for title, text in (("Drucken", "Der Anfang."), ("Drucken", "Das Ende."), ("Sichern", "Alles."), ("", "Ohne."))
    ]
    page = str(example("A query", "drucken", "de", {"plain": hits}, "right"))
    shown = re.findall(r"<bdi[^>]*>([^<]*)</bdi></div></li>", page)
    assert shown == ["Drucken: Der Anfang.", "Drucken: Das Ende.", "Sichern", "Ohne."]


def test_a_long_result_ends_between_words_and_says_that_more_follows() -> None:
    texts = ["word " * 40, "字" * 200, "Short. " * 10]
    hits = [{"language": "de", "text": text} for text in texts]
    page = str(example("A query", "drucken", "de", {"plain": hits}, "right"))
    shown = re.findall(r"<bdi[^>]*>([^<]*)</bdi></div></li>", page)
    assert shown == ["word " * 23 + "word…", "字" * 119 + "…", " ".join(["Short."] * 10)]


def test_shares_of_the_first_results_go_to_100_percent() -> None:
    for figures in (sample_figures.figures(), sample_figures.comparison()):
        (dataset,) = read_results(figures).datasets
        axis = own_share(dataset, "language_share@10").axis
        assert axis is not None
        assert axis[0].ends == (0, 1)


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    write_html(target, sample_figures.figures(), title="A & B")
    assert "<title>A &amp; B</title>" in target.read_text("utf-8")
    with pytest.raises(PanglotError):
        write_html(target, {})
    assert "A &amp; B" in target.read_text("utf-8")
    assert os.listdir(target.parent) == ["report.html"]  # noqa: PTH208
    with pytest.raises(PanglotError, match="cannot write"):
        write_html(target / "below" / "report.html", sample_figures.figures())


def test_small_distances_and_shares_are_not_written_as_nothing() -> None:
    figures = sample_figures.figures()
    found = figures["datasets"]["xquad-r"]
    codes = found["languages"]
    found["geometry"]["mean_distance"] = {x: {y: 0.012 for y in codes if y != x} for x in codes}
    found["multilingual"]["language_share@10"] = {x: {y: 0.996 if x == y else 0.0004 for y in codes} for x in codes}
    text = to_html(figures)
    # The scale ends at .015, which is neither .01 nor .02.
    assert "<span>.000</span>" in text
    assert "<span>.015</span>" in text
    assert ">.012</td>" in text
    assert ">99.6</td>" in text
    assert ">0.04</td>" in text
    assert "99.6% in the same language" in text
