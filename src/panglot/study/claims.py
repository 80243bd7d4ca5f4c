"""Tie every figure of a page to the stored result or the run that it comes from, or declare what it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from panglot._errors import PanglotError, located
from panglot._files import check_names, number, read_toml, strings
from panglot.study.page import NUMBER, Page, PageFigure, Section
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
            yield from sorted(self._check(name, page, claims), key=_place)
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
            section = page.section(claim.section)
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
            if times > 1:
                yield CheckedStatement(
                    name, figure.line, figure, why=f"{times} claims take it: …{page.context(figure)}…"
                )
            elif not times and rule:
                self.used[rule.match] += 1
                yield CheckedStatement(name, figure.line, figure, rule.kind)
            elif not times:
                yield CheckedStatement(name, figure.line, figure, why=f"no claim takes it: …{page.context(figure)}…")

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
            try:
                values = [] if expression in DECLARED else self.sources.values(expression, claim.source)
            except PanglotError as error:
                figure = rest.pop(0) if rest else None
                yield CheckedStatement(name, line, figure, kind, names, expression, why=str(error))
                continue
            for value in values or [None]:
                figure = rest.pop(0) if rest else None
                if figure is None or value is None:
                    why = f"the page no longer states it: {template}"
                else:
                    off = f"the stored value is {value:.6g}: …{page.context(figure)}…"
                    why = "" if figure.agrees(value) else off
                yield CheckedStatement(name, line, figure, kind, names, expression, value, why)
        for figure in rest:
            yield CheckedStatement(name, line, figure, why=f"the claim has no expression for it: {template}")


def _place(each: CheckedStatement) -> tuple[int, int]:
    return each.line, each.stated.start if each.stated else 0


#: A line, its figures or what is wrong, and the template that claims them.
_Taken = Iterator[tuple[int, Sequence[PageFigure] | str, str]]


def _in_table(page: Page, section: Section, claim: Claim) -> _Taken:
    tables = page.tables(section)
    lines = tables[claim.table - 1][claim.row - 1 :] if len(tables) >= claim.table else []
    if len(claim.rows) > len(lines) or not lines:
        yield section.first, f"the table {claim.table} of {claim.section!r} has too few rows", ""
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


def _in_text(page: Page, section: Section, claim: Claim) -> _Taken:
    for template in claim.text:
        fixed = _PLACEHOLDER.split(template)[::2]
        # An expression may stand for an interval, or for a number with its interval.
        several = rf"{NUMBER.pattern}(?:, {NUMBER.pattern})?(?: \[{NUMBER.pattern}, {NUMBER.pattern}\])?"
        pattern = several.join(map(re.escape, fixed))
        found = [(line, match) for line in range(section.first, section.end)
                 for match in re.finditer(pattern, page.lines[line - 1])]  # fmt: skip
        if len(found) != 1:
            yield section.first, f"{claim.section!r} has this {len(found)} times: {template}", template
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
