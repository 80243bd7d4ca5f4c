"""Stages import only the stages before them, as docs/architecture.md says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "panglot"
ORDER = (
    "data",
    "datasets",
    "encoders",
    "debiasing",
    "batching",
    "augment",
    "translation",
    "evaluation",
    "mining",
    "training",
    "probe",
    "search",
    "report",
    "study",
    "service",
    "cli",
)
#: Opening a folder that a later stage wrote; imported where it is needed.
EXCEPTIONS = {("encoders/load.py", "debiasing")}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
        found.update(name.split(".")[1] for name in names if name.startswith("panglot."))
    return {stage for stage in found if not stage.startswith("_")}


def test_every_folder_is_a_stage() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == set(ORDER)
    text = (SOURCE.parent.parent / "docs" / "architecture.md").read_text("utf-8")
    assert [stage for stage in ORDER if f"| `{stage}` |" not in text] == ["cli"]


@pytest.mark.parametrize("stage", ORDER)
def test_a_stage_imports_only_those_before_it(stage: str) -> None:
    before = set(ORDER[: ORDER.index(stage) + 1])
    for path in (SOURCE / stage).rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        late = {other for other in imported(path) - before if (place, other) not in EXCEPTIONS}
        assert not late, f"{place} imports {late}"
