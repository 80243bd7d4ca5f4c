"""The page of the routes, served below a path and with keys, on top of a real index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

KEY = "a-key-of-24-characters-1"

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from page_server import serving

    from panglot.search.document import Document
    from panglot.search.index import Index
    from panglot.service.app import create_app
    from panglot.service.middleware import Access, Key

    folder = tmp_path_factory.mktemp("docs") / "index"
    documents = [
        Document("print/1", "Click Print to print the sheet.", language="en"),
        Document("save", "<img src=x onerror=window.hit=1> Speichern.", language="de"),
    ]
    Index.build(documents, folder, model="bundled").close()
    index = Index.open(folder)
    access = Access((Key(KEY),), writable=True, write_keys=(Key(f"{KEY}-w"),))
    with serving(create_app({"help": index}, access=access)) as found:
        yield found
    index.close()


@pytest.fixture
def visit(new_page: Callable[..., Any], address: str) -> Visit:
    """Open the page with a key."""

    def opened(route: str = "", width: int = 1280, key: str = f"{KEY}-w", **settings: Any) -> Any:
        page = new_page(width, **settings)
        page.goto(f"{address}indexes/help/docs{route}")
        page.locator("#status", has_text="a key is required").wait_for()
        page.locator("#key").fill(key)
        page.keyboard.press("Enter")
        page.locator(".route").first.wait_for()
        return page

    return opened


def opened_route(page: Any, name: str) -> Any:
    """Open a route by keyboard, and return its section."""
    section = page.locator(".route", has=page.locator("summary code", has_text=name)).first
    section.locator("summary").first.focus()
    page.keyboard.press("Enter")
    return section


def answer(section: Any, status: str = "200") -> str:
    section.locator(".go").click()
    section.locator("[aria-label=Answer][aria-busy=false]").wait_for()
    assert section.locator("[role=status]").inner_text().startswith(status)
    return section.locator("[aria-label=Answer]").inner_text()


def test_each_route_is_tried_with_its_example(visit: Visit) -> None:
    page = visit()
    names = page.locator(".route summary code").all_inner_texts()
    assert names[:3] == ["GET /search", "POST /search", "POST /search/batch"]
    assert page.locator("#status").inner_text() == "22 routes"
    search = opened_route(page, "POST /search")
    assert len(json.loads(answer(search))["hits"]) == 2
    search.locator("select").select_option(index=1)
    assert json.loads(answer(search, "200 OK"))["mode"] == "balanced"
    search.locator("textarea").fill('{"query": "print", "k": 0}')
    assert json.loads(answer(search, "400"))["error"]["param"] == "k"
    # The fields are explained.
    search.locator("summary", has_text="Fields").click()
    assert "integer, 1 to 1000, by default 10" in search.locator("dl").inner_text()


def test_parameters_are_part_of_the_address(visit: Visit) -> None:
    page = visit()
    search = opened_route(page, "GET /search")
    search.get_by_label("query (required)").fill("a & b")
    search.get_by_label("languages", exact=True).fill("de")
    assert [hit["language"] for hit in json.loads(answer(search))["hits"]] == ["de"]
    document = opened_route(page, "GET /documents/{id}")
    document.get_by_label("id (required)").fill("print/1")
    assert json.loads(answer(document))["text"].startswith("Click Print")


def test_the_copied_command_does_the_same(visit: Visit) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    write = opened_route(page, "PUT /documents")
    write.locator("textarea").fill(json.dumps({"documents": [{"id": "quote", "text": 'It\'s "here" $HOME.'}]}))
    write.get_by_text("Copy as curl").click()
    write.locator("[role=status]", has_text="Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == write.locator("[aria-label=Command]").inner_text()
    assert KEY not in command
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    done = subprocess.run(
        ["sh", "-c", command], env={**os.environ, "PANGLOT_KEY": f"{KEY}-w"}, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["written"] == 1
    document = opened_route(page, "GET /documents/{id}")
    document.get_by_label("id (required)").fill("quote")
    assert json.loads(answer(document))["text"] == 'It\'s "here" $HOME.'


def test_a_key_that_may_not_write_is_told_so_and_an_address_opens_its_route(visit: Visit) -> None:
    page = visit("#stream_documents_stream_post", key=KEY)
    section = page.locator(".route[open]")
    assert "POST /documents/stream" in section.locator("summary").first.inner_text()
    assert json.loads(answer(section, "403"))["error"]["code"] == "write_key"


def test_the_indexes_are_linked_from_their_root(visit: Visit, address: str) -> None:
    page = visit()
    page.goto(f"{address}docs")
    page.locator("#places a", has_text="help").click()
    page.locator("#places a", has_text="Search page").click()
    page.locator("#question").wait_for()
    page.get_by_role("link", name="API").click()
    page.wait_for_url(f"{address}indexes/help/docs")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_the_routes_keeps_to_wcag_aa_and_fits(
    visit: Visit, faults: Callable[[Any], list[str]], width: int, scheme: str
) -> None:
    page = visit(width=width, color_scheme=scheme)
    for name in ("POST /search", "GET /search"):
        section = opened_route(page, name)
        section.locator("summary", has_text="Fields").click()
        answer(section)
    assert faults(page) == []
    for size in (320, 360, 768, 1280):
        page.set_viewport_size({"width": size, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= size, size
