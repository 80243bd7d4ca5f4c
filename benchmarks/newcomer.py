"""Measure the way of a new user: from nothing to a served search that ranks all languages side by side.

    python benchmarks/newcomer.py --data-dir DATA

It writes a folder of 600 pages, 100 of LibreOffice's help in six languages, half of them as Markdown and half as HTML.
Then it runs the commands of the README: a new environment with ``pip``, ``panglot diagnose``, and ``panglot serve``
until the first answer, with an empty cache. Seconds are those of a wall clock, beside those of the processor.
"""

from __future__ import annotations

import html
import json
import os
import shlex
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from _common import ROOT, figures_table, make_parser, record
from first_answer import QUERY, run
from panglot.datasets.registry import read

LANGUAGES = ("de", "en", "es", "ja", "ru", "vi")


def write_pages(folder: Path, pages: int, data_dir: Path) -> int:
    """Write pages that exist in all languages, drawn with seed 0, and return the number of files."""
    collection = read("libreoffice-help", data_dir=data_dir)
    titles = dict(zip(*(collection.questions[name].to_pylist() for name in ("id", "text")), strict=True))
    found: defaultdict[str, defaultdict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in collection.passages.select(["id", "text", "language"]).to_pylist():
        if row["language"] in LANGUAGES:
            page = row["id"].partition(":")[2].partition("#")[0]
            found[page][row["language"]].append((titles.get(row["id"], ""), row["text"]))
    whole = sorted(page for page, versions in found.items() if len(versions) == len(LANGUAGES))
    drawn = np.random.default_rng(0).permutation(len(whole))[:pages]
    for number, page in enumerate(whole[row] for row in sorted(drawn.tolist())):
        for language, sections in found[page].items():
            path = folder / language / page
            path.parent.mkdir(parents=True, exist_ok=True)
            if number % 2:
                body = "".join(f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>" for title, text in sections)
                text = f'<!doctype html><html lang="{language}"><meta charset="utf-8"><body>{body}</body></html>'
                path.with_suffix(".html").write_text(text, "utf-8")
            else:
                parts = (f"## {title}\n\n{text}\n" for title, text in sections)
                path.with_suffix(".md").write_text("\n".join(parts), "utf-8")
    return sum(path.is_file() for path in folder.rglob("*"))


def main() -> None:
    """Run the commands, and print and write the figures."""
    parser = make_parser(__doc__, data_dir=True, results="newcomer.json")
    parser.add_argument("--pages", type=int, default=100, help="pages per language")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_pages(folder / "docs", options.pages, options.data_dir)
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PANGLOT_DATA")}
        variables = {**kept, "PANGLOT_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "ignore"}
        python, panglot = folder / "venv" / "bin" / "python", folder / "venv" / "bin" / "panglot"
        constraints = ["-c", str(ROOT / "constraints.txt"), f"{ROOT}[serve,pdf]"]
        commands = {
            "python -m venv": [sys.executable, "-m", "venv", str(folder / "venv")],
            "pip install": [str(python), "-m", "pip", "install", "-q", *constraints],
            "panglot diagnose docs": [str(panglot), "diagnose", "docs"],
            "panglot search": [str(panglot), "search", "docs-diagnosis/index", QUERY, "--mode", "balanced"],
            "panglot serve": [str(panglot), "serve", "docs-diagnosis/index", "--mode", "balanced", "--port", "0"],
        }
        figures: dict[str, Any] = {}
        for key, command in commands.items():
            print("$", shlex.join(command), flush=True)
            figures[key] = run(command, variables, serves=key == "panglot serve", folder=folder)
        passages = json.loads((folder / "docs-diagnosis" / "index" / "index.json").read_text("utf-8"))["documents"]
    print(figures_table("command", {"s": "{seconds:.1f}", "processor s": "{processor_seconds:.1f}"}, figures))
    record(options.json, None, files=files, passages=passages, commands=figures)


if __name__ == "__main__":
    main()
