"""The design of a study: which strategies, numbers of languages and seeds are trained, and how they are measured."""

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
#: Settings that the study decides, so that a strategy must not.
_RESERVED = ("output", "seed", "languages", "on", "data_dir", "dev", "dev_share", "eval_every", "checkpoint_every",
             "steps", "exclude")  # fmt: skip
#: Settings that must be the same for all strategies.
_COMMON = ("model", "pairs")


@dataclass(frozen=True)
class Strategy:
    """One way of training.

    Attributes:
        name: Its name in tables and folders.
        settings: The training settings in which it differs from ``train``.
        smallest: The smallest number of languages that it can be trained on. Smaller sizes are skipped.
        seeds: Its seeds, if they are not those of the study.
        rates_of: The strategy whose learning rates it uses. Empty means that it has trials of its own.
    """

    name: str
    settings: Mapping[str, Any]
    smallest: int = 1
    seeds: tuple[int, ...] = ()
    rates_of: str = ""


@dataclass(frozen=True)
class Test:
    """A test set of the study.

    Attributes:
        on: ``NAME[:PART][@CANDIDATES]`` or a path.
        share: The share of its groups that is measured, up to 1.
        languages: The languages to measure. Empty means all.
        settings: The settings to report. Empty means all that it has.
        asked_in: Named sets of languages. Questions in each of them, with passages in any language, get figures of
            their own.
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
        grid: The learning rates to try. With a single one there are no trials.
        size: Number of training languages of the trials. None means the study's largest, -1 every size for itself.
        dev_share: Share of the training rows that is held out to choose by.
        seeds: The seeds of the trials. Empty means the study's first.
        languages: The languages of the held-out rows. Empty means those of the trials.
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
        size: Number of training languages, or 0 for all.
        seed: The seed of the training.
        rate: The learning rate of a trial, or None.
    """

    strategy: str
    size: int = 0
    seed: int = 0
    rate: float | None = None

    @property
    def name(self) -> str:
        """The name of its folder.

        >>> Cell("hybrid", 16, 2).name, Cell("mean", 0, 1).name, Cell("mono", 4, 0, 2e-05).name
        ('hybrid-16-2', 'mean-all-1', 'mono-4-0-2e-05')
        """
        if self.strategy == START:
            return START
        parts = [self.strategy, str(self.size or "all"), str(self.seed)]
        return "-".join([*parts, f"{self.rate:g}"] if self.rate is not None else parts)


@dataclass(frozen=True)
class Study:
    """A study, as its TOML file describes it.

    Attributes:
        file: The file.
        output: The folder of its cells and its report.
        on: The training sets.
        train: The training settings of all strategies.
        strategies: The strategies.
        sizes: Numbers of training languages in ascending order, with 0 for all at the end.
        seeds: The seeds.
        tests: The test sets.
        rates: How learning rates are chosen. None means that the settings have them.
        focus: The strategy that the answer is about.
        rival: The strategy that the focus is compared with.
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
        """Return the cells to measure: the start, then seed by seed, so that all sizes have a first figure early."""
        trained = [
            Cell(strategy.name, size, seed)
            for seed in self.seeds
            for size in self.sizes
            for strategy in self.strategies
            if (size == 0 or size >= strategy.smallest) and seed in (strategy.seeds or self.seeds)
        ]
        return (Cell(START), *trained)

    def trials(self) -> tuple[Cell, ...]:
        """Return the trials by which learning rates are chosen."""
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
        PanglotError: The file does not exist, is not TOML, or has names or values that no study or recipe has.
    """
    file = Path(path)
    whole = read_toml(file, "study")
    _check_names(
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
        _strings(whole["on"], "on", file),
        train,
        strategies,
        tuple(sorted((_size(size, file) for size in whole["sizes"]), key=lambda size: size or 10**9)),
        tuple(_integer(seed, "seeds", file) for seed in whole["seeds"]),
        tuple(_test(values, file) for values in whole["tests"]),
        _rates(whole["rates"], file) if "rates" in whole else None,
        str(whole.get("focus", names[0])),
        str(whole.get("rival", names[-1])),
    )
    named = [test.on for test in study.tests]
    if twice := [name for name in named if named.count(name) > 1]:
        raise PanglotError(f"{twice[0]!r} is listed twice", file=file, field="tests", hint="list each test set once")
    for role in ("focus", "rival"):
        if getattr(study, role) not in names:
            raise PanglotError(f"there is no strategy {getattr(study, role)!r}", file=file, field=role,
                               hint=f"choose among {', '.join(names)}")  # fmt: skip
    for strategy in strategies:
        if strategy.rates_of and strategy.rates_of not in names:
            raise PanglotError(f"there is no strategy {strategy.rates_of!r}", file=file,
                               field=f"strategies.{strategy.name}.rates_of",
                               hint=f"choose among {', '.join(names)}")  # fmt: skip
        _check_free({**train, **strategy.settings}, _RESERVED, f"strategies.{strategy.name}", file)
        _check_free(strategy.settings, _COMMON, f"strategies.{strategy.name}", file)
        Settings.from_dict({**train, **strategy.settings, "on": list(study.on)}, file)
    return study


