"""The one model of a table and of the dot plots in its rows, with its writers for Markdown and for the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

from panglot.report.evaluations import Estimate
from panglot.report.labels import MISSING, Kind, format_interval, format_number, language_name, sanitize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text


@dataclass(frozen=True)
class Scale:
    """A linear scale from ``low`` to ``high``."""

    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def share(self, value: float) -> float:
        """Return the position of ``value`` from 0 at the low end to 1 at the high end.

        >>> Scale(0, 4).share(1), Scale(0, 4).share(9), Scale(2, 2).share(2)
        (0.25, 1.0, 0.5)
        """
        if self.high <= self.low:
            return 0.5
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the place of ``value`` as a CSS percentage."""
        return f"{100 * self.share(value):.2f}%"


def around(values: Iterable[float]) -> Scale:
    """Return a scale with round ends around ``values``.

    >>> around([0.783, 0.812]), around([309, 1287])
    (Scale(low=0.78, high=0.82), Scale(low=200.0, high=1400.0))
    """
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    width = (high - low) or abs(high) * 0.1 or 1.0
    # A width of almost nothing has no logarithm.
    # Some five steps give ends that are round and near to the values.
    step = _round_step(max(width / 5, 1e-300))
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return Scale(round(bottom, 10), round(top, 10))


def ticks(scale: Scale, most: int = 5) -> Sequence[float]:
    """Return at most about ``most`` round values within ``scale``.

    >>> ticks(Scale(0, 1), 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if scale.high <= scale.low:
        return [scale.low]
    step = _round_step((scale.high - scale.low) / most)
    # The ends count although they are not exact multiples of a step in binary.
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def decimals(values: Sequence[float]) -> int:
    """Return how many decimals distinguish ``values``.

    >>> decimals([0.805, 0.81]), decimals([0.2, 0.4]), decimals([100, 200])
    (3, 1, 0)
    """
    return next((n for n in range(9) if all(abs(round(value, n) - value) < 1e-9 for value in values)), 9)


def _round_step(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)


@dataclass(frozen=True)
class Mark:
    """One figure on a track, with its interval.

    ``series`` numbers the model, or whatever else the mark shows. A browser shows ``title`` under the pointer.
    """

    series: int
    value: float
    interval: tuple[float, float] | None = None
    title: str | None = None


@dataclass(frozen=True)
class Track:
    """The figures of one row of a table as a dot plot.

    ``spans`` are thin lines as (start, end, series). An upright line at the ``notch`` shows what would be fair, or
    chance. Faint lines at the ``rules`` cross the row, so that the rows read as one plot.
    """

    scale: Scale
    marks: tuple[Mark, ...]
    spans: tuple[tuple[float, float, int], ...] = ()
    notch: float | None = None
    rules: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cell:
    """Plain text that a writer escapes, the interval of a figure, and whether the figure is significantly the best."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """One column. Figures are aligned right, and text is aligned ``left``.

    A ``group`` is a heading over neighbouring columns. ``short`` is a heading for narrow terminals, with its line
    breaks. ``series`` is the number of the model, whose mark HTML puts before the heading.
    """

    heading: str
    group: str = ""
    short: str = ""
    series: int | None = None
    left: bool = False


@dataclass(frozen=True)
class Row:
    """One row, whose ``note`` explains the name in a sentence.

    A name that is a ``language`` code is shown with the language's name, and one that is ``code`` in backticks. HTML
    puts the mark of the model ``series`` before the name, and only HTML shows the ``track``. A row of less weight, such
    as a difference that is not significant, is ``faint``.
    """

    name: str
    cells: Sequence[Cell]
    note: str = ""
    language: bool = False
    series: int | None = None
    track: Track | None = None
    code: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Table:
    """A table of rows with names, whose heading is ``corner``, and columns behind them.

    If all rows share a scale, ``axis`` is that scale and how its ends are formatted.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    corner: str = ""
    note: str = ""
    axis: tuple[Scale, Kind] | None = None

    @property
    def groups(self) -> list[str]:
        """The groups of columns, in order."""
        return list(dict.fromkeys(column.group for column in self.columns if column.group))

    def split(self) -> list[Table]:
        """Return one table per group of columns, for writers that cannot show groups side by side.

        Columns without a group go with the first one.
        """
        parts: list[Table] = []
        for group in self.groups:
            own = {group, ""} if group == self.groups[0] else {group}
            chosen = [place for place, column in enumerate(self.columns) if column.group in own]
            columns = [replace(self.columns[place], group="") for place in chosen]
            rows = [replace(row, cells=[row.cells[place] for place in chosen]) for row in self.rows]
            parts.append(replace(self, title=": ".join(filter(None, (self.title, group))), columns=columns, rows=rows))
        return parts or [self]


def figure(value: Estimate | float | None, kind: Kind = "score", *, best: bool = False, digits: int = 3,
           sign: bool = False) -> Cell:  # fmt: skip
    """Return the cell of a number, or of an estimate with its interval.

    >>> figure(0.5).text, figure(None).text, figure(1214, "rank").text
    ('.500', '–', '1,214')
    """
    if value is None:
        return Cell(MISSING)
    number, ends = (value, None) if isinstance(value, int | float) else (value.value, value.interval)
    interval = format_interval(ends, kind, digits=digits, sign=sign)
    return Cell(format_number(number, kind, digits=digits, sign=sign), interval, best)


