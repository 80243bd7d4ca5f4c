"""Every figure of the pages comes from somewhere, and says what it comes from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.cli.main import main
from panglot.study import claims
from panglot.study.claims import CheckedStatement, Checkout, Page
from panglot.study.stored import Source, Sources, follow

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/claims.md", "docs/results.md", "docs/study.md")


def test_every_figure_of_the_pages_has_a_source_and_agrees_with_it() -> None:
    checkout = Checkout.read(ROOT)
    found = list(checkout.check())
    wrong = [f"{each.page}:{each.line} {each.stated and each.stated.printed} {each.why}" for each in found if each.why]
    assert wrong == []
    assert sorted(checkout.pages) == list(PAGES)
    read = {name for each in found for name in each.sources}
    assert set(checkout.sources.sources) - read <= {"settled"}  # until the study is finished


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_a_new_figure_fails_and_so_does_one_that_is_gone_or_has_changed(page: str, tmp_path: Path) -> None:
    checkout = Checkout.read(ROOT)
    checkout = replace(checkout, pages={page: checkout.pages[page]})
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / page).parent.mkdir(exist_ok=True)
    checkout.sources.root = tmp_path
    text = (ROOT / page).read_text("utf-8")

    def broken(changed: str) -> list[str]:
        assert changed != text
        (tmp_path / page).write_text(changed, "utf-8")
        return [each.why for each in checkout.check() if each.why and each.page == page]

    assert ["no claim takes it" in why for why in broken(f"{text}\nIt takes 12.34 seconds.\n")] == [True]
    gone = broken(text.replace(" [.807, .835] |", " |", 1))
    assert gone
    assert all("the page no longer states it" in why for why in gone)
    assert ["the stored value is" in why for why in broken(text.replace("[.807, .835]", "[.808, .835]", 1))] == [True]


def test_stored_results_name_commands_that_exist() -> None:
    sources = Checkout.read(ROOT).sources
    for name, source in sources.sources.items():
        words = shlex.split(sources.command(name))
        words = words[3:] if words[0] == "taskset" else words
        assert words[0] in {"python", "panglot", "make"}, name
        assert words[0] != "python" or (ROOT / words[1]).is_file(), name
        assert ".." not in " ".join(words), name
        assert source.minutes > 0


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("from .7996 [.786, .815] to +.090 or −938 %", [".7996", ".786", ".815", "+.090", "−938"]),
        ("| 1,210 [1,129, 1,292] | – | **19.5** |", ["1,210", "1,129", "1,292", "19.5"]),
        ("**5.02×**, 60.1%, ±.05, .688–.693 and 2e-6.", ["5.02", "60.1", "±.05", ".688", ".693", "2e-6"]),
        ("XLM-R and e5 in bf16 at recall@10, p50, NTREX-128, 8-bit, `--k 3`, [one](two-3.html)", []),
        ("on November 26, 2026 and November 28 at 16:00, torch 2.13.0, Python 3.11, 2408.10536", []),
        ("1. first, 2 second", ["2"]),
    ],
)  # fmt: skip
def test_figures_are_numbers_and_no_names_dates_or_versions(line: str, printed: list[str]) -> None:
    assert [figure.printed for figure in Page(line).figures] == printed


def test_output_has_figures_and_code_has_none() -> None:
    assert [each.line for each in Page("```sh\nrun 1\n```\n```\ntook 2\n```\n3\n").figures] == [5, 7]


def test_a_number_agrees_with_what_rounds_to_it_and_a_bound_with_what_is_below() -> None:
    number, bound = Page("got 1,210, p < .001").figures
    assert [number.agrees(found) for found in (1209.5, 1210.5, 1209.49, 1210.51)] == [True, True, False, False]
    assert [bound.agrees(found) for found in (0.0009, 0.001)] == [True, False]


def test_expressions() -> None:
    sources = Sources(ROOT, {"a": Source("a", "", 1)}, {"run": {"x.mAP": 0.5}})
    stored = {"c/d": 3, "of": {"x": [1, 3], "y": [5, None]}, "rows": [{"k": "u", "v": 7}, {"k": "w", "v": 8}],
              "no - op": 2, "differences": [{"a": "p", "b": "q", "difference": 2, "interval": [1, 4]}]}  # fmt: skip
    sources.read = lambda _: stored  # type: ignore[method-assign]
    expected = {
        "/c~1d": [3], "/of/x": [1, 3], "/of/*/0": [1, 5], "/of/y,x/0": [1, 5], "/rows/k=w/v": [8], "/rows/[1]/v": [8],
        "max(/of/*/*) - /c~1d / 2": [1], "(1 - /c~1d) * 100": [-200], "/of/x * 100": [100, 300],
        "/of/x - /of/x": [0, 0], "mean(/of/*/0, run:/x/mAP) * 2": [13 / 3], "count(/rows/*/v)": [2],
        "/differences/p−q": [2, 1, 4], "/differences/q−p": [-2, -4, -1], "run:/x/mAP": [0.5],
    }  # fmt: skip
    for expression, values in expected.items():
        assert sources.values(expression, "a") == pytest.approx(values), expression
    assert sources.values("/0", "a/of/x") == [1]
    assert sources.names("mean(/x, run:/y) / 2", "a/of") == ["a", "run"]
    assert sources.names("run:/x / 2", "a") == ["run"]
    assert list(follow(stored, "/nothing/here")) == []
    for wrong, why in (("/nothing", "has nothing at"), ("b:/x", "no stored result 'b'"), ("run:/y", "no figure y"),
                       ("/of/x - /of/*/*", "2 values before it and 3 after it")):  # fmt: skip
        with pytest.raises(PanglotError, match=why):
            sources.values(wrong, "a")


SOURCES = """
[sources]
speed = { file = "speed.json", minutes = 3 }
[[rules]]
kind = "setting"
match = "seed #"
"""
CLAIMS = """
page = "page.md"
[[claims]]
section = "Speed"
source = "speed"
rows = ["a", "b"]
columns = ["size", "{/sides/$/s} [{/sides/$/i}]", "?/sides/$/mib"]
[[claims]]
section = "Speed"
source = "speed"
kind = "command"
text = ["b is {/sides/b/s / /sides/a/s} times as slow, and c {} times"]
"""
PAGE = """
# Speed

