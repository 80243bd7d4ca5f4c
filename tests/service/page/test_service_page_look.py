"""The search page in every width, light and direction; nothing in a document runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from panglot import service as service_page

if TYPE_CHECKING:
    from page_server import Search

Visit = Callable[..., Any]

QUESTION = "right to education"
WORDS_RIGHT = "e => { const r = new Range(); r.selectNodeContents(e); return r.getBoundingClientRect().right; }"
ELSEWHERE = "all => all.filter(e => !/^[?]|^https:/.test(e.getAttribute('href'))).length"


def test_an_address_that_means_harm_asks_for_nothing_odd(visit: Visit, service: Search) -> None:
    page = visit("?q=<img src=x onerror=window.hit=1>&mode=__proto__&beside=nothing&languages=xx,../&k=1e9&weight=NaN")
    wish = service.asked[-1]
    assert (wish["mode"], wish["languages"], wish["k"], wish["boost"]) == ("plain", [], 300, 0.06)
    assert page.locator(".column:visible").count() == 1


def test_cards_run_in_the_direction_of_their_language(visit: Visit) -> None:
    page = visit("?q=الحق في التعلم&mode=centered&languages=ar,he,th")
    assert page.locator("#question").evaluate("e => getComputedStyle(e).direction") == "rtl"
    for code, direction in (("ar", "rtl"), ("he", "rtl"), ("th", "ltr")):
        hit = page.locator(f".hit[lang={code}]").first
        assert hit.get_attribute("dir") == direction
        box, rank = hit.bounding_box(), hit.locator(".rank").bounding_box()
        score = hit.locator(".score").bounding_box()
        middle = box["x"] + box["width"] / 2
        assert (rank["x"] > middle) == (direction == "rtl")
        assert (rank["x"] > hit.locator(".language").bounding_box()["x"]) == (direction == "rtl")
        assert (score["x"] > middle) == (direction == "ltr")
        assert (hit.locator("h3").evaluate(WORDS_RIGHT) > middle) == (direction == "rtl")
        assert hit.locator(".score").evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_what_points_sideways_is_mirrored_in_arabic(visit: Visit) -> None:
    page = visit("?q=rights&ui=ar")
    shown = page.locator(".chip .hits:visible", has_text="%").all_inner_texts()
    assert any("←" in text for text in shown)
    assert not any("→" in text for text in shown)
    left, right = (page.locator(f".foot kbd:text-is('{arrow}')").bounding_box()["x"] for arrow in "←→")
    assert left < right


def test_the_share_of_the_index_does_not_cover_the_name(visit: Visit) -> None:
    page = visit("?q=rights")
    covers = """all => all.filter(e => e.querySelector('.tick').getBoundingClientRect().top
      < e.querySelector('.name').getBoundingClientRect().bottom).length"""
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.locator(".chip:has(.tick:not([hidden])):visible").evaluate_all(covers) == 0
    page.close()
    page = visit(width=768)
    assert page.locator(".chip:visible").evaluate_all(covers) == 0


def test_a_document_by_itself_has_all_of_the_width(visit: Visit) -> None:
    page = visit("?document=26-en")
    page.locator(".hit").wait_for()
    box = page.locator(".hit").bounding_box()
    assert box["width"] > 800


def test_no_text_of_a_document_runs_or_becomes_an_element(visit: Visit) -> None:
    from page_documents import HARM, IMAGE, SCRIPT

    page = visit("?q=rights&languages=en&k=50&beside=balanced")
    left = page.locator(".column").first
    left.locator(".hit").first.wait_for()
    for button in left.locator(".score").all():
        button.click()
    texts = left.locator(".text").all_inner_texts()
    assert any(SCRIPT in text and IMAGE in text and "&lt;b&gt;" in text for text in texts)
    assert left.locator("h3", has_text=SCRIPT).count() == 1
    assert left.locator("dt", has_text=SCRIPT).count() == len(HARM)
    assert page.locator("main :is(img, svg, script, iframe)").count() == 0
    assert page.locator("main a").evaluate_all(ELSEWHERE) == 0


@pytest.mark.parametrize(
    "query",
    ["", f"?q={QUESTION}&ui=ar", f"?q={QUESTION}&beside=preferred&collapse=1&ui=fi", "?q=rights&languages=en&k=50"],
)
def test_the_page_fits_every_width(visit: Visit, query: str) -> None:
    page = visit(query)
    for width in (320, 360, 768, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def test_the_words_of_every_interface_fit_a_phone(visit: Visit) -> None:
    for path in sorted(Path(service_page.__file__).parent.glob("page/texts-*.json")):
        code = path.stem.removeprefix("texts-")
        page = visit(f"?q={QUESTION}&mode=plain&beside=balanced&collapse=1&ui={code}", width=360)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, code
        page.close()


def test_many_languages_are_folded_away_on_a_phone(visit: Visit) -> None:
    page = visit(width=360)
    assert page.locator("#chips button:visible").count() == 0
    page.locator("#all").click()
    assert page.locator("#chips button:visible").count() == 11
    page.locator("#chips button").first.click()
    page.locator("#all").click()
    assert page.locator("#chips button:visible").count() == 1


def test_the_first_visit_offers_questions_that_are_links(visit: Visit, service: Search) -> None:
    page = visit()
    links = page.locator("#examples a")
    assert links.evaluate_all("all => all.map(e => [e.lang, e.textContent])")[1] == ["de", "Artikel 26"]
    assert links.nth(1).get_attribute("href") == "?q=Artikel+26"
    links.nth(1).click()
    page.locator(".column:visible").nth(1).locator(".hit").first.wait_for()
    # Balanced beside plain, and no more offers.
    assert sorted(wish["mode"] for wish in service.asked) == ["balanced", "plain"]
    assert {wish["query"] for wish in service.asked} == {"Artikel 26"}
    assert not page.locator("#examples").is_visible()
    page.go_back()
    page.locator("#examples").wait_for()


def test_the_name_of_a_language_is_where_its_question_begins(visit: Visit, service: Search) -> None:
    service.documents = [each for each in service.documents if each["language"] in ("ar", "de")]
    page = visit()
    for code, side in (("de", "left"), ("ar", "right")):
        parts = page.locator(f"#examples li:has([lang={code}])").locator("a, span")
        assert parts.count() == 2
        first, second = parts.evaluate_all(f"all => all.map(e => e.getBoundingClientRect().{side})")
        assert first == pytest.approx(second, abs=1)


@pytest.mark.parametrize(
    ("languages", "mode", "shown"),
    [
        (None, "centered", ["plain", "centered"]),
        (None, "plain", ["plain", "balanced"]),
        (["de"], "centered", ["centered"]),
    ],
)
def test_the_first_rankings_are_those_of_the_service(
    visit: Visit, service: Search, languages: list[str] | None, mode: str, shown: list[str]
) -> None:
    service.mode = mode
    service.documents = [each for each in service.documents if languages is None or each["language"] in languages]
    visit("?q=Artikel 26")
    assert sorted(each["mode"] for each in service.asked) == sorted(shown)


def test_what_does_not_match_is_not_marked(visit: Visit, service: Search) -> None:
    for document in service.documents:
        document["text"] = "Rights of all. The rest." if document["id"] == "26-en" else "Rights of all."
    page = visit(f"?q={QUESTION}&mode=plain&k=20")
    # Where a text consists of what is marked, the mark would say nothing.
    assert page.locator("mark").all_inner_texts() == ["Rights of all."]
    for document in service.documents:
        document["text"] = ""  # Here the service marks nothing.
    page.locator(".go").click()
    page.locator("#columns[aria-busy=false] .text:text-is('')").first.wait_for(state="attached")
    assert page.locator("mark").count() == 0


def test_a_phone_shows_one_column_at_a_time(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}", 360, has_touch=True, is_mobile=True)
    tabs, columns = page.locator("#tabs button"), page.locator(".column")
    left = "e => Math.round(e.getBoundingClientRect().left)"
    pressed = page.locator("#tabs [aria-pressed=true]")
    assert tabs.all_inner_texts() == ["Plain", "Balanced"]
    assert pressed.inner_text() == "Plain"
    assert columns.nth(1).evaluate(left) >= 330
    tabs.nth(1).click()
    page.locator("#tabs [aria-pressed=true]", has_text="Balanced").wait_for()
    assert columns.nth(1).evaluate(left) < 30
    # A swipe does the same.
    page.locator("#columns").evaluate("e => e.scrollTo({left: 0, behavior: 'instant'})")
    page.locator("#tabs [aria-pressed=true]", has_text="Plain").wait_for()
    assert pressed.count() == 1
    # Options are one press away.
    assert not page.locator("#collapse").is_visible()
    page.locator("summary").click()
    assert page.locator("#collapse").is_visible()


def test_the_legend_of_keys_shows_where_there_is_a_keyboard(visit: Visit) -> None:
    legend = visit().locator(".foot")
    assert legend.is_visible()
    page = visit("", 360, has_touch=True, is_mobile=True)
    assert not page.locator(".foot").is_visible()
    page.keyboard.press("Tab")
    assert page.locator(".foot").is_visible()


# Some elements are shown at one width alone, so each width meets both schemes.
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?q=rights&ui=ar",
        f"?q={QUESTION}&beside=preferred&preferred=ar,fi&languages=ar,en,th&collapse=1",
        "error",
    ],
)
def test_the_page_keeps_to_wcag_aa(
    visit: Visit, service: Search, faults: Callable[[Any], list[str]], query: str, width: int, scheme: str
) -> None:
    page = visit(query.removeprefix("error"), width, color_scheme=scheme, reduced_motion="reduce")
    if query == "error":
        service.fails = (401, "A key is needed.")
        page.locator("#question").fill(QUESTION)
        page.keyboard.press("Enter")
        page.locator(".error").wait_for()
    elif query:
        page.locator(".score:visible").first.click()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert faults(page) == []
