"""What a user imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import panglot
from panglot.cli.main import cli, main
from panglot.cli.options import SectionedCommand, print_table


def test_the_surface_is_sorted_and_there() -> None:
    assert list(panglot.__all__) == sorted(panglot.__all__)
    for name in panglot.__all__:
        assert getattr(panglot, name).__doc__, name
    assert set(panglot.__all__) <= set(dir(panglot))


def test_importing_and_help_load_nothing_heavy() -> None:
    check = (
        "import sys, panglot, panglot.cli.main as main\n"
        "try: main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'numpy', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout


#: Commands whose help needs arrays, because their options come from settings or from fields of a search.
_WITH_ARRAYS = {"index", "search", "serve", "train", "average", "mine", "translate", "data"}


def test_the_help_of_a_command_loads_no_more_than_it_needs() -> None:
    check = (
        "import sys, panglot.cli.main as main\n"
        "for name in sys.argv[1:]:\n"
        "    try: main.main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'scipy', 'fastapi', 'numpy', 'pyarrow'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))\n"
    )
    light = [name for name in cli.list_commands(click.Context(cli)) if name not in _WITH_ARRAYS]
    for names, loaded in ((light, "loaded:"), (sorted(_WITH_ARRAYS), "loaded: numpy pyarrow")):
        done = subprocess.run([sys.executable, "-c", check, *names], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == loaded


def test_a_command_that_is_misspelt_has_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serch"])
    assert "Did you mean one of: 'search', 'serve'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("search index x -k 3", "'--top'"),
        ("search index x --k=3", "'--top'"),
        ("search index x --preferred_languages de", "'--prefer'"),
        ("search index x --filter year=1", "'--where'"),
        ("search index x --lang de", "'--language' or '--languages'"),
        ("probe bundled starter:dev -k 3", "'--k'"),
        ("index docs -o index", "'--output'"),
        ("index docs --output index --on ray", "'--encoder'"),
        ("train --on rows.jsonl --lr 1", "'--learning-rate'"),
        ("search index x --topk 3", "'--top'"),  # click's own suggestion
    ],
)
def test_an_option_that_has_another_name_elsewhere_has_a_suggestion(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(typed.split())
    assert f"Did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["train", "index", "search", "serve", "evaluate", "compare", "probe", "diagnose", "debias"]
)
def test_the_help_lists_options_under_headings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, SectionedCommand)
    assert command.sections.keys() <= {parameter.name for parameter in command.params}
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    help_text = capsys.readouterr().out
    for heading in [*command.sections.values(), "General"]:
        assert f"\n{heading}:\n" in help_text
    assert "\nOptions:\n" not in help_text  # no option is left without a heading
    for option in (each for each in command.params if isinstance(each, click.Option)):
        assert help_text.count(f"{option.opts[-1]} ") >= 1


def test_quiet_leaves_only_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"language": "en", "group": "g", "question": "q?", "passage": "p"}\nbroken\n')
    convert = ["data", "convert", str(rows), str(tmp_path / "out"), "--to", "beir", "--on-error", "skip"]
    with pytest.raises(SystemExit, match="0"):
        main(convert)
    assert "1 rejected rows written" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main([*convert, "--quiet"])
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit, match="2"):
        main(["data", "show", "no-such-set", "--quiet"])
    assert capsys.readouterr().err.startswith("panglot: there is no data set, file or folder 'no-such-set'.")


def test_verbose_says_where_an_error_was_raised() -> None:
    run = [sys.executable, "-m", "panglot.cli.main", "data", "show", "no-such-set"]
    plain = subprocess.run(run, capture_output=True, text=True, check=False)
    verbose = subprocess.run([*run, "--verbose"], capture_output=True, text=True, check=False)
    assert plain.returncode == verbose.returncode == 2
    assert "Traceback" not in plain.stderr
    assert "registry.py" in verbose.stderr
    assert verbose.stderr.endswith(plain.stderr)


def test_a_shell_completes_commands_and_choices() -> None:
    def completed(words: str, place: int) -> list[str]:
        shell = {"_PANGLOT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        run = [sys.executable, "-m", "panglot.cli.main"]
        done = subprocess.run(run, env={**os.environ, **shell}, capture_output=True, text=True, check=True)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("panglot tr", 1) == ["train", "translate"]
    assert completed("panglot search --mode b", 3) == ["balanced"]


@pytest.mark.parametrize("arguments", [["--help"], ["data", "list"]])
def test_a_reader_that_goes_away_is_no_fault(arguments: list[str]) -> None:
    run = [sys.executable, "-m", "panglot.cli.main", *arguments]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert (child.stderr.read(), child.wait()) == ("", 141)


def test_a_table_without_a_reader_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "write", gone)
    with pytest.raises(BrokenPipeError):
        print_table(["language"], [["German"]])


def test_a_table_is_not_folded_in_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(["language", "text"], [["South Levantine Arabic", "word " * 40]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines == [line.rstrip() for line in lines]
    monkeypatch.setenv("COLUMNS", "80")
    print_table(["language", "text"], [["South Levantine Arabic", "word " * 40]])
    assert len(capsys.readouterr().out.splitlines()) > 3
