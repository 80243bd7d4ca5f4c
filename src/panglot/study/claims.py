"""Tie every figure of a page of the documentation to the stored result or run it comes from, or declare what it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

from panglot._errors import PanglotError, located
from panglot._values import check_names, number, read_toml, strings
from panglot.study.reproduce import documented_runs
from panglot.study.stored import Source, Sources

#: The folder of a checkout that says where the figures of pages come from.
FOLDER = Path("benchmarks/figures")
#: What a figure may be that has neither, and how it is counted.
DECLARED = {
    "command": "measured once by the command beside them, with no stored result",
    "setting": "settings, versions and goals",
    "size": "sizes of sets",
    "published": "figures of others",
}
KINDS = {"computed": "computed by runs", "stored": "read from stored results", **DECLARED}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
#: Numbers in these are names or dates. They are blanked out, so that columns stay the same.
_NAMES = re.compile(
    "|".join((
        r"`[^`]*`",  # code
        r"\]\([^)]*\)",  # where a link leads
        rf"\b(?:{_MONTHS}) \d{{1,2}}(?:, \d{{4}})?\b",
        r"\b\d{4}\.\d{5}\b",  # a paper on arXiv
        r"(?:\bPython )?\b\d+\.\d+\.\d+\b|\bPython \d+\.\d+\b",  # a version
        r"\b\d\d:\d\d\b",  # a time of day
        r"^\s*\d+\. ",  # an item of a list
    ))
)  # fmt: skip
#: A number as these pages print it. A digit beside a letter belongs to a name, such as XLM-R or bf16.
_FIGURE = r"[-+−±]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:e-\d+)?"
NUMBER = re.compile(rf"(?<![\w.@,])(?<!\w-){_FIGURE}(?!\w)(?!-[a-z])(?!\.\d)")


@dataclass(frozen=True)
class PageFigure:
    """A number on a page, with its ``line`` (from 1), its columns ``start`` to ``end`` (from 0) and how it is printed.

    ``below`` says that it is a bound, such as .001 in "p < .001".
    """

    line: int
    start: int
    end: int
    printed: str
    below: bool = False

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed.replace("−", "-").replace(",", "").lstrip("±"))

    @property
    def step(self) -> float:
        """One unit of the last digit.

        >>> PageFigure(1, 0, 0, ".7996").step, PageFigure(1, 0, 0, "1,210").step, PageFigure(1, 0, 0, "2e-6").step
        (0.0001, 1.0, 1e-06)
        """
        digits, _, exponent = self.printed.partition("e")
        return float(f"1e{int(exponent or 0) - len(digits.partition('.')[2])}")

    def agrees(self, found: float) -> bool:
        """Return whether a value, rounded to the digits printed, is this number, or less than a bound.

        >>> PageFigure(1, 0, 0, ".80").agrees(0.7951), PageFigure(1, 0, 0, ".80").agrees(0.7949)
        (True, False)
        """
        if self.below:
            return found < self.value
        return abs(found - self.value) <= self.step * (0.5 + 1e-6)


class Page:
    """A page of Markdown: its lines, the lines of its sections by title, the rows of its tables and its figures.

    Code spans, links, dates, versions and blocks of code in a language have no figures. A block without a language is
    the output of a command and has some. Numbers in words, such as "three", are no figures.
    """

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.plain = _plain(self.lines)
        heads = [(number, line) for number, line in enumerate(self.plain, 1) if re.match("#+ ", line)]
        bounds = [*(number for number, _ in heads), len(self.lines) + 1]
        titles = [self.lines[number - 1].lstrip("#").strip() for number, _ in heads]
        self.sections: dict[str, range] = {}
        for title, ends in zip(titles, pairwise(bounds), strict=True):
            self.sections.setdefault(title, range(*ends))
        self._of_line = {
            number: [PageFigure(number, *found.span(), found[0], below=line[: found.start()].endswith("< "))
                     for found in NUMBER.finditer(line)]
            for number, line in enumerate(self.plain, 1)
        }  # fmt: skip
        self.figures = [figure for figures in self._of_line.values() for figure in figures]

    def tables(self, section: range) -> list[list[int]]:
        """Return the numbers of the lines of each table in a section, without its head."""
        runs = groupby(section, key=lambda number: self.plain[number - 1].startswith("|"))
        return [list(lines)[2:] for in_table, lines in runs if in_table]

    def cells(self, number: int) -> list[list[PageFigure]]:
        """Return the figures of each cell of a line of a table."""
        line = self.plain[number - 1]
        bars = [place for place, letter in enumerate(line) if letter == "|"]
        return [self.between(number, *ends) for ends in pairwise(bars)]

    def between(self, number: int, start: int, end: int) -> list[PageFigure]:
        """Return the figures of a line that begin in its columns from ``start`` to before ``end``."""
        return [each for each in self._of_line.get(number, ()) if start <= each.start < end]

    def context(self, figure: PageFigure, width: int = 30) -> str:
        """Return the text around a figure."""
        line = self.lines[figure.line - 1]
        return line[max(0, figure.start - width) : figure.end + width].strip()


def _plain(lines: list[str]) -> list[str]:
    """Return the lines with code, links, dates and versions blanked out."""
    found: list[str] = []
    fence = ""
    for line in lines:
        if line.startswith("```"):
            fence = "" if fence else (line[3:].strip() or "output")
            found.append("")
        elif fence:
            found.append(line if fence == "output" else "")
        else:
            found.append(_NAMES.sub(lambda match: " " * len(match[0]), line))
    return found


@dataclass(frozen=True)
class Claim:
    """Figures of one section: pieces of its text, or columns of its n-th table from a row on.

    Figures are in braces: an expression (:class:`~panglot.study.stored.Sources`) into ``source``, or a kind of
    ``DECLARED``. Empty braces stand for ``kind``. In a table, a column without braces is a single figure, ``?`` before
    it allows empty cells, and ``$`` stands for the row's entry in ``rows``, or ``$1`` and ``$2`` for its parts.
    """

    section: str
    source: str = ""
    kind: str = ""
    text: tuple[str, ...] = ()
    table: int = 1
    row: int = 1
    rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A pattern whose figures, written ``#``, are of a declared kind wherever no claim takes them."""

    kind: str
    match: str


