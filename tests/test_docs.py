"""The documents agree with the code: commands parse, links resolve, settings and defaults are right."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import json
import os
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import pytest

from panglot.batching.policy import Batches
from panglot.cli.main import cli
from panglot.datasets.catalog import CARDS
from panglot.training.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if path.exists())
REFERENCE = ROOT / "docs" / "reference.md"
SHELLS = {"", "sh", "bash", "console", "shell"}
PLACEHOLDERS = {"…", "..."}


class Block(NamedTuple):
    """A fenced block: where it begins, in which language, and what is in it."""

    document: Path
    line: int
    language: str
    text: str

    def __repr__(self) -> str:
        return f"{self.document.name}:{self.line}"


class Found(NamedTuple):
    """A panglot command as a document gives it, without the program's name."""

    place: str
    words: tuple[str, ...]
    whole: bool

    def __repr__(self) -> str:
        return f"{self.place} panglot {' '.join(self.words)}"


@cache
def blocks(document: Path) -> tuple[Block, ...]:
    found: list[Block] = []
    fence, start, language, lines = "", 0, "", list[str]()
    for number, line in enumerate(document.read_text("utf-8").splitlines(), 1):
        mark = re.match(r"\s*(`{3,})(\S*)", line)
        if not fence and mark:
            fence, start, language, lines = mark[1], number, mark[2], []
        elif fence and line.strip() == fence:
            found.append(Block(document, start, language, textwrap.dedent("\n".join(lines))))
            fence = ""
        elif fence:
            lines.append(line)
    assert not fence, f"{document.name}: the block of line {start} is not closed"
    return tuple(found)


def prose(document: Path) -> str:
    return re.sub(r"(?ms)^\s*(`{3,}).*?^\s*\1\s*$", "", document.read_text("utf-8"))