def _strategy(name: str, values: dict[str, Any], file: Path) -> Strategy:
    if name == START or not name.replace("-", "").replace("_", "").isalnum():
        raise PanglotError(
            f"{name!r} cannot be the name of a strategy",
            file=file,
            field="strategies",
            hint="use letters, digits, - and _",
        )
    smallest = _integer(values.pop("smallest", 1), f"strategies.{name}.smallest", file)
    seeds = tuple(_integer(seed, f"strategies.{name}.seeds", file) for seed in values.pop("seeds", []))
    return Strategy(name, values, smallest, seeds, str(values.pop("rates_of", "")))


def _check_free(settings: Mapping[str, Any], reserved: Sequence[str], field: str, file: Path) -> None:
    if taken := sorted(set(settings) & set(reserved)):
        raise PanglotError(f"the study decides {taken[0]} for all strategies", file=file, field=field, hint="remove it")


def _test(values: Any, file: Path) -> Test:
    if isinstance(values, str):
        values = {"on": values}
    _check_names(values, {f.name for f in fields(Test)}, "tests", file)
    if not isinstance(values.get("on"), str):
        raise PanglotError("is missing", file=file, field="tests.on", hint="name a data set")
    languages = _strings(values.get("languages", []), "tests.languages", file)
    settings = _strings(values.get("settings", []), "tests.settings", file)
    if unknown := sorted(set(settings) - set(_SETTINGS)):
        raise PanglotError(f"{unknown[0]!r} is not a setting", file=file, field="tests.settings",
                           hint=f"choose among {', '.join(_SETTINGS)}")  # fmt: skip
    asked_in = {
        str(name): _strings(codes, f"tests.asked_in.{name}", file) for name, codes in values.get("asked_in", {}).items()
    }
    test = Test(values["on"], _number(values.get("share", 1.0), "tests.share", file), languages, settings, asked_in)
    if not 0 < test.share <= 1:
        raise _unexpected(test.share, "a share above 0 and at most 1", "tests.share", file)
    return test


def _rates(values: Mapping[str, Any], file: Path) -> Rates:
    _check_names(values, {f.name for f in fields(Rates)}, "rates", file)
    if not isinstance(values.get("grid"), list) or not values["grid"]:
        raise PanglotError("is missing", file=file, field="rates.grid", hint="list the learning rates to try")
    grid = tuple(_number(rate, "rates.grid", file) for rate in values["grid"])
    size = values.get("size")
    share = _number(values.get("dev_share", 0.1), "rates.dev_share", file)
    seeds = tuple(_integer(seed, "rates.seeds", file) for seed in values.get("seeds", []))
    languages = _strings(values.get("languages", []), "rates.languages", file)
    chosen = None if size is None else EACH if size == "each" else _size(size, file)
    return Rates(grid, chosen, share, seeds, languages)


def _size(value: Any, file: Path) -> int:
    return 0 if value == "all" else _integer(value, "sizes", file, least=1)


def _integer(value: Any, field: str, file: Path, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _unexpected(value, f"a whole number of {least} or more", field, file)
    return value


def _number(value: Any, field: str, file: Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unexpected(value, "a number", field, file)
    return float(value)


def _strings(value: Any, field: str, file: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _unexpected(value, "a list of strings", field, file)
    return tuple(value)


def _check_names(values: object, known: set[str], field: str, file: Path) -> None:
    if not isinstance(values, Mapping):
        raise _unexpected(values, "a table of `name = value` lines", field, file)
    if unknown := sorted(set(values) - known):
        raise PanglotError(
            f"{unknown[0]!r} is unknown", file=file, field=field, hint=f"choose among {', '.join(sorted(known))}"
        )


def _unexpected(value: object, expected: str, field: str, file: Path) -> PanglotError:
    return PanglotError(f"{expected} is expected, got {value!r}", file=file, field=field, hint=f"write {expected}")
