"""Versions, bounds and pins that are written in two places agree."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import panglot
from panglot import _environment

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CORE: list[str] = PROJECT["project"]["dependencies"]


def test_the_citation_has_the_version() -> None:
    assert f"\nversion: {panglot.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_figures_name_the_commit_of_their_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _environment.provenance(None)["commit"]
    assert found is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)
    file = tmp_path / "src" / "panglot" / "_environment.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(_environment, "__file__", str(file))
    assert _environment.commit() is None  # nothing but an installed package
    call = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*call, "init", "--quiet"], check=True)
    assert _environment.commit() is None  # no commit yet
    file.write_text("")
    subprocess.run([*call, "add", "."], check=True)
    subprocess.run([*call, "commit", "--quiet", "--message", "m"], check=True)
    first = _environment.commit()
    assert re.fullmatch(r"[0-9a-f]{40}", first or "")
    file.write_text("changed")
    assert _environment.commit() == f"{first}-dirty"
    monkeypatch.setenv("PATH", "")
    assert _environment.commit() is None  # no git


def test_pre_commit_runs_the_same_ruff() -> None:
    pinned = next(each for each in PROJECT["dependency-groups"]["dev"] if str(each).startswith("ruff=="))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"ruff-pre-commit\n\s+rev: v(\S+)", hooks) == [pinned.removeprefix("ruff==")]


def test_the_workflow_begins_with_the_oldest_python() -> None:
    matrix = re.findall(r'python: \["(3\.\d+)"', (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8"))
    assert [f">={version}" for version in matrix] == [PROJECT["project"]["requires-python"]]


def test_every_core_dependency_has_a_lowest_version() -> None:
    lowest = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))["lowest"]
    versions = lowest(CORE)
    assert len(versions) == len(CORE)
    for requirement in map(Requirement, CORE):
        assert versions[requirement.name] in requirement.specifier
    with pytest.raises(SystemExit, match="no lower bound"):
        lowest(["numpy"])


@pytest.mark.parametrize("requirement", [Requirement(each) for each in CORE], ids=str)
def test_the_known_good_versions_are_within_the_bounds(requirement: Requirement) -> None:
    known = dict(re.findall(r"(?m)^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8")))
    if requirement.name in known:
        assert Version(known[requirement.name]) in requirement.specifier
