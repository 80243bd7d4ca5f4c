"""Chromium before the search page and a small service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

if TYPE_CHECKING:
    from page_server import Search

Visit = Callable[..., Any]


@pytest.fixture
def service() -> Search:
    from page_server import Search

    return Search()


@pytest.fixture
def address(service: Search) -> Iterator[str]:
    from page_server import serving

    with serving(service) as found:
        yield found


@pytest.fixture
def new_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Return a new page. At the end, no script may have run, no error appeared, and no other host been contacted."""
    contexts: list[Any] = []
    heard: list[str] = []

    def opened(width: int, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(address) else heard.append(request.url))
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hit") is None
        context.close()
    # The browser itself logs a status other than 200.
    assert [text for text in heard if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def visit(new_page: Callable[..., Any], address: str) -> Visit:
    """Open the page."""

    def opened(query: str = "", width: int = 1280, locale: str = "en-US", **settings: Any) -> Any:
        page = new_page(width, locale=locale, **settings)
        page.goto(address + query)
        page.locator("#chips button, .error").first.wait_for(state="attached")
        if "q=" in query:
            page.locator("#columns[aria-busy=false] .hit").first.wait_for(state="attached")
        return page

    return opened
