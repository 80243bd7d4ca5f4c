"""What a user imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import panglot
from panglot.cli.main import main


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


def test_a_command_that_is_misspelt_has_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serch"])
    assert "Did you mean one of: 'search', 'serve'?" in capsys.readouterr().err
