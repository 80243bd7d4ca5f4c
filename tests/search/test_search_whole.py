"""From a file to results and an audit, with the bundled model and the embedded store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import panglot
from panglot._errors import PanglotError
from panglot.cli.evaluate import evaluate_command
from panglot.cli.index import index_command, search_command
from panglot.search.ranking.modes import Mode
from panglot.search.ranking.reranking import sentences_of

LANGUAGES = ("de", "en", "ja", "sw")


def run(command: Any, *arguments: object) -> Any:
    return CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of twelve facts in four languages. Half of the documents have no language."""
    home = tmp_path_factory.mktemp("whole")
    facts = panglot.read("starter:test", languages=LANGUAGES).passages.to_pylist()
    groups = sorted({row["group"] for row in facts})[:12]
    lines = [
        {"id": row["id"], "text": row["text"], "group": row["group"], "source": "starter"}
        | ({"language": row["language"]} if row["language"] in {"de", "ja"} else {})
        for row in facts
        if row["group"] in groups
    ]
    path = home / "docs.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    done = run(index_command, path, "--output", home / "index")
    assert "48 documents" in done.stdout
    return home / "index"


def test_languages_were_detected_and_nothing_is_left_over(folder: Path) -> None:
    index = panglot.Index.open(folder)
    assert index.counts() == dict.fromkeys(LANGUAGES, 12)
    assert not (folder / "shards").exists()
    index.close()


def test_a_question_is_answered_in_every_language(folder: Path) -> None:
    asked = panglot.read("starter:test", languages=("de",)).questions.to_pylist()
    index = panglot.Index.open(folder)
    groups = {each.group for piece in index.documents() for each in piece}
    found: dict[Mode, int] = {"plain": 0, "centered": 0, "balanced": 0}
    first: list[bool] = []
    for row in asked:
        if row["group"] not in groups:
            continue
        for mode in found:
            answer = index.search(row["text"], k=4, mode=mode)
            assert (answer.language, answer.language_source) == ("de", "detected")
            found[mode] += sum(hit.document.group == row["group"] for hit in answer.hits)
        folded = index.search(row["text"], k=1, mode="centered", collapse=True)
        first.append(folded.hits[0].document.group == row["group"])
        assert folded.hits[0].document.metadata == {"source": "starter"}
    # Of 48 relevant translations, this many are in the first four.
    assert found["centered"] > found["plain"]
    assert found["balanced"] > found["plain"]
    assert sum(first) >= 0.75 * len(first) > 0
    index.close()


def test_what_the_model_did_not_see_is_never_marked(tmp_path: Path) -> None:
    asked = "The rocket needs liquid hydrogen."
    long = " ".join(["The town has mild weather, and it rains in spring."] * 70 + [asked])
    # Half of a sentence is seen of the second text, and nothing of the third, whose title fills the window.
    unbroken = "weather and rain " * 400
    given = [
        {"id": "short", "text": f"It rains. {asked}", "language": "en"},
        {"id": "long", "text": long, "title": "Weather", "language": "en"},
        {"id": "unbroken", "text": f"{unbroken}. {asked}", "language": "en"},
        {"id": "title", "text": asked, "title": unbroken, "language": "en"},
    ]
    with pytest.warns(RuntimeWarning, match="3 of 4 passages cut at 512 tokens"):
        index = panglot.Index.build(given, tmp_path / "index")
    hits = index.search(asked, language="en", highlight=True).hits
    marks = {hit.document.id: hit.document.text[slice(*hit.highlight)] for hit in hits if hit.highlight}
    assert marks == {"short": asked}
    spans = sentences_of(hits, index.encoder).spans
    seen = {hit.document.id: [hit.document.text[begin:end] for begin, end in found]
            for hit, found in zip(hits, spans, strict=True)}  # fmt: skip
    assert seen["title"] == []
    assert set(seen["long"]) == {"The town has mild weather, and it rains in spring."} | set(seen["long"][-1:])
    assert asked not in seen["long"]
    (begun,) = seen["unbroken"]
    assert begun.startswith("weather and rain weather")
    assert 500 < len(begun) < len(unbroken)
    (whole,) = index.encoder.window([long[:100]], "passage")  # type: ignore[attr-defined]
    assert whole == (0, 100)
    index.close()


def test_the_command_gives_what_the_library_gives(folder: Path) -> None:
    question = panglot.read("starter:test", languages=("sw",)).questions["text"][0].as_py()
    told = json.loads(run(search_command, folder, question, "--mode", "balanced", "--json", "-").stdout)
    index = panglot.Index.open(folder)
    answer = index.search(question, k=5, mode="balanced")
    assert [hit["id"] for hit in told["hits"]] == [hit.document.id for hit in answer.hits]
    assert [hit["score"] for hit in told["hits"]] == pytest.approx([hit.score for hit in answer.hits], abs=1e-5)
    index.close()


def test_the_command_filters_and_shows_what_is_wrong(folder: Path) -> None:
    index = panglot.Index.open(folder)
    (group, other, *_) = sorted({each.group for piece in index.documents() for each in piece})
    wanted = {each.id for piece in index.documents() for each in piece if each.group == group and each.language != "de"}
    index.close()
    where = f'source = "starter" and group in ["{group}"] and not language = "de"'
    done = run(search_command, folder, "water", "--where", where, "--json", "-")
    assert {hit["id"] for hit in json.loads(done.stdout)["hits"]} == wanted
    where = f'{{"group": "{other}", "source": {{"$ne": "starter"}}}}'
    assert (
        "No document that passes the filter was found." in run(search_command, folder, "water", "--where", where).stdout
    )
    with pytest.raises(PanglotError, match=r"no field `sorce`\. Fix: write `source`"):
        run(search_command, folder, "water", "--where", "sorce = 'x'")
    # What is wrong with the text is said before the index is opened.
    with pytest.raises(PanglotError, match="expected a value at character 9"):
        run(search_command, folder / "nowhere", "water", "--where", "source =")


def test_the_judgement_sees_the_bias_and_the_remedy(folder: Path) -> None:
    found = json.loads(run(evaluate_command, folder, "--json", "-").stdout)
    plain, centered = found["modes"]["plain"], found["modes"]["centered"]
    assert plain["self_preference@10"] > centered["self_preference@10"]
    assert centered["translation_found@10"] >= plain["translation_found@10"]
    assert found["advice"]
