"""The design of a study: which strategies, numbers of languages and seeds are trained, and how they are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain, starmap
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, located
from panglot._values import (
    check_names,
    distinct,
    expect,
    integer,
    integers,
    number,
    read_toml,
    strings,
    unexpected,
    unknown,
)
from panglot.data.language import canonical
from panglot.evaluation.figures import SETTINGS
from panglot.training.settings import Settings

START = "start"
EACH = -1
#: Settings that the study decides, so that a strategy must not.
_RESERVED = ("output", "seed", "languages", "on", "data_dir", "dev", "dev_share", "eval_every", "checkpoint_every",
             "steps", "exclude")  # fmt: skip
#: Settings that must be the same for all strategies.
_COMMON = ("model", "pairs")
#: Slices of every test set.
_SLICES = ("all", "seen", "unseen", "never")


@dataclass(frozen=True)
class Strategy:
    """One way of training: the ``settings`` in which it differs from ``train``, for sizes of ``smallest`` and above.

    Without ``seeds``, it has the study's. It has the learning rates of the strategy ``rates_of``, or trials of its own.
    """

    name: str
    settings: Mapping[str, Any]
    smallest: int = 1
    seeds: tuple[int, ...] = ()
    rates_of: str = ""

    def allows(self, size: int) -> bool:
        """Return whether the strategy can be trained on a number of languages."""
        return size == 0 or size >= self.smallest


@dataclass(frozen=True)
class Test:
    """A test set ``NAME[:PART][@CANDIDATES]`` or a path, of whose groups a ``share`` is measured.

    Empty ``languages`` and ``settings`` mean all that it has. ``asked_in`` has named sets of languages. Questions in
    each, with passages in any language, get figures of their own.
    """

    on: str
    share: float = 1.0
    languages: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    asked_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rates:
    """How each strategy's learning rate is chosen: the smallest within one standard error of the best.

    With a single rate in the ``grid`` there are no trials. Their ``size`` is a number of training languages, None for
    the study's largest, or -1 for every size by itself. ``dev_share`` of the training rows is held out to choose by,
    in ``languages``, or if empty in those of the trials. Without ``seeds``, trials have the study's first.
    """

    grid: tuple[float, ...]
    size: int | None = None
    dev_share: float = 0.1
    seeds: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """A question that the study is to answer: how focus and rival differ in a figure.

    The difference is a mean over the tests ``on``, in the slice ``part`` of their languages (``all``, ``never``, or a
    name of ``asked_in``). ``contrast`` is ``mean``, over all numbers of languages, or ``slope``, the difference at the
    largest less that at the smallest. Those that are not ``primary`` have no part in the verdict.
    """

    name: str
    on: tuple[str, ...]
    figure: str = "crosslingual.mAP"
    part: str = "all"
    contrast: str = "mean"
    primary: bool = True


@dataclass(frozen=True)
class Cell:
    """One model: the untouched start, a strategy at a number of languages with a seed, or a trial of a learning rate.

    Size 0 means all languages. Only trials have a ``rate``.
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

    ``sizes`` ascend, with 0 for all languages at the end. Without ``rates``, the settings have the learning rates.
    The answer is about the strategy ``focus``, which is compared with the ``rival`` at the ``endpoints``. Two
    strategies are equivalent if they differ by less than the ``margin``. Further pairs to compare are ``beside``.
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
    endpoints: tuple[Endpoint, ...] = ()
    margin: float = 0.01
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """The untouched start and the strategies, in the order of tables and curves."""
        return [START, *(strategy.name for strategy in self.strategies)]

    def strategy(self, name: str) -> Strategy:
        """Return a strategy by name."""
        return next(strategy for strategy in self.strategies if strategy.name == name)

    def shared_sizes(self, one: str, other: str) -> list[int]:
        """Return the sizes at which two strategies are trained."""
        return [size for size in self.sizes if all(self.strategy(name).allows(size) for name in (one, other))]

    def shared_seeds(self, one: str, other: str) -> list[int]:
        """Return the seeds with which two strategies are trained."""
        return [seed for seed in self.seeds
                if all(seed in (self.strategy(name).seeds or self.seeds) for name in (one, other))]  # fmt: skip

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells to measure: the start, then seed by seed, so that all sizes have a first figure early."""
        trained = [
            Cell(strategy.name, size, seed)
            for seed in self.seeds
            for size in self.sizes
            for strategy in self.strategies
            if strategy.allows(size) and seed in (strategy.seeds or self.seeds)
        ]
        return (Cell(START), *trained)

    def trials(self) -> tuple[Cell, ...]:
        """Return the trials by which learning rates are chosen."""
        if self.rates is None or len(self.rates.grid) < 2:
            return ()
        return tuple(
            Cell(strategy.name, size, seed, rate)
            for seed in self.rates.seeds or self.seeds[:1]
            for strategy in self.strategies
            if not strategy.rates_of
            for size in self._trial_sizes(strategy, self.rates.size)
            for rate in self.rates.grid
        )

    def _trial_sizes(self, strategy: Strategy, size: int | None) -> list[int]:
        if size == EACH:
            return list(filter(strategy.allows, self.sizes))
        size = self.sizes[-1] if size is None else size
        return [size if size == 0 else max(size, strategy.smallest)]


def read(path: str | Path) -> Study:
    """Read a study from its TOML file."""
    file = Path(path)
    with located(file=file):
        return _study(read_toml(file, "study"), file)


def _study(whole: dict[str, Any], file: Path) -> Study:
    check_names(whole, {f.name for f in fields(Study)} - {"file"}, "")
    for name in ("output", "on", "sizes", "seeds", "strategies", "tests"):
        if not whole.get(name):
            raise PanglotError("is missing", field=name, hint="see studies/languages.toml for an example")
    train = dict(expect(whole.get("train", {}), dict, "train"))
    strategies = tuple(starmap(_strategy, expect(whole["strategies"], dict, "strategies").items()))
    names = [strategy.name for strategy in strategies]
    sizes = [_size(size, "sizes") for size in distinct(expect(whole["sizes"], list, "sizes"), "sizes")]
    study = Study(
        file, Path(expect(whole["output"], str, "output")), tuple(distinct(strings(whole["on"], "on"), "on")), train,
        strategies, tuple(sorted(sizes, key=lambda size: size or 10**9)), integers(whole["seeds"], "seeds"),
        tuple(map(_test, expect(whole["tests"], list, "tests"))), _rates(whole["rates"]) if "rates" in whole else None,
        focus=expect(whole.get("focus", names[0]), str, "focus"),
        rival=expect(whole.get("rival", names[-1]), str, "rival"),
        endpoints=tuple(starmap(_endpoint, expect(whole.get("endpoints", {}), dict, "endpoints").items())),
        margin=number(whole.get("margin", 0.01), "margin", above=0, most=1),
        beside=tuple(map(_pair, expect(whole.get("beside", []), list, "beside"))),
    )  # fmt: skip
    distinct([test.on for test in study.tests], "tests")
    roles = [("focus", study.focus), ("rival", study.rival), *(("beside", each) for each in chain(*study.beside))]
    for role, name in roles:
        if name not in names:
            raise unknown(f"there is no strategy {name!r}", names, role)
    if study.focus == study.rival:
        raise PanglotError(f"{study.focus!r} is focus and rival", field="rival", hint="name two strategies")
    for strategy in strategies:
        _check_strategy(study, strategy)
    for endpoint in study.endpoints:
        _check_endpoint(study, endpoint)
    return study


def _check_strategy(study: Study, strategy: Strategy) -> None:
    place = f"strategies.{strategy.name}"
    _check_free({**study.train, **strategy.settings}, _RESERVED, place)
    _check_free(strategy.settings, _COMMON, place)
    Settings.from_dict({**study.train, **strategy.settings, "on": list(study.on)}, study.file)
    if not any(map(strategy.allows, study.sizes)):
        raise PanglotError(f"the study has no size of {strategy.smallest} languages or more", field=f"{place}.smallest",
                           hint="lower it, or add a larger size")  # fmt: skip
    if odd := sorted({*strategy.seeds} - {*study.seeds}):
        raise unknown(f"{odd[0]} is no seed of the study", map(str, study.seeds), f"{place}.seeds")
    if not strategy.rates_of:
        return
    place, owner = f"{place}.rates_of", strategy.rates_of
    tried = {each.name: each for each in study.strategies if not each.rates_of}
    if owner not in tried:
        hint = f"choose among {', '.join(tried) or 'strategies'} without rates_of"
        raise PanglotError(f"there is no strategy {owner!r} with trials of its own", field=place, hint=hint)
    own_sizes = study.sizes if study.rates is not None and study.rates.size == EACH else ()
    if odd := [size for size in own_sizes if strategy.allows(size) and not tried[owner].allows(size)]:
        hint = f"raise smallest to {tried[owner].smallest}, or choose another strategy"
        raise PanglotError(f"{owner} has no trials at {odd[0]} languages", field=place, hint=hint)


def _check_endpoint(study: Study, endpoint: Endpoint) -> None:
    place = f"endpoints.{endpoint.name}"
    parts = {"all", "never", *(name for test in study.tests for name in test.asked_in if test.on in endpoint.on)}
    named = [("on", each, [test.on for test in study.tests]) for each in endpoint.on]
    for name, value, known in [*named, ("part", endpoint.part, [*parts]),
                               ("contrast", endpoint.contrast, ["mean", "slope"])]:  # fmt: skip
        if value not in known:
            raise unknown(f"there is no {value!r} here", known, f"{place}.{name}")
    if endpoint.contrast == "slope" and len(study.shared_sizes(study.focus, study.rival)) < 2:
        raise PanglotError("a slope needs two sizes at which focus and rival are trained", field=f"{place}.contrast",
                           hint='add a size, or write contrast = "mean"')  # fmt: skip


def _strategy(name: str, given: Any) -> Strategy:
    # The name becomes part of folder names and of the names of cells.
    if name == START or not name.replace("-", "").replace("_", "").isalnum():
        raise PanglotError(f"{name!r} cannot be the name of a strategy", field="strategies",
                           hint="use letters, digits, - and _")  # fmt: skip
    place = f"strategies.{name}"
    values = dict(expect(given, dict, place))
    smallest = integer(values.pop("smallest", 1), f"{place}.smallest")
    seeds = integers(values.pop("seeds", []), f"{place}.seeds")
    return Strategy(name, values, smallest, seeds, expect(values.pop("rates_of", ""), str, f"{place}.rates_of"))


def _endpoint(name: str, values: Any) -> Endpoint:
    place = f"endpoints.{name}"
    check_names(values, {f.name for f in fields(Endpoint)} - {"name"}, place)
    if not (on := values.get("on")):
        raise PanglotError("is missing", field=f"{place}.on", hint="name a test set of the study, or list some")
    if not isinstance(values.get("primary", True), bool):
        raise unexpected(values["primary"], "true or false", f"{place}.primary")
    tests = distinct(strings([on] if isinstance(on, str) else on, f"{place}.on"), f"{place}.on")
    found = Endpoint(name, tuple(tests), **{key: value for key, value in values.items() if key != "on"})
    figures = [f"{setting}.mAP" for setting in SETTINGS]
    if found.figure not in figures:
        raise unknown(f"{found.figure!r} is not a figure of endpoints", figures, f"{place}.figure")
    return found


def _pair(values: Any) -> tuple[str, str]:
    names = strings(values, "beside")
    if len(names) != 2:
        raise unexpected(values, "a list of two strategies", "beside")
    distinct(names, "beside")
    return names[0], names[1]


def _check_free(settings: Mapping[str, Any], reserved: Sequence[str], field: str) -> None:
    if taken := sorted(set(settings) & set(reserved)):
        raise PanglotError(f"the study decides {taken[0]} for all strategies", field=field, hint="remove it")


def _test(values: Any) -> Test:
    if isinstance(values, str):
        values = {"on": values}
    check_names(values, {f.name for f in fields(Test)}, "tests")
    if not isinstance(values.get("on"), str):
        raise PanglotError("is missing", field="tests.on", hint="name a data set")
    languages = strings(values.get("languages", []), "tests.languages")
    settings = strings(values.get("settings", []), "tests.settings")
    if odd := sorted(set(settings) - set(SETTINGS)):
        raise unknown(f"{odd[0]!r} is not a setting", SETTINGS, "tests.settings")
    asked_in = {
        str(name): tuple(map(canonical, strings(codes, f"tests.asked_in.{name}")))
        for name, codes in expect(values.get("asked_in", {}), dict, "tests.asked_in").items()
    }
    if taken := [name for name in asked_in if name in _SLICES or "|" in name]:
        raise PanglotError(f"{taken[0]!r} cannot be the name of a set of languages", field="tests.asked_in",
                           hint=f"rename it to none of {', '.join(_SLICES)}, without |")  # fmt: skip
    share = number(values.get("share", 1.0), "tests.share", above=0, most=1)
    return Test(values["on"], share, languages, settings, asked_in)


def _rates(values: Mapping[str, Any]) -> Rates:
    check_names(values, {f.name for f in fields(Rates)}, "rates")
    if not isinstance(values.get("grid"), list) or not values["grid"]:
        raise PanglotError("is missing", field="rates.grid", hint="list the learning rates to try")
    size = values.get("size")
    grid = [number(rate, "rates.grid", above=0, most=1) for rate in values["grid"]]
    return Rates(
        tuple(distinct(grid, "rates.grid")),
        None if size is None else EACH if size == "each" else _size(size, "rates.size"),
        number(values.get("dev_share", 0.1), "rates.dev_share", above=0, most=0.9),
        integers(values.get("seeds", []), "rates.seeds"),
        strings(values.get("languages", []), "rates.languages"),
    )


def _size(value: Any, field: str) -> int:
    return 0 if value == "all" else integer(value, field, least=1)