@dataclass(frozen=True)
class CheckedStatement:
    """A figure of a page and what it comes from: ``computed``, ``stored``, or a kind of ``DECLARED``.

    ``sources`` are the stored results and runs of its expression. ``why`` says what is wrong, if anything. A claim
    whose figures are not on the page has no ``stated`` figure.
    """

    page: str
    line: int
    stated: PageFigure | None
    kind: str = ""
    sources: tuple[str, ...] = ()
    expression: str = ""
    found: float | None = None
    why: str = ""

    @property
    def verdict(self) -> Literal["ok", "fail"]:
        """``fail`` if the page and the source differ, or if the figure has no source or several."""
        return "fail" if self.why else "ok"


@dataclass
class Checkout:
    """The claims of a checkout: stored results, rules, and claims by page."""

    sources: Sources
    rules: tuple[Rule, ...]
    pages: Mapping[str, tuple[Claim, ...]]
    used: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, root: Path) -> Checkout:
        """Read ``sources.toml`` and the files of claims, each for a page, from ``benchmarks/figures``."""
        runs = {run.name: {each.path: each.value for each in run.figures} for run in documented_runs()}
        file = root / FOLDER / "sources.toml"
        common = read_toml(file, "sources")
        with _complete(file):
            sources = {name: _source(name, values) for name, values in common["sources"].items()}
            rules = tuple(Rule(values["kind"], values["match"]) for values in common["rules"])
        pages: dict[str, tuple[Claim, ...]] = {}
        for file in sorted(root.joinpath(FOLDER).glob("*.toml")):
            if file.name != "sources.toml":
                whole = read_toml(file, "claims")
                with _complete(file):
                    claims = tuple(map(_claim, whole["claims"]))
                    pages[whole["page"]] = (*pages.get(whole["page"], ()), *claims)
        return cls(Sources(root, sources, runs), rules, pages)

    def check(self) -> Iterator[CheckedStatement]:
        """Yield every figure of every page with its verdict, then what claims and rules do not find."""
        for name, claims in self.pages.items():
            page = Page((self.sources.root / name).read_text("utf-8"))
            found = self._check(name, page, claims)
            yield from sorted(found, key=lambda each: (each.line, each.stated.start if each.stated else 0))
        for run, figures in self.sources.runs.items():
            for figure in figures:
                if (run, figure) not in self.sources.used:
                    yield CheckedStatement("figures.toml", 0, None, "computed", (run,), figure,
                                           why=f"no page states {figure} of the run {run}")  # fmt: skip
        for rule in self.rules:
            if not self.used[rule.match]:
                yield CheckedStatement(str(FOLDER / "sources.toml"), 0, None, rule.kind,
                                       why=f"no figure fits the rule {rule.match!r}")  # fmt: skip

    def _check(self, name: str, page: Page, claims: Sequence[Claim]) -> Iterator[CheckedStatement]:
        claimed: Counter[PageFigure] = Counter()
        for claim in claims:
            section = page.sections.get(claim.section)
            if section is None:
                yield CheckedStatement(name, 0, None, why=f"there is no section {claim.section!r}")
                continue
            for line, stated, template in (_in_table if claim.columns else _in_text)(page, section, claim):
                if isinstance(stated, str):
                    yield CheckedStatement(name, line, None, expression=template, why=stated)
                    continue
                found = list(self._judged(name, page, claim, line, stated, template))
                claimed.update(each.stated for each in found if each.stated)
                yield from found
        ruled = {figure: rule for rule in reversed(self.rules) for figure in _ruled(page, rule)}
        for figure in page.figures:
            times, rule = claimed[figure], ruled.get(figure)
            if not times and rule:
                self.used[rule.match] += 1
                yield CheckedStatement(name, figure.line, figure, rule.kind)
            elif times != 1:
                taken = f"{times} claims take it" if times else "no claim takes it"
                yield CheckedStatement(name, figure.line, figure, why=f"{taken}: …{page.context(figure)}…")

    def _judged(
        self, name: str, page: Page, claim: Claim, line: int, stated: Sequence[PageFigure], template: str
    ) -> Iterator[CheckedStatement]:  # fmt: skip
        """Compare the figures of a cell or a piece of text with the expressions of its template, in order."""
        rest = list(stated)
        for written in _PLACEHOLDER.findall(template):
            expression = written or claim.kind
            if expression in DECLARED and rest:
                yield CheckedStatement(name, line, rest.pop(0), expression)
                continue
            names = tuple(self.sources.names(expression, claim.source))
            kind = "computed" if names and all(each in self.sources.runs for each in names) else "stored"
            values, problem = list[float](), ""
            try:
                values = [] if expression in DECLARED else self.sources.values(expression, claim.source)
            except PanglotError as error:
                problem = str(error)
            for value in values or [None]:
                figure = rest.pop(0) if rest else None
                if figure is None or value is None:
                    why = problem or f"the page no longer states it: {template}"
                else:
                    off = f"the stored value is {value:.6g}: …{page.context(figure)}…"
                    why = "" if figure.agrees(value) else off
                yield CheckedStatement(name, line, figure, kind, names, expression, value, why)
        for figure in rest:
            yield CheckedStatement(name, line, figure, why=f"the claim has no expression for it: {template}")