With seed 1, b is 2.0 times as slow, and c 3 times.

| side | seconds | MiB |
|---|---|---|
| a (5 rows) | 1.50 [1, 2] | 7 |
| b | 3.00 [2, 4] | |
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[CheckedStatement]]:
    """A checkout with one page. Each pair of texts is replaced in the page and the claims before the check."""
    folder = tmp_path / claims.FOLDER
    folder.mkdir(parents=True)
    (folder / "sources.toml").write_text(SOURCES)
    sides = {"a": {"s": 1.5, "i": [1, 2], "mib": 7.2}, "b": {"s": 3, "i": [2, 4]}}
    (tmp_path / "speed.json").write_text(json.dumps({"command": "python speed.py", "sides": sides}))
    monkeypatch.setattr(claims, "documented_runs", lambda: ())
    monkeypatch.chdir(tmp_path)

    def check(*changes: tuple[str, str]) -> list[CheckedStatement]:
        page, stated = PAGE, CLAIMS
        for old, new in changes:
            assert old in page + stated
            page, stated = page.replace(old, new), stated.replace(old, new)
        (tmp_path / "page.md").write_text(page)
        (folder / "page.toml").write_text(stated)
        return list(Checkout.read(tmp_path).check())

    return check


def test_a_page_is_compared_with_its_source(made: Callable[..., list[CheckedStatement]]) -> None:
    assert [(each.line, each.kind, each.found) for each in made()] == [
        (4, "setting", None), (4, "stored", 2.0), (4, "command", None),
        (8, "size", None), (8, "stored", 1.5), (8, "stored", 1), (8, "stored", 2), (8, "stored", 7.2),
        (9, "stored", 3), (9, "stored", 2), (9, "stored", 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("| b | 3.00", "| b | 3.01", "the stored value is 3:"),
        ("1.50 [1, 2]", "1.50", "the page no longer states it"),
        ("c 3 times", "c many times", "has this 0 times"),
        ("and c 3", "and c 4 or 3", "has this 0 times"),
        ("# Speed", "# Pace", "there is no section 'Speed'"),
        ("| b | 3.00 [2, 4] | |", "", "has too few rows"),
        ("| 7 |", "| 7 of 8 |", "the claim has no expression for it"),
        ("With seed 1", "With luck", "no figure fits the rule"),
        ('"b"]', '"d"]', "has nothing at /sides/d/s"),
        ('["b is', '["and c {setting} times", "b is', "2 claims take it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(old: str, new: str, why: str, made: Callable[..., list[CheckedStatement]]) -> None:
    assert any(why in each.why for each in made((old, new)))


def test_a_claim_with_an_unknown_name_is_an_error(made: Callable[..., list[CheckedStatement]]) -> None:
    with pytest.raises(PanglotError, match="'page' is unknown"):
        made(('kind = "command"', "page = 1"))
    with pytest.raises(PanglotError, match="not a file of claims: 'page'"):
        made(('page = "page.md"', ""))


def test_reproduce_compares_and_says_how_to_start_from_nothing(
    made: Callable[..., list[CheckedStatement]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def call(*words: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["reproduce", "--minutes", "0", *words])
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    made()
    code, _, told = call("--only", "speed")
    assert code in (None, 0)
    assert "in about 3 minutes on two cores: python speed.py" in told
    assert "8 figures: 8 read from stored results." in told
    made(("| b | 3.00", "| b | 3.01"))
    code, shown, told = call("--only", "speed")
    assert code == 1
    assert "page.md:9" in shown
    assert "7 ok, 1 fail" in told
    code, _, told = call("--only", "speed", "--json", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(each["stated"], each["found"]) for each in found if each["verdict"] == "fail"] == [(3.01, 3)]
    assert call("--only", "pace")[0] == 2
    (tmp_path / claims.FOLDER).rename(tmp_path / "elsewhere")
    assert re.search("in a checkout of\\s+panglot only", call()[2])
