"""Count the files and lines of the source tree, and the files that a reader opens to follow a training or a search.

    python benchmarks/structure.py                          # a table, and the lists behind its rows
    python benchmarks/structure.py --json structure.json
    python benchmarks/structure.py --root OTHER/CHECKOUT    # count another checkout without running anything

An *own file entered* is a file of panglot with at least one function that is called, in any thread, before the training
or the search returns. The bodies of modules and classes do not count, nor do functions that they call during import.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import panglot
from _common import ROOT, add_hidden, answer, child, make_parser, record, table
from _source_tree import cycles, importers, modules, private_imports

SENTENCES = {
    "en": ("Where does the {} live?", "The {} lives in the forest."),
    "de": ("Wo lebt das Tier {}?", "Das Tier {} lebt im Wald."),
    "es": ("¿Dónde vive el {}?", "El {} vive en el bosque."),
}
_PROSE = ("docs", "benchmarks", "examples")
ANIMALS = ("wolf", "bear", "fox", "owl", "lynx", "deer", "boar", "hare")


class Entered:
    """Record the files of panglot whose functions are called while :meth:`on` is open."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._package = str(Path(panglot.__file__).parent) + "/"
        self._open = False
        # The profiler sees only threads that start after this call.
        threading.setprofile(self._called)
        sys.setprofile(self._called)

    @contextmanager
    def on(self) -> Generator[None]:
        """Record until the block ends."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def _called(self, frame: FrameType, event: str, _value: object) -> None:
        code = frame.f_code
        if not self._open or event != "call" or code.co_filename in self.files:
            return
        function = code.co_flags & inspect.CO_OPTIMIZED  # the bodies of modules and classes lack this flag
        if function and code.co_filename.startswith(self._package) and not self._imported(frame):
            self.files.add(code.co_filename)

    def _imported(self, frame: FrameType) -> bool:
        up = frame.f_back
        while up is not None:
            if up.f_code.co_name == "<module>" and up.f_code.co_filename.startswith(self._package):
                return True
            up = up.f_back
        return False

    def names(self) -> list[str]:
        """Return the files, relative to the package."""
        return sorted(path.removeprefix(self._package) for path in self.files)


def entered_by_training(folder: Path) -> list[str]:
    """Return the files entered by a training of two steps on JSON lines."""
    entered = Entered()
    path = folder / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for group, animal in enumerate(ANIMALS):
            for language, (question, passage) in SENTENCES.items():
                row = {"group": str(group), "language": language}
                row |= {"question": question.format(animal), "passage": passage.format(animal)}
                file.write(json.dumps(row) + "\n")
    with entered.on():
        panglot.train("bundled", on=path, output=folder / "run", steps=2, batch_size=4)
    return entered.names()


def entered_by_search(folder: Path) -> list[str]:
    """Return the files entered by one search over HTTP, from request to response, after the server has started."""
    entered = Entered()
    import httpx

    from panglot.service.app import create_app

    documents = [
        {"id": f"{language}-{group}", "text": passage.format(animal), "language": language, "group": str(group)}
        for group, animal in enumerate(ANIMALS)
        for language, (_, passage) in SENTENCES.items()
    ]
    index = panglot.Index.build(documents, folder / "index")
    app = create_app(index)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            schema = (await client.get("/openapi.json")).text
            body = {"query" if '"query":{' in schema else "question": "Where does the wolf live?", "k": 3}
            with entered.on():
                response = await client.post("/search", json=body)
            response.raise_for_status()

    asyncio.run(ask())
    index.close()
    return entered.names()


def prose(root: Path) -> dict[str, tuple[int, int]]:
    """Return the numbers of semicolons and words of each document, without code."""
    found: dict[str, tuple[int, int]] = {}
    for path in (*sorted(root.glob("*.md")), *sorted(each for name in _PROSE for each in (root / name).rglob("*.md"))):
        text = re.sub(r"^(```|~~~).*?^\1", " ", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"`[^`]*`|&#?\w+;|\]\([^)]*\)|<[^>]*>", " ", text)
        found[str(path.relative_to(root))] = text.count(";"), len(re.findall(r"\w[\w'’.,-]*", text))
    return found


def counts(root: Path) -> dict[str, Any]:
    """Return the counts that need no run."""
    known = modules(root / "src")
    lines = {name: module.lines for name, module in known.items()}
    total = sum(lines.values())
    users = importers(known)
    words = prose(root)
    test_lines = sum(path.read_text("utf-8").count("\n") for path in (root / "tests").rglob("*.py"))
    return {
        "source_files": len(known),
        "source_lines": total,
        "private_imports": private_imports(known),
        "cycles_loading": cycles(known),
        "cycles_calling": cycles(known, kinds=("load", "call")),
        "cycles_typing": cycles(known, kinds=("load", "call", "check")),
        "semicolons_per_1000_words": round(
            1000 * sum(many for many, _ in words.values()) / sum(of for _, of in words.values()), 2
        ),
        "semicolons": {name: many for name, (many, _) in words.items() if many},
        "comments_per_100_lines": round(100 * sum(module.comments for module in known.values()) / total, 2),
        "test_lines_per_source_line": round(test_lines / total, 3),
        "small_with_one_importer": sorted(
            f"{name} ({lines[name]}) ← {next(iter(users[name]))}"
            for name, module in known.items()
            if module.path.name != "__init__.py" and len(users[name]) == 1 and lines[name] < 60
        ),
        "longest_files": sorted(((lines[name], name) for name in known), reverse=True)[:5],
        "largest_folders": sorted(
            (
                (sum(other.path.parent == folder for other in known.values()), str(folder.relative_to(root)))
                for folder in {module.path.parent for module in known.values()}
            ),
            reverse=True,
        )[:5],
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to count")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--static", action="store_true", help="count without running a training and a search")
    parser.add_argument("--quiet", action="store_true", help="print the table without the lists behind it")
    add_hidden(parser, enter=str)
    options = parser.parse_args()
    if options.enter:
        # Decontamination would read the test sets of this machine, and enter more files with more sets.
        os.environ.pop("PANGLOT_DATA", None)
        with tempfile.TemporaryDirectory() as folder:
            run = entered_by_training if options.enter == "training" else entered_by_search
            answer(options.answer, {"files": run(Path(folder))})
        return
    found = counts(options.root)
    if not options.static and options.root == ROOT:
        for what in ("training", "search"):
            found[f"entered_by_{what}"] = child(enter=what)["files"]
    print(format_counts(found))
    if not options.quiet:
        for name, value in found.items():
            if isinstance(value, list | dict):
                print(f"\n{name}:", *(f"  {line}" for line in _lines(value)), sep="\n")
    record(options.json, **found)


def format_counts(found: dict[str, Any]) -> str:
    """Return the table of counts."""
    rows = [
        ("source files", found["source_files"]),
        ("source lines", found["source_lines"]),
        ("own files entered: training on JSON lines, two steps", len(found.get("entered_by_training", ())) or "–"),
        ("own files entered: one search over HTTP", len(found.get("entered_by_search", ())) or "–"),
        ("cross-stage private imports", len(found["private_imports"])),
        ("import cycles at loading", len(found["cycles_loading"])),
        ("import cycles, with imports inside functions", len(found["cycles_calling"])),
        ("import cycles, with imports for types too", len(found["cycles_typing"])),
        ("semicolons per 1,000 words of docs", found["semicolons_per_1000_words"]),
        ("comments per 100 lines", found["comments_per_100_lines"]),
        ("test lines per source line", found["test_lines_per_source_line"]),
        ("modules under 60 lines with one importer", len(found["small_with_one_importer"])),
    ]
    return table(
        ("figure", "value"), [(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in rows]
    )


def _lines(value: list[Any] | dict[str, Any]) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {each}" for name, each in value.items()]
    return [each if isinstance(each, str) else " ".join(map(str, each)) for each in value]


if __name__ == "__main__":
    main()