def split(line: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell line."""
    lexer = shlex.shlex(re.sub(r"(?<!\S)#.*", "", line), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|<>"):
            yield words
            words = []
        else:
            words.append(word)


def arguments(words: list[str]) -> list[str] | None:
    """Return the arguments of panglot in a command, called by its name or through torchrun, or None."""
    for start in ("panglot", "panglot.cli.main"):
        if start in words[: 1 if start == "panglot" else None]:
            return words[words.index(start) + 1 :]
    return None


def commands() -> list[Found]:
    found: list[Found] = []

    def add(place: str, line: str, *, whole: bool) -> None:
        for words in split(line):
            given = arguments(words)
            if given is not None:
                kept = tuple(word for word in given if word not in PLACEHOLDERS)
                found.append(Found(place, kept, whole and len(kept) == len(given)))

    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language in SHELLS:
                for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
                    plain = line.removeprefix("$ ")
                    if re.match(r"(panglot|torchrun|accelerate) ", plain):
                        add(repr(block), plain, whole=True)
        for span in re.findall(r"(?<!`)`(panglot [^`]+)`(?!`)", prose(document)):
            add(document.name, span, whole=False)
    return found


def remaining(context: click.Context) -> list[str]:
    # Before click 9, a group keeps the command's name apart; the public name for that warns.
    return [*getattr(context, "_protected_args", []), *context.args]


def parse(words: tuple[str, ...]) -> click.Command:
    """Parse as ``panglot`` would, without running anything."""
    command: click.Command = cli
    context = cli.make_context("panglot", list(words))
    rest = remaining(context)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
        rest = remaining(context)
    return command


@pytest.mark.parametrize("found", commands(), ids=repr)
def test_every_command_parses(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").mkdir()  # the reader's folder of data sets, which must be there
    # A sentence may name a command without its arguments; a block may not.
    passed = (click.exceptions.Exit,) if found.whole else (click.exceptions.Exit, click.MissingParameter)
    with contextlib.suppress(*passed):  # Exit: --help and --version
        parse(found.words)


def test_the_parser_of_this_test_refuses_what_panglot_refuses() -> None:
    for line in ("evaluate bundled --no-such x", "train --batches none", "nonsense", "data sow x", "demo --pairs many"):
        with pytest.raises(click.UsageError):
            parse(tuple(line.split()))
    # As GitHub would give it to a shell.
    assert list(split("a 'x#y' b # c")) == [["a", "x#y", "b"]]
    assert len(commands()) > 30


def slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def anchors(document: Path) -> frozenset[str]:
    text = prose(document)
    named = re.findall(r'<a (?:id|name)="([^"]+)"', text)
    return frozenset([*named, *(slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", text))])


def links() -> list[tuple[Path, str]]:
    pattern = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|(?:src|href|srcset)=\"([^\"]+)\"")
    return [
        (document, target)
        for document in DOCUMENTS
        for target in dict.fromkeys(a or b for a, b in pattern.findall(prose(document)))
        if not re.match(r"[a-z][a-z0-9+.-]*:", target)
    ]


@pytest.mark.parametrize(("document", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_every_relative_link_leads_somewhere(document: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    place = Path(os.path.normpath(document.parent / path)) if path else document
    assert place.exists()
    assert place.is_relative_to(ROOT)
    if anchor and place.suffix == ".md":
        assert anchor in anchors(place)


def recipe_table() -> dict[str, str]:
    section = REFERENCE.read_text("utf-8").split("\n## Settings of a recipe\n")[1].split("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\S+|`[^`]*`) \| \S.* \|$", section)
    assert len(rows) == len(dict(rows)), "a setting has two rows"
    return dict(rows)


def test_every_setting_is_in_the_reference() -> None:
    assert list(recipe_table()) == [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_the_reference_has_the_true_default(field: Any) -> None:  # a dataclass field
    default = str(field.default) if isinstance(field.default, Path) else field.default
    shown = recipe_table()[field.name]
    if default is None:
        assert shown == "–"
        return
    told = tomllib.loads(f"value = {shown.strip('`')}")["value"]
    assert told == (list(default) if isinstance(default, tuple) else default)
    assert type(told) is (list if isinstance(default, tuple) else type(default))


def leaves(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for part in command.list_commands(context):
        found = command.get_command(context, part)
        assert found is not None
        yield from leaves(found, f"{name} {part}".strip())


def test_the_reference_has_every_command_and_option() -> None:
    text = REFERENCE.read_text("utf-8")
    settings = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Settings)}
    for name, command in leaves(cli):
        assert f"panglot {name}" in text, name
        for parameter in command.params:
            if not isinstance(parameter, click.Option) or parameter.hidden:
                continue
            if not (name == "train" and settings & set(parameter.opts)):
                assert any(f"`{option}" in text for option in parameter.opts), f"{name} {parameter.opts}"


def test_the_reference_has_every_name_of_the_code() -> None:
    text = REFERENCE.read_text("utf-8")
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    variables = {*re.findall(r"environ[^\n]{0,12}[\"']([A-Z_]{4,})[\"']", source)} - {
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "TRANSFORMERS_VERBOSITY",
    }
    assert "PANGLOT_DATA" in variables
    for name in (*variables, *CARDS, *get_args(Batches), *importlib.import_module("panglot").__all__):
        assert name in text, name
    for card in CARDS.values():
        row = re.search(rf"(?m)^\| `{card.name}` \|(.*)\|$", text)
        assert row, card.name
        for part in card.parts:
            assert f"`{part}`" in row[1], (card.name, part)
        for kind in card.candidates:
            assert kind in row[1], (card.name, kind)


def signatures() -> dict[str, str]:
    """Return the parameters that the reference gives to functions of panglot and to methods of its index."""
    section = REFERENCE.read_text("utf-8").split("\n## Python\n")[1]
    methods = re.search(r"(?m)^`panglot\.Index` has (.*) and `close\(\)`", section)
    assert methods is not None
    found = dict(re.findall(r"(?m)^\| `panglot\.(\w+)\((.*?)\)` \|", section))
    return found | {f"Index.{name}": listed for name, listed in re.findall(r"`(\w+)\((.*?)\)`", methods[1])}


@pytest.mark.parametrize(("name", "listed"), signatures().items())
def test_the_reference_has_the_true_parameters(name: str, listed: str) -> None:
    called: Any = importlib.import_module("panglot")
    for part in name.split("."):
        called = getattr(called, part)
    true = [each for each in inspect.signature(called).parameters.values() if each.name != "self"]
    given, _, keywords = (part.strip(", ") for part in listed.partition("*, "))
    named = [each for each in keywords.split(", ") if each and not each.startswith("**")]
    by_name = [each.name for each in true if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [each for each in given.split(", ") if each and not each.startswith("**")] == [
        each.name for each in true if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    if "…" in named:  # The text says which are meant.
        assert {*named} - {"…"} <= {*by_name}
    elif any(each.kind is inspect.Parameter.VAR_KEYWORD for each in true):
        assert {*named} >= {*by_name}
    else:
        assert sorted(named) == sorted(by_name)


@pytest.mark.parametrize("block", [b for d in DOCUMENTS for b in blocks(d) if b.language == "python"], ids=repr)
def test_python_examples_import_what_there_is(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("panglot"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "panglot":
            assert hasattr(importlib.import_module("panglot"), node.attr), node.attr


@pytest.mark.parametrize("block", [b for d in DOCUMENTS for b in blocks(d) if b.language == "python"], ids=repr)
def test_python_examples_call_with_arguments_that_there_are(block: Block) -> None:
    """Check calls of imported names and of their attributes. Models of pydantic have no signature of their own."""
    tree, known = ast.parse(block.text), {"panglot": importlib.import_module("panglot")}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("panglot"):
            module = importlib.import_module(node.module or "")
            known |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(isinstance(each, ast.Starred) for each in node.args):
            continue
        called = _known_object(node.func, known)
        if called is None or hasattr(called, "model_fields"):
            continue
        keywords = {each.arg: None for each in node.keywords if each.arg}
        inspect.signature(called).bind_partial(*[None] * len(node.args), **keywords)


def _known_object(node: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _known_object(node.value, known)
        return None if owner is None else getattr(owner, node.attr)
    return None


@pytest.mark.parametrize("block", [b for d in DOCUMENTS for b in blocks(d) if b.language in {"toml", "json"}], ids=repr)
def test_recipes_and_json_examples_are_right(block: Block) -> None:
    if block.language == "toml":
        values = tomllib.loads(block.text)
        if "on" in values:
            Settings.from_dict(values)
    else:
        for line in filter(str.strip, block.text.splitlines()):
            json.loads(line)


def test_the_example_of_precomputed_vectors_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import panglot

    (code,) = (b.text for b in blocks(ROOT / "docs" / "how-to.md") if b.language == "python" and "np.savez" in b.text)
    row = '{{"group": "{0}", "language": "en", "question": "What is {0}?", "passage": "{0} is number {1} here."}}\n'
    names = "lake hill town river forest island desert bridge castle garden tower canal".split()  # noqa: SIM905
    (tmp_path / "my-docs.jsonl").write_text("".join(row.format(name, at) for at, name in enumerate(names)))
    monkeypatch.chdir(tmp_path)
    random = "__import__('numpy').random.default_rng(len(side)).normal(size=(len(rows), 384))"
    wrong = re.sub(r"return model\.encode\([^\n]*", f"return {random}.astype('float32')", code)
    assert wrong != code
    scores: list[float] = []
    for each in (code, wrong):
        exec(compile(each, "how-to.md", "exec"), {})
        figures = panglot.evaluate("vectors:mine.npz", "my-docs.jsonl", draws=0).figures["datasets"]["my-docs"]
        scores.append(figures["monolingual"]["mAP"])
    real = panglot.evaluate("bundled", "my-docs.jsonl", draws=0).figures["datasets"]["my-docs"]["monolingual"]["mAP"]
    assert scores[0] == pytest.approx(real, abs=0.01)
    assert scores[1] < 0.6 < scores[0]
