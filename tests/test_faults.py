"""Mistakes on the command line: status 2, what is wrong, how to fix it, and nothing lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from panglot.cli.main import cli
from panglot.cli.options import OutputPath

Run = Callable[..., str]


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def row(group: str, language: str, **changes: object) -> dict[str, object]:
    return {"group": group, "language": language, "question": f"where {group} {language}?",
            "passage": f"{group} is here in {language}."} | changes  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (lines(row("a", "en"), {"group": "b", "language": "en", "question": "?"}), "line 2"),
        (lines(row("a", "en"), {"group": "b", "question": "q", "passage": "p"}), 'line 2, field "language"'),
        (lines(row("a", "xx-nonsense")), 'line 1, field "language"'),
        (lines(row("a", "en"), row("a", "en", passage="Another.")), "line 2"),
        (lines(row("a", "en")) + "{oops\n", "line 2"),
        (lines({"group": "b", "language": "en", "question": "who?"}), "passage"),
    ],
)
def test_broken_lines_are_named(fails: Run, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text(text, encoding="utf-8")
    told = fails("evaluate", "bundled", path)
    assert says in told
    assert str(path) in told


def test_wrong_encoding_and_truncated_gzip(fails: Run, tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(lines(row("a", "en")).encode() + '{"group": "b", "passage": "Käse"}\n'.encode("latin-1"))
    assert "line 2" in fails("data", "show", path)
    packed = tmp_path / "docs.jsonl.gz"
    packed.write_bytes(gzip.compress(lines(*(row(str(i), "en") for i in range(500))).encode())[:-40])
    assert str(packed) in fails("data", "show", packed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("evaluate", "bundled", "xquad"), "did you mean xquad-r"),
        (("evaluate", "bundled", "nowhere/docs.jsonl"), "nowhere/docs.jsonl"),
        (("evaluate", "no/such/model", "starter:dev"), "no/such/model"),
        (("evaluate", "bundled", "starter:dev", "--measures", "nDCG@"), "nDCG@"),
        (("evaluate", "bundled", "starter:dev", "--languages", "ko"), "ko"),
        (("train", "bundled"), "on"),
        (("train", "--recipe", "nowhere.toml", "--on", "starter:train"), "nowhere.toml"),
        (("train", "--on", "starter:train", "--learning-rate", "7"), "learning_rate"),
        (("train", "--on", "starter:train", "--batches", "hybird"), "batches"),
        (("train", "--on", "starter:test"), "test set"),
        (("train", "--on", "starter:train", "--mixing", "mean", "--alpha", "0.4"), "alpha"),
        (("train", "--recipe", "hybrid", "--mixing", "pcgrad"), "batches"),
        (("compare", "bundled", "bundled", "--test", "nothing-known"), "nothing-known"),
        (("data", "show", "mlqa:third"), "third"),
        # Also where nothing in the folder is needed.
        (("evaluate", "bundled", "starter:dev", "--data-dir", "nowhere"), "'nowhere' does not exist"),
        (("train", "--on", "starter:train", "--data-dir", "nowhere"), "'nowhere' does not exist"),
        (("evaluatte",), "evaluatte"),
    ],
)
def test_wrong_arguments_say_how_to_fix_them(fails: Run, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    extra = ("--output", tmp_path / "run") if arguments[0] == "train" else ()
    assert says in fails(*arguments, *extra)
    assert not (tmp_path / "run").exists()


def test_a_set_that_is_not_at_hand_says_where_to_get_it(fails: Run, tmp_path: Path) -> None:
    told = fails("evaluate", "bundled", "xquad-r", "--data-dir", tmp_path)
    assert str(tmp_path / "xquad-r") in told
    assert "github" in told


def test_an_output_that_cannot_be_written_loses_nothing(fails: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    told = fails("data", "show", "starter:dev", "--json", tmp_path / "file" / "scores.json")
    assert "cannot write" in told
    assert (tmp_path / "file").read_text() == "kept"


#: Options whose values are written, by the names of their parameters.
_OUTPUTS = {"cache", "markdown", "misses", "output", "place", "report", "to_json", "trec_run"}
#: They try the place themselves: an index may be complete already, and settings may come from a recipe.
_TRIED_LATER = {("index", "output"), ("train", "output"), ("reproduce", "output")}


def commands(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for part in group.list_commands(context):
        found = group.get_command(context, part)
        assert found is not None
        whole = f"{name} {part}".strip()
        yield from commands(found, whole) if isinstance(found, click.Group) else [(whole, found)]


def test_every_place_to_write_is_tried_before_the_work() -> None:
    outputs = {(name, str(each.name)): each.type for name, command in commands(cli) for each in command.params
               if each.name in _OUTPUTS}  # fmt: skip
    assert {place for place, kind in outputs.items() if not isinstance(kind, OutputPath)} == _TRIED_LATER
    assert len(outputs) > 20


def test_one_language_only_is_measured_as_far_as_it_goes(succeeds: Run, tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text(lines(*(row(str(i), "en") for i in range(5))), encoding="utf-8")
    found = next(iter(json.loads(succeeds("evaluate", "bundled", path, "--json", "-"))["datasets"].values()))
    assert found["monolingual"]["mAP"] > 0.5
    assert found["crosslingual"] is None
    assert any(each["what"] == "crosslingual" and each["why"] for each in found["not_measured"])


def test_a_passage_of_a_hundred_thousand_characters(succeeds: Run, tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    rows = [row("a", "en", passage="water " * 17_000), row("b", "en")]
    path.write_text(lines(*rows), encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="bundled: 1 of 2 passages cut at 512 tokens"):
        found = json.loads(succeeds("evaluate", "bundled", path, "--json", "-", "--draws", "0"))
    assert next(iter(found["datasets"].values()))["passages"] == 2
