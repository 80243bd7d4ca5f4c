"""The page in a real browser: it opens in silence, fits every width, and can be read in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_figures

from panglot.report import write_html
from panglot.report.diagnosis_page import diagnosis_page
from panglot.search.integrations.snippets import snippets

sync_api = pytest.importorskip("playwright.sync_api")

BAD = "<script>window.hit=1</script><img src=x onerror=window.hit=1>" + "long" * 30

# For every element with its own text: the contrast of its colour with the first background behind it.
FAINT = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => x - y);
    const ratio = (b + .05) / (a + .05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 20), ratio]);
  }
  return found.slice(0, 5);
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    comparison = sample_figures.comparison()
    logs = {model: sample_figures.log_lines(model) for model in comparison["models"]}
    bad = sample_figures.renamed(sample_figures.renamed(comparison, "runs/mono", BAD), "xquad-r", BAD)
    write_html(folder / "one.html", sample_figures.figures(), logs["runs/hybrid"])
    write_html(folder / "names.html", sample_figures.renamed(sample_figures.figures(), "vi", "id"))
    write_html(folder / "many.html", comparison, logs)
    write_html(folder / "not-parallel.html", sample_figures.not_parallel())
    code = snippets("lsar", Path("index"), Path("docs-diagnosis"), model="m", strength=1.0, output=Path("corrected"))
    found = diagnosis_page(sample_figures.diagnosis(), code, "panglot diagnose docs")
    (folder / "diagnosis.html").write_text(found, "utf-8")
    write_html(folder / "bad.html", bad, {BAD: logs["runs/mono"], "another": logs["runs/cross"]}, title=BAD)
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["one", "many", "not-parallel", "bad", "diagnosis"])
def test_the_page_opens_in_silence_and_fits(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = browser.new_page(color_scheme="dark")
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(pages[name].as_uri())
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    assert heard == [pages[name].as_uri()]
    assert page.evaluate("window.hit") is None
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "many"])
def test_all_text_stands_out(browser: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(FAINT) == []
    luminance = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance == "rgb(255, 255, 255)") == (scheme == "light")
    page.close()


def test_arabic_runs_from_right_to_left(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["one"].as_uri())
    direction = "e => getComputedStyle(e).direction"
    assert page.locator("bdi[lang=ar]").first.evaluate(direction) == "rtl"
    assert page.locator("bdi[lang=de]").first.evaluate(direction) == "ltr"
    page.set_viewport_size({"width": 360, "height": 800})
    result = page.locator(".ranking bdi", has_text="توماس").first
    ends = "e => { const r = new Range(); r.selectNodeContents(e); return r.getBoundingClientRect().right; }"
    row = page.locator(".ranking li").first.bounding_box()
    assert result.evaluate(ends) == pytest.approx(row["x"] + row["width"], abs=1)
    page.close()


def test_print_opens_what_is_folded_on_white(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(pages["many"].as_uri())
    table = page.locator("details table").first
    assert not table.is_visible()
    page.emulate_media(media="print")
    assert table.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


@pytest.mark.parametrize("name", ["names", "many", "diagnosis"])
def test_nothing_is_cut_on_paper(browser: Any, pages: dict[str, Path], name: str) -> None:
    # A4 between the browser's margins.
    page = browser.new_page(viewport={"width": 718, "height": 1000})
    page.goto(pages[name].as_uri())
    page.emulate_media(media="print")
    wide = "all => all.filter(e => e.getBoundingClientRect().right > 719).map(e => e.className)"
    assert page.locator("table, pre, figure").evaluate_all(wide) == []
    page.close()


def test_further_rankings_are_folded_but_not_the_one_that_loses_most(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["diagnosis"].as_uri())
    examples = page.locator(".example")
    shown = [each.locator("li").first.is_visible() for each in examples.all()]
    assert shown == [True, False, True]
    assert examples.nth(1).locator("summary").inner_text() == f"A query in Arabic: {sample_figures.QUESTIONS['ar']}"
    assert examples.nth(2).locator("h3").inner_text() == "Where it costs most"
    page.emulate_media(media="print")
    assert examples.nth(1).locator("li").first.is_visible()
    assert examples.nth(1).locator("summary").is_visible()
    page.close()


# Some elements are shown at one width alone, so each width meets both schemes.
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "many", "diagnosis"])
def test_the_report_keeps_to_wcag_aa(
    browser: Any, pages: dict[str, Path], faults: Callable[[Any], list[str]], name: str, width: int, scheme: str
) -> None:
    # The report's own policy runs no script, and the checker is one.
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    # Further rows are like the first ones, and would take most of the time.
    page.evaluate("document.querySelectorAll('tr:nth-child(n + 4), li:nth-child(n + 4)').forEach(e => e.remove())")
    assert faults(page) == []
    context.close()


@pytest.mark.parametrize("name", ["one", "names", "diagnosis"])
def test_nothing_is_cut_on_a_phone(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(pages[name].as_uri())
    cut = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.firstChild.className)"
    assert page.locator(".scroll").count() > 1
    assert page.locator(".scroll").evaluate_all(cut) == []
    # What heads a column elsewhere labels each figure here.
    figure = page.locator(".blocks td[data-label]").first
    label = "e => getComputedStyle(e, '::before').content"
    assert figure.evaluate(label) == f'"{figure.get_attribute("data-label")}"'
    page.close()


def test_bands_to_the_same_language_are_as_thick_as_its_share(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(pages["diagnosis"].as_uri())
    flows = page.locator(".flow")
    assert flows.count() == 2
    thick = "all => all.reduce((sum, e) => sum + e.getBBox().height, 0)"
    ends = "all => all.map(e => Math.round(e.getAttribute('d').match(/[\\d.]+/g)[1]))"
    found = sample_figures.diagnosis()
    for place, name in enumerate(["plain", "balanced"]):
        shares = found["trials"][name]["language_share@10"]
        own = sum(shares[code][code] for code in shares) / len(shares)
        bands = flows.nth(place).locator("path.own")
        assert bands.count() == len(shares)
        # Where they rise or fall, a band covers more than its thickness.
        assert 100 * own <= bands.evaluate_all(thick) <= 100 * own + 60
        assert bands.evaluate_all(ends)[0] == 0
        assert flows.nth(place).locator("svg").get_attribute("aria-label").startswith(f"{own:.0%} of the first")
    labels = flows.first.locator(".to span").all_inner_texts()
    assert [label.split()[0] for label in labels] == list(found["pool"])
    page.close()


def test_a_wide_table_scrolls_in_its_own_container(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(pages["many"].as_uri())
    box = page.locator(".scroll:has(.groups:not(.blocks))").first
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    box.evaluate("e => e.scrollLeft = 200")
    left = box.evaluate(
        "e => e.querySelector('tbody th').getBoundingClientRect().left - e.getBoundingClientRect().left"
    )
    assert left == pytest.approx(0, abs=2)
    page.close()
