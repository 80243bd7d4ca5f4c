"""A study: which strategies, numbers of languages and seeds are trained, and what they are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot._files import read_toml
from panglot.training.settings import Settings

START = "start"
EACH = -1
_SETTINGS = ("monolingual", "crosslingual", "multilingual")
#: What the study decides, so a strategy may not.
_RESERVED = ("output", "seed", "languages", "on", "data_dir", "dev", "dev_share", "eval_every", "checkpoint_every",
             "steps", "exclude")  # fmt: skip
#: What must be the same for all strategies.
_COMMON = ("model", "pairs")


@dataclass(frozen=True)
class Strategy:
    """One way of training.

    Attributes:
        name: What it is called in tables and folders.
        settings: What it changes in the settings of all.
        smallest: The fewest languages that it can be trained on; below, the study leaves it out.
        seeds: Its seeds, if it has fewer than the others; empty: those of the study.
        rates_of: The strategy whose learning rates it takes; empty: it has trials of its own.
    """

    name: str
    settings: Mapping[str, Any]
    smallest: int = 1
    seeds: tuple[int, ...] = ()
    rates_of: str = ""


@dataclass(frozen=True)
class Test:
    """What every model is measured on.

    Attributes:
        on: ``NAME[:PART][@CANDIDATES]`` or a path.
        share: The share of it that is taken, by whole groups; 1: all of it.
        languages: In which languages; empty: in all.
        settings: The settings that are reported; empty: all that it has.
        asked_in: Named sets of languages; the figures of questions in them are kept apart, passages in any language.
    """

    on: str
    share: float = 1.0
    languages: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    asked_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rates:
    """How each strategy's learning rate is chosen: the smallest within one standard error of the best.

    Attributes:
        grid: The learning rates that are tried; one: nothing is tried.
        size: At which number of training languages; None: at the largest of the study; -1: at each, for itself.
        dev_share: The share of the training rows that is held out to choose by.
        seeds: The seeds of the trials; empty: the study's first.
        languages: The languages of the rows to choose by; empty: those of the trials.
    """

    grid: tuple[float, ...]
    size: int | None = None
    dev_share: float = 0.1
    seeds: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One model: the untouched start, a strategy at a number of languages with a seed, or a trial of a learning rate.

    Attributes:
        strategy: The strategy's name, or ``start``.
        size: Number of training languages, 0 for all.
        seed: Seeds the training.
        rate: The learning rate that is tried, or None.
    """

    strategy: str
    size: int = 0
    seed: int = 0
    rate: float | None = None

    @property
    def name(self) -> str:
        """What its folder is called.

        >>> Cell("hybrid", 16, 2).name, Cell("mean", 0, 1).name, Cell("mono", 4, 0, 2e-05).name
        ('hybrid-16-2', 'mean-all-1', 'mono-4-0-2e-05')
        """
        if self.strategy == START:
            return START
        parts = [self.strategy, str(self.size or "all"), str(self.seed)]
        return "-".join([*parts, f"{self.rate:g}"] if self.rate is not None else parts)