def simple_table(
    headings: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, title: str = "", left: Sequence[int] = (),
    code: bool = False, tracks: Iterable[Track | None] = (), axis: tuple[Scale, Kind] | None = None,
) -> Table:  # fmt: skip
    """Return a table of texts and cells, the first of each row its name, with a heading for every column.

    ``left`` are the numbers of the columns, besides the first, that are aligned left. ``tracks`` are those of the rows.
    """
    columns = [Column(heading, left=place in left) for place, heading in enumerate(headings) if place]
    made = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    named = [Row(row[0].text, row[1:], track=track, code=code) for row, track in zip_longest(made, tracks)]
    return Table(title, columns, named, corner=headings[0], axis=axis)


def table_to_markdown(table: Table) -> str:
    """Return a table without its title, with the notes of its rows as the last column.

    >>> print(table_to_markdown(simple_table(["a", "b"], [["x", "1"]])))
    | a | b |
    |:--|--:|
    | x | 1 |
    """
    notes = any(row.note for row in table.rows)
    header = [table.corner, *(column.heading for column in table.columns), *(["meaning"] if notes else [])]
    marks = [":--", *(":--" if column.left else "--:" for column in table.columns), *([":--"] if notes else [])]
    lines = [_line(map(escape_markdown, header)), f"|{'|'.join(marks)}|"]
    name = ""
    for row in table.rows:
        # An empty name repeats the one above, but nobody sees that in the source of a table.
        name = _markdown_name(row) or name
        note = [escape_markdown(row.note)] if notes else []
        lines.append(_line([name, *(_markdown_cell(cell) for cell in row.cells), *note]))
    return "\n".join(lines)


def escape_markdown(text: object) -> str:
    r"""Return text from outside so that Markdown shows it as it is.

    >>> escape_markdown("a|b <c> [d](e)")
    'a\\|b &lt;c&gt; \\[d\\](e)'
    """
    plain = sanitize(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_name(row: Row) -> str:
    name = escape_markdown(row.name)
    if row.language:
        return f"`{name}` {escape_markdown(language_name(row.name).english)}"
    return f"`{name}`" if row.code else name


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text) or MISSING
    text = f"**{text}**" if cell.best else text
    return f"{text} {cell.interval}" if cell.interval else text


def print_table(table: Table, console: Console) -> None:
    """Print a table. Groups of columns become tables of their own, side by side if there is room."""
    from rich.columns import Columns

    parts = [_fitting(part, console) for part in table.split()]
    console.print(parts[0] if len(parts) == 1 else Columns(parts, padding=(0, 3, 1, 0)))
    if table.note:
        console.print(table.note, style="dim", markup=False, highlight=False)


def _fitting(table: Table, console: Console) -> RichTable:
    """Return a table whose headings are broken into more lines if it would not fit otherwise.

    rich takes the same from all columns, and then cuts the table off at the right.
    """
    found = _rich(table)
    wide = console.measure(found, options=console.options.update(width=1 << 16)).maximum > console.width
    return _rich(table, narrow=True) if wide else found


def _rich(table: Table, *, narrow: bool = False) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable

    headings = [column.short or column.heading for column in table.columns]
    found = RichTable(title=_lines(sanitize(table.title)) if table.title else None, title_justify="left",
                      title_style="bold", show_header=any([table.corner, *headings]), box=box.SIMPLE_HEAD,
                      show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # fmt: skip
    # Names of models may be long. Names of languages and measures are not, and read better on one line.
    fixed = not any(row.note for row in table.rows) and max((len(row.name) for row in table.rows), default=0) < 30
    found.add_column(table.corner, no_wrap=fixed, overflow="fold")
    for number, (column, heading) in enumerate(zip(table.columns, headings, strict=True)):
        # Headings break between words alone.
        widest = max(map(len, heading.split()), default=0)
        lines = heading
        if narrow and heading and not column.left:
            texts = [f"{row.cells[number].text}\n{row.cells[number].interval}" for row in table.rows]
            longest = max(map(len, "\n".join(texts).split("\n")))
            lines = "\n".join(wrap(heading, max(longest, widest), break_long_words=False, break_on_hyphens=False))
        found.add_column(
            _lines(lines), justify="left" if column.left else "right", overflow="fold", min_width=min(widest, 16)
        )
    # Beside explanations there is no room for the intervals of several models.
    intervals = len(table.columns) == 1 or not any(row.note for row in table.rows)
    for row, after in zip(table.rows, [*table.rows[1:], None], strict=True):
        cells = (_lines(cell.text, cell.interval if intervals else "", "bold green" if cell.best else "")
                 for cell in row.cells)  # fmt: skip
        # Rows without a name belong to the one above them.
        last = after is not None and bool(after.name) and not row.name
        found.add_row(_rich_name(row), *cells, style="dim" if row.faint else "", end_section=last)
    return found


def _rich_name(row: Row) -> Text:
    if row.language:
        named = language_name(row.name)
        # Terminals disagree about right-to-left letters, so the names are English.
        return _lines(f"{named.code:<3} {named.english}" if named.english != named.code else named.code)
    return _lines(sanitize(row.name), sanitize(row.note))


def _lines(text: str, below: str = "", style: str = "") -> Text:
    """Return a text with its line breaks, and another one, dim, below it."""
    from rich.text import Text

    shown = Text("\n".join(map(sanitize, text.split("\n"))), style=style)
    return Text("\n").join([shown, Text(below, style="dim")]) if below else shown
