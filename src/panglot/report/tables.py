"""The one model of a table and of the dot plots in its rows, for which each form of a report has a writer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from panglot.report.evaluations import Estimate
from panglot.report.labels import MISSING, Kind, format_interval, format_number


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


def simple_table(headings: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, title: str = "",
                 left: Sequence[int] = (), code: bool = False) -> Table:  # fmt: skip
    """Return a table of texts and cells, the first of each row its name, with a heading for every column.

    ``left`` are the numbers of the columns, besides the first, that are aligned left.
    """
    columns = [Column(heading, left=place in left) for place, heading in enumerate(headings) if place]
    made = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return Table(title, columns, [Row(row[0].text, row[1:], code=code) for row in made], corner=headings[0])
