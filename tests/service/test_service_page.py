"""The search page in a real browser, over real HTTP: what is found is seen, and nothing in it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

if TYPE_CHECKING:
    from page_server import Search

Visit = Callable[..., Any]

LEVEL_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
QUESTION = "right to education"
WORDS_RIGHT = "e => { const r = new Range(); r.selectNodeContents(e); return r.getBoundingClientRect().right; }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def service() -> Iterator[Search]:
    from page_server import Search

    return Search()


@pytest.fixture
def address(service: Search) -> Iterator[str]:
    from page_server import serving

    with serving(service) as found:
        yield found


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Open the page; at the end nothing may have run, complained, or been asked of anybody else."""
    contexts: list[Any] = []
    heard: list[str] = []

    def opened(query: str = "", width: int = 1280, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-US", **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(address) else heard.append(request.url))
        page.goto(address + query)
        page.locator("#chips button").first.wait_for()
        if "q=" in query:
            page.locator("#status", has_text="question in").wait_for()
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hit") is None
        context.close()
    # A browser says by itself that a status was not 200.
    assert [text for text in heard if not text.startswith("Failed to load resource")] == []


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's source: of PANGLOT_AXE, or of the npm package axe-core."""
    places = [Path(os.environ["PANGLOT_AXE"])] if "PANGLOT_AXE" in os.environ else []
    places.append(Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js")
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=False).stdout.strip()
        places.append(Path(root) / "axe-core" / "axe.min.js")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("no axe-core: npm install --global axe-core@4, or name axe.min.js in PANGLOT_AXE")
    return found.read_text("utf-8")


def faults(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    result = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", LEVEL_AA)
    assert result["passes"]
    return [f"{v['id']}: {node['html'][:160]}" for v in result["violations"] for node in v["nodes"]]


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.id")


def two_columns(page: Any) -> tuple[Any, Any]:
    columns = page.locator(".column:visible")
    columns.nth(1).locator(".hit").first.wait_for()
    assert columns.count() == 2
    return columns.nth(0), columns.nth(1)


def test_a_question_is_asked_and_its_hits_read_by_keyboard_alone(visit: Visit, service: Search) -> None:
    page = visit()
    assert focused(page) == "question"
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    assert focused(page) == "question"
    page.keyboard.type(f"{QUESTION}/")
    page.keyboard.press("Enter")
    hits = page.locator(".hit")
    hits.first.wait_for()
    assert service.asked[-1]["question"] == f"{QUESTION}/"
    assert service.asked[-1]["highlight"] is True

    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("1, English")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("2, ")
    page.keyboard.press("End")
    assert focused(page).startswith("10, ")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    why = hits.first.locator(".why")
    assert why.is_visible()
    assert "cosine" in why.inner_text()
    page.keyboard.press("Enter")
    assert not why.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert why.is_visible()
    page.keyboard.press("Escape")
    assert focused(page) == "question"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert focused(page) == "question"


def test_the_key_to_the_question_can_be_turned_off_and_stays_off(visit: Visit) -> None:
    page = visit()
    page.locator("#slash").uncheck()
    page.keyboard.press("/")
    assert focused(page) == "slash"
    page.reload()
    page.locator("#chips button").first.wait_for()
    assert not page.locator("#slash").is_checked()


def test_a_hit_shows_rank_language_score_and_its_best_sentence(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}&mode=centered")
    hit = page.locator(".hit", has=page.locator("h3", has_text="Artikel 26"))
    header = hit.locator("header").inner_text()
    assert "German" in header
    assert " de" in header
    assert "0." in header
    assert hit.locator("mark").inner_text() == "Jeder hat das Recht auf Bildung."
    assert hit.get_attribute("lang") == "de"


def test_highlights_count_code_points(visit: Visit) -> None:
    page = visit("?q=family&languages=en&k=20")
    text = page.locator("#columns .hit", has_text="𠮷野家").first.locator(".text")
    assert text.locator("mark").inner_text() == "Then 👍🏽 rights in the second sentence."
    assert text.inner_text() == "𠮷野家 👩‍👩‍👧‍👦 comes first. Then 👍🏽 rights in the second sentence. And 🏳️‍🌈 last."


def test_a_late_sentence_is_in_sight_and_the_whole_passage_one_press_away(visit: Visit) -> None:
    page = visit("?q=rights&languages=en&k=20")
    hit = page.locator(".hit", has_text="The answer comes late")
    assert hit.locator(".text").inner_text().startswith("… Rights are answered here.")
    hit.locator(".more").click()
    assert hit.locator(".text").inner_text().startswith("Words that come before")
    assert not hit.locator(".more").is_visible()


def test_chips_hold_shares_and_pressing_one_keeps_to_it(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    chip = page.get_by_role("button", name="German de")
    assert chip.get_attribute("aria-pressed") == "false"
    share = service.about()["languages"][0]["share"]
    assert f"{share:.0%}" in page.get_by_role("button", name="English en").inner_text()
    chip.focus()
    page.keyboard.press("Space")
    page.locator(".hit[lang=de]").first.wait_for()
    assert service.asked[-1]["languages"] == ["de"]
    assert page.locator(".hit:not([lang=de])").count() == 0
    assert focused(page) == page.evaluate("document.activeElement.id")
    assert page.evaluate("document.activeElement.textContent").startswith("German")
    assert chip.get_attribute("aria-pressed") == "true"
    page.locator("#clear").click()
    page.locator(".hit:not([lang=de])").first.wait_for()
    assert service.asked[-1]["languages"] == []


def test_side_by_side_shows_the_bias_go(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    page.locator("#beside").check()
    left, right = two_columns(page)
    assert [wish["mode"] for wish in service.asked[-2:]] in (["plain", "centered"], ["centered", "plain"])
    assert left.locator(".hit[lang=en]").count() > right.locator(".hit[lang=en]").count()

    own = ".bar.hits [data-colour='0']"
    width = "e => e.getBoundingClientRect().width / e.parentElement.getBoundingClientRect().width"
    pool = left.locator(".bar.pool [data-colour='0']").evaluate(width)
    answers = [service.answer(wish) for wish in sorted(service.asked[-2:], key=lambda wish: -len(wish["mode"]))]
    shares = {answer["mode"]: answer["shares"]["en"] for answer in answers}
    assert left.locator(own).evaluate(width) == pytest.approx(shares["plain"]["hits"], abs=0.02)
    assert right.locator(own).evaluate(width) == pytest.approx(shares["centered"]["hits"], abs=0.02)
    assert pool == pytest.approx(shares["plain"]["pool"], abs=0.04)

    ids = {answer["mode"]: [hit["id"] for hit in answer["hits"]] for answer in answers}
    assert left.locator(".leaves").count() == len(set(ids["plain"]) - set(ids["centered"])) > 0
    assert right.locator(".comes").count() == len(set(ids["centered"]) - set(ids["plain"])) > 0
    moved = [i for i in ids["centered"] if i in ids["plain"] and ids["plain"].index(i) != ids["centered"].index(i)]
    assert right.locator(".up, .down").count() == len(moved) > 0

    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert right.locator(".hit").first.evaluate("e => e === document.activeElement")
    page.keyboard.press("ArrowLeft")
    assert left.locator(".hit").first.evaluate("e => e === document.activeElement")
    page.locator("#beside").uncheck()
    assert page.locator(".column:visible").count() == 1


def test_the_mode_of_each_column_is_switched_by_arrows(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&beside=centered")
    _, right = two_columns(page)
    right.locator("input[value=centered]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**beside=balanced**")
    assert right.locator("input[value=balanced]").is_checked()
    page.locator("#status", has_text="question in").wait_for()
    assert {wish["mode"] for wish in service.asked[-2:]} == {"plain", "balanced"}


def test_folded_hits_name_the_languages_they_are_in(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}&mode=centered")
    page.locator("#fold").check()
    hit = page.locator(".hit", has_text="Also in").first
    hit.wait_for()
    assert "Hebrew" in hit.locator(".others").inner_text()
    assert page.locator("h3", has_text="26").count() == 1


def test_the_reader_is_asked_for_only_where_a_column_ranks_for_one(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    assert not page.locator("#reader").is_visible()
    page.locator(".column:visible input[value=reader]").check()
    page.locator("#status", has_text="question in").wait_for()
    assert service.asked[-1]["reader"] == ["en"]
    page.locator("#add-reader").select_option("fi")
    page.get_by_role("button", name="Remove English").click()
    page.locator("#weight").fill("0.2")
    page.wait_for_url("**reader=fi&weight=0.2**")
    page.locator(".hit[lang=fi]").first.wait_for()
    page.wait_for_function("document.body.classList.contains('busy') === false")
    assert service.asked[-1]["reader"] == ["fi"]
    assert service.asked[-1]["weight"] == 0.2
    assert page.locator(".hit").first.get_attribute("lang") == "fi"


def test_the_address_carries_question_and_options(visit: Visit, service: Search) -> None:
    page = visit(
        f"?q={QUESTION}&mode=centered&beside=reader&languages=de,ar&reader=ar&weight=0.1&fold=1&k=5&language=de"
    )
    plain = {"question": QUESTION, "k": 5, "language": "de", "languages": ["de", "ar"], "fold": True, "weight": 0.1}
    first, second = sorted(service.asked, key=lambda wish: wish["mode"])
    assert first == {**plain, "mode": "centered", "reader": [], "highlight": True}
    assert second == {**plain, "mode": "reader", "reader": ["ar"], "highlight": True}
    assert QUESTION in page.title()

    page.locator("#question").fill("life & liberty?")
    page.keyboard.press("Enter")
    page.wait_for_url("**life*")
    shared = page.url.partition("/?")[2]
    asked = len(service.asked)
    page.go_back()
    page.wait_for_function(f"document.getElementById('question').value === '{QUESTION}'")
    again = visit(f"?{shared}")
    assert again.locator("#question").input_value() == "life & liberty?"
    assert again.locator("#fold").is_checked()
    assert all(wish["question"] in {"life & liberty?", QUESTION} for wish in service.asked[asked:])


def test_an_address_that_means_harm_asks_for_nothing_odd(visit: Visit, service: Search) -> None:
    page = visit("?q=<img src=x onerror=window.hit=1>&mode=__proto__&beside=nothing&languages=xx,../&k=1e9&weight=NaN")
    wish = service.asked[-1]
    assert (wish["mode"], wish["languages"], wish["k"], wish["weight"]) == ("plain", [], 1000, 0.05)
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
        assert (score["x"] > middle) == (direction == "ltr")
        assert (hit.locator("h3").evaluate(WORDS_RIGHT) > middle) == (direction == "rtl")
        assert hit.locator(".score").evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_no_text_of_a_document_runs_or_becomes_an_element(visit: Visit) -> None:
    from page_documents import HARM, IMAGE, SCRIPT

    page = visit("?q=rights&languages=en&k=50&beside=balanced")
    left, _ = two_columns(page)
    for button in left.locator(".score").all():
        button.click()
    texts = left.locator(".text").all_inner_texts()
    assert any(SCRIPT in text and IMAGE in text and "&lt;b&gt;" in text for text in texts)
    assert left.locator("h3", has_text=SCRIPT).count() == 1
    assert left.locator("dt", has_text=SCRIPT).count() == len(HARM)
    assert page.locator("main :is(img, svg, script, a, iframe)").count() == 0


@pytest.mark.parametrize(
    "query", ["", f"?q={QUESTION}", f"?q={QUESTION}&beside=reader&fold=1", "?q=rights&languages=en&k=50"]
)
def test_the_page_fits_every_width(visit: Visit, query: str) -> None:
    page = visit(query)
    for width in (320, 360, 768, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def test_many_languages_are_folded_away_on_a_phone(visit: Visit) -> None:
    page = visit(width=360)
    assert page.locator("#chips button:visible").count() == 4
    page.locator("#all").click()
    assert page.locator("#chips button:visible").count() == 11
    page.locator("#all").click()
    assert page.locator("#chips button:visible").count() == 4


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
@pytest.mark.parametrize(
    "query",
    ["", "?q=rights&mode=centered", f"?q={QUESTION}&beside=reader&reader=ar,fi&languages=ar,en,th&fold=1", "error"],
)
def test_the_page_keeps_to_wcag_aa(
    visit: Visit, service: Search, axe: str, query: str, width: int, scheme: str
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
    assert faults(page, axe) == []


def test_a_full_queue_is_told_and_tried_again(visit: Visit, service: Search) -> None:
    page = visit()
    service.fails = (429, "busy")
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    alert.get_by_text("Too many questions at once.").wait_for()
    assert "3 s" in alert.inner_text()
    service.fails = None
    alert.get_by_role("button").click()
    page.locator(".hit").first.wait_for()
    assert alert.inner_text() == ""


def test_an_error_is_told_with_its_cure(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    service.fails = (413, "The question is too long.")
    page.locator(".go").click()
    page.get_by_text("The question is too long.").wait_for()
    assert "Ask less." in page.get_by_role("alert").inner_text()
    assert page.locator(".hit").count() == 0


def test_being_offline_is_told(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}")
    page.context.set_offline(True)
    page.locator(".go").click()
    page.get_by_text("This device is offline.").wait_for()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    page.locator(".hit").first.wait_for()


def test_a_key_is_asked_for_where_the_service_wants_one(visit: Visit, service: Search) -> None:
    service.key = "secret"
    page = visit()
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.get_by_label("Key", exact=True).fill("secret")
    page.keyboard.press("Enter")
    page.locator(".hit").first.wait_for()
    assert "secret" not in page.url


def test_waiting_shows_and_only_the_last_question_counts(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    service.wait = 0.5
    page.locator("#question").fill("nothing")
    page.keyboard.press("Enter")
    page.locator("#columns[aria-busy=true]").wait_for()
    assert "Searching" in page.get_by_role("status").inner_text()
    page.locator("#question").fill("life and liberty")
    page.keyboard.press("Enter")
    page.locator("#columns[aria-busy=false]").wait_for()
    assert page.locator(".hit").count() == 10
    service.wait = 0
    page.locator("#question").fill("nothing")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="Nothing found").wait_for()
    assert page.locator(".hit").count() == 0