@dataclass(frozen=True)
class Study:
    """A study, as its TOML file says.

    Attributes:
        file: The file.
        output: Where models and figures go.
        on: The training sets.
        train: Settings of all strategies.
        strategies: The strategies.
        sizes: Numbers of training languages, growing; 0 is all.
        seeds: The seeds.
        tests: The test sets.
        rates: How learning rates are chosen, or None: as the settings say.
        focus: The strategy that the answer is about.
        rival: The strategy that it is compared with.
    """

    file: Path
    output: Path
    on: tuple[str, ...]
    train: Mapping[str, Any]
    strategies: tuple[Strategy, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    tests: tuple[Test, ...]
    rates: Rates | None
    focus: str
    rival: str

    def strategy(self, name: str) -> Strategy:
        """Return a strategy by name."""
        return next(strategy for strategy in self.strategies if strategy.name == name)

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells to measure: the start, then seed by seed, so that a table of all sizes is there early."""
        trained = [
            Cell(strategy.name, size, seed)
            for seed in self.seeds
            for size in self.sizes
            for strategy in self.strategies
            if (size == 0 or size >= strategy.smallest) and seed in (strategy.seeds or self.seeds)
        ]
        return (Cell(START), *trained)

    def trials(self) -> tuple[Cell, ...]:
        """Return the cells that learning rates are chosen by."""
        if self.rates is None or len(self.rates.grid) < 2:
            return ()
        return tuple(
            Cell(s.name, size, seed, rate)
            for seed in self.rates.seeds or self.seeds[:1]
            for s in self.strategies
            if not s.rates_of
            for size in self._trial_sizes(s)
            for rate in self.rates.grid
        )

    def _trial_sizes(self, strategy: Strategy) -> tuple[int, ...]:
        assert self.rates is not None
        if self.rates.size == EACH:
            return tuple(size for size in self.sizes if size == 0 or size >= strategy.smallest)
        size = self.sizes[-1] if self.rates.size is None else self.rates.size
        return (size if size == 0 else max(size, strategy.smallest),)


def read(path: str | Path) -> Study:
    """Read a study.

    Raises:
        PanglotError: The file is not there, is no TOML, or says what no study or recipe knows.
    """
    file = Path(path)
    whole = read_toml(file, "study")
    _only(
        whole, {"output", "on", "sizes", "seeds", "focus", "rival", "train", "strategies", "tests", "rates"}, "", file
    )
    for name in ("output", "on", "sizes", "seeds", "strategies", "tests"):
        if not whole.get(name):
            raise PanglotError("is missing", file=file, field=name, hint="see studies/languages.toml for an example")
    train = dict(whole.get("train", {}))
    strategies = tuple(_strategy(name, dict(values), file) for name, values in whole["strategies"].items())
    names = [strategy.name for strategy in strategies]
    study = Study(
        file,
        Path(whole["output"]),
        _words(whole["on"], "on", file),
        train,
        strategies,
        tuple(sorted((_size(size, file) for size in whole["sizes"]), key=lambda size: size or 10**9)),
        tuple(_whole(seed, "seeds", file) for seed in whole["seeds"]),
        tuple(_test(values, file) for values in whole["tests"]),
        _rates(whole["rates"], file) if "rates" in whole else None,
        str(whole.get("focus", names[0])),
        str(whole.get("rival", names[-1])),
    )
    named = [test.on for test in study.tests]
    if twice := [name for name in named if named.count(name) > 1]:
        raise PanglotError(f"{twice[0]!r} is there twice", file=file, field="tests", hint="name each test once")
    for role in ("focus", "rival"):
        if getattr(study, role) not in names:
            raise PanglotError(f"no strategy is called {getattr(study, role)!r}", file=file, field=role,
                               hint=f"choose among {', '.join(names)}")  # fmt: skip
    for strategy in strategies:
        if strategy.rates_of and strategy.rates_of not in names:
            raise PanglotError(f"no strategy is called {strategy.rates_of!r}", file=file,
                               field=f"strategies.{strategy.name}.rates_of",
                               hint=f"choose among {', '.join(names)}")  # fmt: skip
        _allowed({**train, **strategy.settings}, _RESERVED, f"strategies.{strategy.name}", file)
        _allowed(strategy.settings, _COMMON, f"strategies.{strategy.name}", file)
        Settings.from_dict({**train, **strategy.settings, "on": list(study.on)}, file)
    return study


def _strategy(name: str, values: dict[str, Any], file: Path) -> Strategy:
    if name == START or not name.replace("-", "").replace("_", "").isalnum():
        raise PanglotError(
            f"{name!r} cannot be a strategy's name", file=file, field="strategies", hint="choose another"
        )
    smallest = _whole(values.pop("smallest", 1), f"strategies.{name}.smallest", file)
    seeds = tuple(_whole(seed, f"strategies.{name}.seeds", file) for seed in values.pop("seeds", []))
    return Strategy(name, values, smallest, seeds, str(values.pop("rates_of", "")))


def _allowed(settings: Mapping[str, Any], reserved: Sequence[str], field: str, file: Path) -> None:
    if taken := sorted(set(settings) & set(reserved)):
        raise PanglotError(f"{taken[0]} is what the study decides for all", file=file, field=field, hint="remove it")


def _test(values: Any, file: Path) -> Test:
    if isinstance(values, str):
        values = {"on": values}
    _only(values, {f.name for f in fields(Test)}, "tests", file)
    if not isinstance(values.get("on"), str):
        raise PanglotError("is missing", file=file, field="tests.on", hint="name a data set")
    languages = _words(values.get("languages", []), "tests.languages", file)
    settings = _words(values.get("settings", []), "tests.settings", file)
    if unknown := sorted(set(settings) - set(_SETTINGS)):
        raise PanglotError(f"{unknown[0]!r} is no setting", file=file, field="tests.settings",
                           hint=f"choose among {', '.join(_SETTINGS)}")  # fmt: skip
    asked_in = {
        str(name): _words(codes, f"tests.asked_in.{name}", file) for name, codes in values.get("asked_in", {}).items()
    }
    test = Test(values["on"], _number(values.get("share", 1.0), "tests.share", file), languages, settings, asked_in)
    if not 0 < test.share <= 1:
        raise PanglotError(f"{test.share} is no share", file=file, field="tests.share", hint="choose above 0, up to 1")
    return test


def _rates(values: Mapping[str, Any], file: Path) -> Rates:
    _only(values, {f.name for f in fields(Rates)}, "rates", file)
    if not isinstance(values.get("grid"), list) or not values["grid"]:
        raise PanglotError(
            "is missing", file=file, field="rates.grid", hint="name the learning rates to try, as a list"
        )
    grid = tuple(_number(rate, "rates.grid", file) for rate in values["grid"])
    size = values.get("size")
    share = _number(values.get("dev_share", 0.1), "rates.dev_share", file)
    seeds = tuple(_whole(seed, "rates.seeds", file) for seed in values.get("seeds", []))
    languages = _words(values.get("languages", []), "rates.languages", file)
    chosen = None if size is None else EACH if size == "each" else _size(size, file)
    return Rates(grid, chosen, share, seeds, languages)


def _size(value: Any, file: Path) -> int:
    return 0 if value == "all" else _whole(value, "sizes", file, least=1)


def _whole(value: Any, field: str, file: Path, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PanglotError(f"{value!r} is no whole number", file=file, field=field, hint=f"give {least} or more")
    return value


def _number(value: Any, field: str, file: Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PanglotError(f"{value!r} is no number", file=file, field=field, hint="give a number")
    return float(value)


def _words(value: Any, field: str, file: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise PanglotError(f"{value!r} is not a list of strings", file=file, field=field, hint='write ["…", "…"]')
    return tuple(value)


def _only(values: object, known: set[str], field: str, file: Path) -> None:
    if not isinstance(values, Mapping):
        raise PanglotError(f"{values!r} is not a table", file=file, field=field, hint="write `name = value` lines")
    if unknown := sorted(set(values) - known):
        raise PanglotError(
            f"{unknown[0]!r} is unknown", file=file, field=field, hint=f"choose among {', '.join(sorted(known))}"
        )
