"""Save the pictures of the documentation, taken from panglot's own pages in Chromium.

    panglot study report studies/languages.toml
    python benchmarks/pictures.py study runs/studies/languages/report.html docs/study

This writes one PNG per test set with the plots over all languages, and one with the legend.

    panglot reproduce --only help-bias --data-dir DATA
    python benchmarks/pictures.py search runs/reproduce/help-index "QUERY" docs/search-page.png

This writes the answers of the search page to a query, plain and balanced.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from _common import make_parser
from search_service import server


@contextmanager
def opened(width: int, height: int) -> Generator[Any]:
    """Open a tab of a browser window of a size."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": width, "height": height}, color_scheme="light", locale="en")
        browser.close()


def study(page: Path, folder: Path) -> None:
    """Write the pictures of a study's report."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(1200, 900) as tab:
        tab.goto(page.resolve().as_uri())
        tab.locator(".legend").first.screenshot(path=folder / "legend.png")
        for section in tab.locator("section:has(.plots)").all():
            name = re.sub(r"\W+", "-", section.locator("h2").inner_text()).strip("-")
            section.locator(".plots").first.screenshot(path=folder / f"{name}.png")


def search(index: Path, query: str, file: Path) -> None:
    """Write the picture of the search page with the answers to a query."""
    command = ["-m", "panglot.cli.main", "serve", str(index.resolve()), "--port", "0"]
    with server(command, None) as (address, _), opened(1280, 860) as tab:
        tab.goto(f"{address}/?q={quote(query)}&mode=plain&beside=balanced")
        tab.locator("body:not(.busy) .hit").first.wait_for()
        tab.screenshot(path=file)


if __name__ == "__main__":
    parser = make_parser(__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_study = kinds.add_parser("study")
    of_study.add_argument("page", type=Path, help="the report of a study")
    of_study.add_argument("folder", type=Path, help="folder to write the pictures to")
    of_search = kinds.add_parser("search")
    of_search.add_argument("index", type=Path, help="what `panglot index` wrote")
    of_search.add_argument("query")
    of_search.add_argument("file", type=Path, help="picture to write")
    options = parser.parse_args()
    if options.kind == "study":
        study(options.page, options.folder)
    else:
        search(options.index, options.query, options.file)