#: A line, its figures or what is wrong, and the template that claims them.
_Taken = Iterator[tuple[int, Sequence[PageFigure] | str, str]]


def _in_table(page: Page, section: range, claim: Claim) -> _Taken:
    tables = page.tables(section)
    lines = tables[claim.table - 1][claim.row - 1 :] if len(tables) >= claim.table else []
    if len(claim.rows) > len(lines) or not lines:
        yield section.start, f"the table {claim.table} of {claim.section!r} has too few rows", ""
        return
    for line, row in zip(lines, claim.rows or [()] * len(lines), strict=False):
        for figures, column in zip(page.cells(line), claim.columns, strict=False):
            template = column.removeprefix("?")
            for place, part in enumerate(row, 1):
                template = template.replace(f"${place}" if len(row) > 1 else "$", part)
            if template in DECLARED:
                yield line, figures, len(figures) * f"{{{template}}}"
            elif column and (figures or not column.startswith("?")):
                yield line, figures, template if "{" in template else f"{{{template}}}"


def _in_text(page: Page, section: range, claim: Claim) -> _Taken:
    for template in claim.text:
        fixed = _PLACEHOLDER.split(template)[::2]
        # An expression may stand for an interval, or for a number with its interval.
        several = rf"{NUMBER.pattern}(?:, {NUMBER.pattern})?(?: \[{NUMBER.pattern}, {NUMBER.pattern}\])?"
        pattern = several.join(map(re.escape, fixed))
        found = [(line, match) for line in section
                 for match in re.finditer(pattern, page.lines[line - 1])]  # fmt: skip
        if len(found) != 1:
            yield section.start, f"{claim.section!r} has this {len(found)} times: {template}", template
            continue
        line, match = found[0]
        yield line, page.between(line, *match.span()), template


def _ruled(page: Page, rule: Rule) -> Iterator[PageFigure]:
    pattern = re.compile(rule.match.replace("#", NUMBER.pattern))
    for line, text in enumerate(page.plain, 1):
        for match in pattern.finditer(text):
            yield from page.between(line, *match.span())


@contextmanager
def _complete(file: Path) -> Generator[None]:
    """Name the file in errors about its content."""
    try:
        with located(file=file):
            yield
    except (KeyError, TypeError) as error:
        raise PanglotError(f"this is not a file of claims: {error}", file=file,
                           hint="see the other files of the folder") from error  # fmt: skip


def _source(name: str, values: Mapping[str, Any]) -> Source:
    place = f"sources.{name}"
    check_names(values, {"file", "minutes", "command"}, place)
    return Source(name, values["file"], number(values["minutes"], f"{place}.minutes"), values.get("command", ""))


def _claim(values: Mapping[str, Any]) -> Claim:
    check_names(values, set(Claim.__dataclass_fields__), "claims")
    rows = tuple((row,) if isinstance(row, str) else strings(row, "rows") for row in values.get("rows", []))
    text, columns = strings(values.get("text", []), "text"), strings(values.get("columns", []), "columns")
    found: dict[str, Any] = {**values, "rows": rows, "text": text, "columns": columns}
    return Claim(**found)
