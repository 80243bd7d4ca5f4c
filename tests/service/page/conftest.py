"""Chromium before the search page and a small service."""

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
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Open the page. At the end, no script may have run, no error appeared, and no other host been contacted."""
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
        page.locator("#chips button, .error").first.wait_for()
        if "q=" in query:
            page.locator("#status", has_text="question in").wait_for()
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hit") is None
        context.close()
    # The browser itself logs a status other than 200.
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
