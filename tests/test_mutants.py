"""The tests of core formulas fail when the formula is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MUTANTS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text("utf-8"))
SOURCE = ROOT / "src" / "panglot"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_has_its_place(name: str) -> None:
    mutant = MUTANTS[name]
    assert (SOURCE / mutant["file"]).read_text("utf-8").count(mutant["old"]) == 1
    for test in mutant["tests"]:
        path, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / path).read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_does_not_survive(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    shutil.copytree(SOURCE, tmp_path / "panglot", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "panglot" / mutant["file"]
    file.write_text(file.read_text("utf-8").replace(mutant["old"], mutant["new"]), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *mutant["tests"]],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, f"survived: {done.stdout[-500:]}{done.stderr[-500:]}"
