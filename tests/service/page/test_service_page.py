"""The search page over real HTTP: asked by keyboard and by hand, it shows what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from page_server import Search

Visit = Callable[..., Any]

QUESTION = "right to education"


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')")


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
    assert service.asked[-1]["query"] == f"{QUESTION}/"
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
    # A score would look like a regression beside that of another ranking.
    assert "0." not in header
    hit.locator(".score").click()
    assert "score" in hit.locator(".why").inner_text()
    assert hit.locator("mark").inner_text() == "Jeder hat das Recht auf Bildung."
    assert hit.get_attribute("lang") == "de"


def test_highlights_count_code_points(visit: Visit) -> None:
    page = visit("?q=family&languages=en&k=20")
    text = page.locator("#columns .hit", has_text="𠮷野家").first.locator(".text")
    assert text.locator("mark").inner_text() == "Then 👍🏽 rights in the second sentence."
    assert text.inner_text() == "𠮷野家 👩‍👩‍👧‍👦 comes first. Then 👍🏽 rights in the second sentence. And 🏳️‍🌈 last."


def test_a_late_sentence_is_in_sight_and_the_whole_passage_one_press_away(visit: Visit) -> None:
    page = visit("?q=rights&languages=en&k=20&mode=plain")
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
    # The ranking before had hits in German too.
    page.locator(".hit:not([lang=de])").first.wait_for(state="detached")
    assert page.locator(".hit[lang=de]").count()
    assert service.asked[-1]["languages"] == ["de"]
    assert page.evaluate("document.activeElement.textContent").startswith("German")
    assert chip.get_attribute("aria-pressed") == "true"
    page.locator("#clear").click()
    page.locator(".hit:not([lang=de])").first.wait_for()
    assert service.asked[-1]["languages"] == []


def test_side_by_side_shows_the_bias_go(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&mode=plain")
    assert page.locator(".column:visible").count() == 1
    page.locator("#beside").check()
    left, right = two_columns(page)
    assert sorted(wish["mode"] for wish in service.asked[-2:]) == ["balanced", "plain"]
    assert "mode" not in page.url  # Two columns are the default.
    right.locator("input[value=centered]").check()
    page.wait_for_url("**beside=centered**")
    page.locator("#columns[aria-busy=false]").wait_for()
    assert left.locator(".hit[lang=en]").count() > right.locator(".hit[lang=en]").count()

    own = ".bar.hits [data-colour='0']"
    width = "e => e.getBoundingClientRect().width / e.parentElement.getBoundingClientRect().width"
    pool = left.locator(".bar.pool [data-colour='0']").evaluate(width)
    answers = [service.answer(wish) for wish in sorted(service.asked[-2:], key=lambda wish: wish["mode"])]
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
    page.wait_for_url(lambda url: "beside" not in url)
    assert right.locator("input[value=balanced]").is_checked()
    page.locator("#status", has_text="question in").wait_for()
    assert {wish["mode"] for wish in service.asked[-2:]} == {"plain", "balanced"}


def test_the_versions_of_a_result_are_links_that_show_them(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}&mode=centered")
    page.locator("#collapse").check()
    hit = page.locator(".hit", has_text="Versions").first
    hit.wait_for()
    assert page.locator("h3", has_text="26").count() == 1
    ranked = hit.locator("[aria-current]").inner_text()
    link = hit.get_by_role("link", name="Hebrew")
    assert link.get_attribute("href") == "?document=26-he&mode=centered&collapse=1"
    link.click()
    hit.and_(page.locator("[lang=he]")).wait_for()
    assert hit.get_attribute("dir") == "rtl"
    assert "לחינוך" in hit.locator(".text").inner_text()
    assert hit.locator("[aria-current]").inner_text() == "Hebrew"
    assert hit.locator("h3 a").get_attribute("href") == "https://example.org/26-he"
    assert hit.get_attribute("aria-label").split(":")[0].endswith("Hebrew")
    # What is said of the document is of this version, which has no score of its own.
    hit.get_by_role("button", name="Why").click()
    assert hit.locator(".why a").inner_text() == "26-he"
    assert "score" not in hit.locator(".why").inner_text()
    hit.get_by_role("link", name=ranked).click()
    hit.locator(".why", has_text="score").wait_for()
    link.click()
    hit.and_(page.locator("[lang=he]")).wait_for()
    alone = visit("?document=26-he")
    alone.locator(".hit.open[lang=he]").wait_for()
    assert alone.locator(".hit").count() == 1
    assert not alone.locator("#tabs, #examples, .modes").filter(visible=True).count()


def _until(page: Any, happened: Callable[[], bool]) -> None:
    # Playwright's wait_for_function polls by eval, which the page's policy forbids.
    for _ in range(1_000):
        if happened():
            break
        page.wait_for_timeout(10)


def test_the_reader_is_asked_for_only_where_a_column_ranks_for_one(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&mode=plain")
    assert not page.locator("#preferred").is_visible()
    page.locator(".column:visible input[value=preferred]").check()
    page.locator("#status", has_text="question in").wait_for()
    assert service.asked[-1]["preferred_languages"] == ["en"]
    page.locator("#add-preferred").select_option("fi")
    page.get_by_role("button", name="Remove English").click()
    page.locator("#boost").fill("0.2")
    page.wait_for_url("**preferred=fi&boost=0.2**")
    _until(page, lambda: service.asked[-1]["boost"] == 0.2)  # The address changes before the service is asked.
    assert service.asked[-1]["preferred_languages"] == ["fi"]
    assert service.asked[-1]["boost"] == 0.2
    page.locator("body:not(.busy) .hit").first.and_(page.locator("[lang=fi]")).wait_for()


def test_bounds_and_defaults_are_those_of_the_service(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&mode=preferred&preferred=ar&boost=9&k=-3")
    assert (service.asked[-1]["boost"], service.asked[-1]["k"]) == (1.5, 1)
    assert page.locator("#boost").input_value() == "1.5"
    page.locator("#boost").fill("0.06")
    page.locator("#k").select_option("10")
    _until(page, lambda: service.asked[-1]["k"] == 10)
    # What is the default is not in the address.
    assert "boost" not in page.url
    assert "k=" not in page.url


def test_the_address_carries_question_and_options(visit: Visit, service: Search) -> None:
    page = visit(
        f"?q={QUESTION}&mode=centered&beside=preferred&languages=de,ar&preferred=ar&boost=0.1&collapse=1&k=5&language=de"
    )
    plain = {"query": QUESTION, "k": 5, "language": "de", "languages": ["de", "ar"], "collapse": True, "boost": 0.1}
    first, second = sorted(service.asked, key=lambda wish: wish["mode"])
    assert first == {**plain, "mode": "centered", "preferred_languages": [], "highlight": True}
    assert second == {**plain, "mode": "preferred", "preferred_languages": ["ar"], "highlight": True}
    assert QUESTION in page.title()

    page.locator("#question").fill("life & liberty?")
    page.keyboard.press("Enter")
    page.wait_for_url("**life*")
    shared = page.url.partition("/?")[2]
    asked = len(service.asked)
    page.go_back()
    _until(page, lambda: page.locator("#question").input_value() == QUESTION)
    again = visit(f"?{shared}")
    assert again.locator("#question").input_value() == "life & liberty?"
    assert again.locator("#collapse").is_checked()
    assert all(wish["query"] in {"life & liberty?", QUESTION} for wish in service.asked[asked:])


def test_what_an_address_names_in_vain_is_told(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&languages=de,xx&beside=fair")
    assert page.get_by_role("status").inner_text().endswith("Not in this index and ignored: xx, fair")
    assert service.asked[-1]["languages"] == ["de"]
    page.locator("#collapse").check()
    page.locator("#status", has_not_text="ignored").wait_for()
    assert "xx" not in page.url


def test_a_language_keeps_its_colour_from_question_to_question(visit: Visit) -> None:
    def colours() -> dict[str, str]:
        swatch = "e.querySelector('.swatch').dataset.colour"
        return dict(page.locator(".hit").evaluate_all(f"all => all.map(e => [e.lang, {swatch}])"))

    page = visit(f"?q={QUESTION}&k=20")
    before = colours()
    page.locator("#question").fill("право на жизнь и свободу")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="question in Russian").wait_for()
    after = colours()
    assert after["ru"] == "0"
    kept = [code for code in before if code not in ("en", "ru") and "7" not in (before[code], after.get(code, "7"))]
    assert len(kept) > 1
    assert all(before[code] == after[code] for code in kept)


def test_a_full_queue_is_told_and_tried_again(visit: Visit, service: Search) -> None:
    page = visit()
    service.fails = (429, "busy")
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    alert.get_by_text("There are too many requests.").wait_for()
    assert "3 s" in alert.inner_text()
    service.fails = None
    alert.get_by_role("button").click()
    page.locator(".hit").first.wait_for()
    assert alert.inner_text() == ""


def test_an_error_is_shown_with_its_hint(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}")
    service.fails = (413, "The question is too long.")
    page.locator(".go").click()
    page.get_by_text("The question is too long.").wait_for()
    assert "Ask less." in page.get_by_role("alert").inner_text()
    assert page.locator(".hit").count() == 0


def test_being_offline_is_shown(visit: Visit) -> None:
    page = visit(f"?q={QUESTION}")
    page.context.set_offline(True)
    page.locator(".go").click()
    page.get_by_text("This device is offline.").wait_for()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    page.locator(".hit").first.wait_for()


@pytest.mark.parametrize("wrong", ["secreT", "ключ"])  # the second cannot be sent in a header
def test_a_key_is_asked_for_where_the_service_wants_one(visit: Visit, service: Search, wrong: str) -> None:
    service.key = "secret"
    page = visit()
    page.get_by_text("The service requires a key.").wait_for()
    page.keyboard.type(wrong)
    page.keyboard.press("Enter")
    page.get_by_text("The service does not accept this key.").wait_for()
    page.keyboard.type("secret")
    page.keyboard.press("Enter")
    page.locator("#chips button").first.wait_for()
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".hit").first.wait_for()
    assert "secret" not in page.url


def test_a_reader_without_languages_ranks_as_plain(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&mode=plain&beside=preferred")
    assert {wish["mode"]: wish["preferred_languages"] for wish in service.asked[-2:]} == {
        "plain": [],
        "preferred": ["en"],
    }
    page.locator("#read button").click()
    page.locator("#columns[aria-busy=false]").wait_for()
    until_asked = [wish["mode"] for wish in service.asked[-2:]]
    assert until_asked == ["plain", "plain"]
    assert page.get_by_role("alert").inner_text() == ""
    assert page.locator(".hit").count() > 0


def test_what_is_typed_before_the_service_answers_is_asked(browser: Any, address: str, service: Search) -> None:
    service.wait = 1.0
    page = browser.new_page()
    page.goto(address, wait_until="commit")
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".hit").first.wait_for()
    assert page.locator("#question").input_value() == QUESTION
    page.goto(address, wait_until="commit")
    page.locator("#question").fill("rights and ")
    page.locator("#chips button").first.wait_for()
    assert page.locator("#question").input_value() == "rights and "
    assert page.locator(".hit").count() == 0
    page.close()


def test_waiting_shows_and_only_the_last_question_counts(visit: Visit, service: Search) -> None:
    page = visit(f"?q={QUESTION}&mode=plain")
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
