"""Versions, bounds and pins that are written in two places agree."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import panglot

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CORE: list[str] = PROJECT["project"]["dependencies"]


def test_the_citation_has_the_version() -> None:
    assert f"\nversion: {panglot.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


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
