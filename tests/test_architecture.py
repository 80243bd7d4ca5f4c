"""The source tree follows the rules of docs/architecture.md."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from _source_tree import Module, cycles, imports, modules, private_imports, unlisted

ROOT = Path(__file__).parent.parent
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
LONGEST = 360  # lines of a file
FULLEST = 16  # modules of a folder, besides __init__

#: Imports of a later stage. Each opens a folder that the later stage wrote, inside the function that needs it.
LATE = {("panglot.encoders.load", "debiasing")}

#: Folders that may be fuller, with the reason.
FULLER = {"src/panglot/cli": "one file per command"}


@cache
def tree() -> dict[str, Module]:
    return modules(ROOT / "src")


def test_every_folder_is_a_stage() -> None:
    folders = {module.stage for module in tree().values()} - {""}
    assert folders == set(ORDER)
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert [stage for stage in ORDER if f"| `{stage}` |" not in text] == ["cli"]


def test_a_stage_imports_only_those_before_it() -> None:
    known = tree()
    late = [
        f"{module.name} → {other}"
        for module in known.values()
        for each in imports(module, known)
        if module.stage and (other := known[each.module].stage)
        if ORDER.index(other) > ORDER.index(module.stage) and (module.name, other) not in LATE
    ]
    assert late == []


def test_no_module_uses_private_parts_of_another_stage() -> None:
    assert private_imports(tree()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(tree(), kinds=("load", "call")) == []


def test_public_names_are_listed() -> None:
    assert [f"{module.name}: {names}" for module in tree().values() if (names := unlisted(module))] == []


def test_files_are_not_too_long() -> None:
    assert [module.name for module in tree().values() if module.lines > LONGEST] == []


def test_folders_are_not_too_full() -> None:
    folders = Counter(module.path.parent.relative_to(ROOT).as_posix() for module in tree().values())
    full = [folder for folder, number in folders.items() if number > FULLEST + 1 and folder not in FULLER]
    assert full == []


def _planted(tmp_path: Path, **files: str) -> dict[str, Module]:
    for name, text in files.items():
        path = tmp_path / "panglot" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return modules(tmp_path)


def test_private_imports_are_found(tmp_path: Path) -> None:
    found = _planted(
        tmp_path,
        data__a="_x = 1\n",
        data___b="y = 1\n",
        search__c="from panglot.data.a import _x\nfrom panglot.data._b import y\n",
        search__d="from panglot.data import a\n\ndef f():\n    return a._x + a.__dict__\n",
        data__e="from panglot.data.a import _x\nfrom panglot._errors import f\n",
        _errors="def f(): ...\n",
    )
    assert private_imports(found) == [
        "panglot.search.c:1: panglot.data.a _x",
        "panglot.search.c:2: panglot.data._b y",
        "panglot.search.d:4: panglot.data.a _x",
    ]


def test_circles_are_found_by_the_kind_of_import(tmp_path: Path) -> None:
    found = _planted(
        tmp_path,
        data__a="from panglot.data.b import f\n",
        data__b="def f():\n    from panglot.data import c\n",
        data__c="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from panglot.data.a import f\n",
    )
    circle = ("panglot.data.a", "panglot.data.b", "panglot.data.c")
    assert cycles(found) == []
    assert cycles(found, kinds=("load", "call")) == []
    assert cycles(found, kinds=("load", "call", "check")) == [circle]
    (tmp_path / "panglot" / "data" / "c.py").write_text("import panglot.data.a\n", "utf-8")
    assert cycles(modules(tmp_path)) == []
    assert cycles(modules(tmp_path), kinds=("load", "call")) == [circle]


def test_names_missing_from_all_are_found(tmp_path: Path) -> None:
    found = _planted(
        tmp_path,
        data__a='__all__ = ["f"]\nX: int = 1\n_Y = 2\n\ndef f(): ...\n\nclass C: ...\n',
        data__b="def g(): ...\n",
    )
    assert [unlisted(each) for each in found.values()] == [["X", "C"], []]
