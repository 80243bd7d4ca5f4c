"""The search page speaks twelve languages, and every text is in each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

Visit = Callable[..., Any]

FOLDER = Path(str(files("panglot.service") / "page"))
TEXTS = {path.stem.removeprefix("texts-"): json.loads(path.read_text("utf-8")) for path in FOLDER.glob("texts-*.json")}
STARTER = {path.stem for path in Path(str(files("panglot.datasets") / "starter_texts")).glob("*.jsonl")}
NAMED = re.compile(r"\{\w+\}")


def test_the_page_speaks_the_languages_of_the_starter_collection() -> None:
    listed = re.search(r"INTERFACES = .*?\{(.*?)\}", (FOLDER / "words.js").read_text("utf-8"), re.DOTALL)
    assert listed
    assert set(re.findall(r"(\w+): \"", listed[1])) == set(TEXTS) >= STARTER


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_every_text_is_there_with_its_values(code: str) -> None:
    assert list(TEXTS[code]) == list(TEXTS["en"])
    for key, text in TEXTS[code].items():
        assert text.strip(), key
        assert sorted(NAMED.findall(text)) == sorted(NAMED.findall(TEXTS["en"][key])), key


def test_every_text_that_the_page_uses_is_there_and_no_other() -> None:
    scripts = "".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("*.js")))
    page = (FOLDER / "index.html").read_text("utf-8")
    used = set(re.findall(r"data-(?:text|label|placeholder)=\"(\w+)\"", page)) | set(re.findall(r"\"(\w+)\"", scripts))
    modes = {"plain", "centered", "balanced", "preferred"}
    terms = modes | {"cosine", "language", "dense", "lexical", "reranker"}
    assert set(TEXTS["en"]) <= used | modes | {f"{term}_about" for term in terms}
    asked = re.findall(r"\bsay\(\"(\w+)\"", scripts) + re.findall(r"data-(?:text|label|placeholder)=\"(\w+)\"", page)
    assert set(asked) <= set(TEXTS["en"])


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_the_page_is_in_the_browsers_language(visit: Visit, code: str) -> None:
    page = visit("?q=right to education", locale=code)
    assert page.evaluate("[document.documentElement.lang, document.dir]") == [code, "rtl" if code == "ar" else "ltr"]
    assert page.locator(".go").inner_text() == TEXTS[code]["search"]
    shown = page.locator("body").inner_text()
    assert TEXTS[code]["balanced_about"] in shown
    for word in ("undefined", "NaN", "{", "_about"):
        assert word not in shown
    if code != "en":
        for key, text in TEXTS["en"].items():
            assert text not in shown or text == TEXTS[code][key] or len(text) < 12, key


def test_another_language_is_chosen_and_stays_in_the_address(visit: Visit) -> None:
    page = visit("?q=right to education&mode=centered")
    page.locator("#ui").select_option("ar")
    page.wait_for_url("**ui=ar**")
    page.locator(".hit").first.wait_for()
    assert "mode=centered" in page.url
    assert page.evaluate("document.dir") == "rtl"
    name, box = page.locator("h1").bounding_box(), page.locator("#ui").bounding_box()
    assert name["x"] > box["x"]
    again = visit(f"?{page.url.partition('/?')[2]}")
    assert again.locator(".go").inner_text() == TEXTS["ar"]["search"]
    page.locator("#question").fill("life")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=life**ui=ar**")
    # What is not a language of the page is ignored.
    assert visit("?ui=__proto__").evaluate("document.documentElement.lang") == "en"
