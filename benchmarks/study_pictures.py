"""Save pictures of a study's curves for the documentation, taken from its report page in Chromium.

    panglot study report studies/languages.toml
    python benchmarks/study_pictures.py runs/studies/languages/report.html docs/study

This writes one PNG per test set with the plots over all languages, and one with the legend.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from _common import make_parser


def main(page: Path, folder: Path) -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.locator(".legend").first.screenshot(path=folder / "legend.png")
        for section in tab.locator("section:has(.plots)").all():
            name = re.sub(r"\W+", "-", section.locator("h2").inner_text()).strip("-")
            section.locator(".plots").first.screenshot(path=folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("page", type=Path, help="the report of a study")
    parser.add_argument("folder", type=Path, help="folder to write the pictures to")
    options = parser.parse_args()
    main(options.page, options.folder)
