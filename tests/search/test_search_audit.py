"""The bias of an index without labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from search_made import LANGUAGES, Biased, documents, use_memory

from panglot._errors import PanglotError
from panglot.cli.evaluate import evaluate_command
from panglot.cli.index import index_command, search_command
from panglot.search import index as module
from panglot.search.audit import (
    DEPTH,
    AuditQuery,
    advice,
    audit_bias,
    figures,
    rank_others,
)
from panglot.search.document import Document, ScoredDocument
from panglot.search.index import Index
from panglot.search.queries import read_queries, sample_queries


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    use_memory(monkeypatch)
    found = Index.build(documents(), tmp_path / "index", model=Biased())
    monkeypatch.setattr(module, "open_encoder", lambda model, **_: (Biased(), Biased(), model))
    head = json.loads((tmp_path / "index" / "index.json").read_text("utf-8"))
    (tmp_path / "index" / "index.json").write_text(json.dumps({**head, "model": "bundled"}))
    return found


def test_questions_are_the_titles_of_groups_in_every_language(index: Index) -> None:
    queries = sample_queries(index.documents(), 5)
    assert len(queries) == 5 * len(LANGUAGES)
    assert queries == sample_queries(index.documents(), 5)
    assert queries != sample_queries(index.documents(), 5, seed=1)
    for each in queries:
        topic = each.group.removeprefix("g")
        assert each.text == f"<{each.language}> {topic}"
        assert each.versions == {f"{topic}-{code}": code for code in LANGUAGES}


def test_what_a_cross_encoder_makes_of_each_mode_is_measured_too(
    index: Index, cross_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = sample_queries(index.documents(), 2)
    asked = tmp_path / "queries.jsonl"
    given = [{"group": each.group, "language": each.language, "text": each.text} for each in queries]
    asked.write_text("".join(f"{json.dumps(each)}\n" for each in given), "utf-8")
    arguments = [str(index.folder), "--queries", str(asked), "--reranker", str(cross_encoder), "--json", "-"]
    done = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    modes = json.loads(done.stdout)["modes"]
    name = cross_encoder.name
    assert list(modes) == [f"{mode}{more}" for mode in ("plain", "centered", "balanced") for more in ("", f" + {name}")]
    again = Index.open(index.folder, model=Biased(), reranker=str(cross_encoder))
    for mode in ("plain", "centered"):
        shares = modes[f"{mode} + {name}"]["language_share@10"]
        assert shares != modes[mode]["language_share@10"]
        for code in LANGUAGES:
            first = [
                hit.document.language
                for each in queries if each.language == code
                for hit in again.search(each.text, k=10, language=code, mode=mode).hits
            ]  # fmt: skip
            assert shares[code] == {other: pytest.approx(first.count(other) / len(first)) for other in LANGUAGES}
    monkeypatch.setattr(module, "Reranker", lambda _name: Prefers())
    arguments[-3] = "prefers"
    done = CliRunner().invoke(evaluate_command, [*arguments, "--rerank-depth", "120"], catch_exceptions=False)
    for mode, found in json.loads(done.stdout)["modes"].items():
        assert (found["self_preference@10"] == pytest.approx(4.0)) == ("prefers" in mode)


class Prefers:
    """A cross-encoder for which only documents in the query's language are good."""

    name = "prefers"

    def scores(self, query: str, documents: Sequence[str]) -> Any:
        return np.array([float(query.split(maxsplit=1)[0] == each.split()[0]) for each in documents])


def test_without_groups_documents_ask_and_without_titles_first_sentences() -> None:
    given = [Document(f"{row}", f"Satz Nummer {row}. Und noch einer.", "", "de") for row in range(9)]
    queries = sample_queries(iter([given]), 4)
    assert len(queries) == 4
    assert all(each.text.startswith("Satz Nummer") and each.text.endswith(".") for each in queries)
    assert all(each.versions == {each.group[1:]: "de"} for each in queries)


def test_a_language_that_few_groups_have_is_asked_too() -> None:
    given = [
        Document(f"{n}-{code}", "x", f"title {n} {code}", code, str(n)) for n in range(90) for code in ("en", "de")
    ]
    given += [Document(f"es-{n}", "x", f"título {n}", "es") for n in range(200)]
    given += [Document(f"{n}-fr", "x", f"titre {n}", "fr", str(n)) for n in range(70, 76)]
    given.append(Document("only", "x", "ainoa", "fi"))
    queries = sample_queries(iter([given]), 50)
    times = Counter(each.language for each in queries)
    assert (times["es"], times["fr"], times["fi"]) == (10, 6, 1)
    assert 50 <= times["en"] == times["de"] <= 56
    assert queries == sample_queries(iter([given]), 50)
    # Where the groups have enough of each language, there are no more.
    parallel = sample_queries(iter([[each for each in given if each.language in {"en", "de"}]]), 50)
    assert len(parallel) == 100
    assert [each.group for each in parallel[::2]] == [*dict.fromkeys(each.group for each in queries)][:50]


def test_passages_of_one_section_are_versions_of_one_document() -> None:
    given = [
        Document(f"{code}/a.md#1.{part}", f"text {part}", title, code, f"a.md#@1#{part}/2")
        for code, title in (("de", "Titel"), ("en", "Title")) for part in (1, 2)
    ]  # fmt: skip
    given += [Document(f"{code}/b.md#1", "text", f"other {code}", code, "b.md#@1") for code in ("de", "en")]
    queries = sample_queries(iter([given]), 4)
    asked = {each.text: each for each in queries}
    assert sorted(asked) == ["Titel", "Title", "other de", "other en"]
    assert len(queries) == 4, "a title is asked once"
    assert asked["Titel"].source == "de/a.md#1.1"
    assert asked["Titel"].versions == {each.id: each.language for each in given[:4]}


def test_a_bias_is_told_and_so_is_what_helps(index: Index) -> None:
    found = audit_bias(index, sample_queries(index.documents(), 10))
    plain, centered, balanced = (found["modes"][mode] for mode in ("plain", "centered", "balanced"))
    assert plain["self_preference@10"] == pytest.approx(4.0)  # all ten of them
    assert plain["translation_found@10"] < 0.5
    for better in (centered, balanced):
        assert better["self_preference@10"] < 2.5
        assert better["translation_found@10"] > 0.9
        assert better["rank_correlation"] > plain["rank_correlation"]
    assert plain["language_share@10"]["de"]["de"] == 1.0
    assert sum(centered["language_share@10"]["de"].values()) == pytest.approx(1)
    assert plain["pool_share"] == dict.fromkeys(LANGUAGES, 0.25)
    assert found["advice"][1].startswith("The mode ")
    json.dumps(found, allow_nan=False)


def test_what_the_question_was_taken_from_does_not_count() -> None:
    query = AuditQuery("g1", "de", "?", {"1-de": "de", "1-fr": "fr", "1-sw": "sw"})
    rows = [("1-de", "de", "1"), ("a", "fr", ""), ("1-fr", "fr", "1"), ("b", "de", ""), ("1-sw", "sw", "1")]
    ranked = [ScoredDocument(name, 1 - 0.1 * row, code, group) for row, (name, code, group) in enumerate(rows)]
    found = rank_others(ranked, query)
    assert (found.languages, dict(found.places)) == (("fr", "de"), {"fr": 2, "sw": 3})
    many = [ScoredDocument(f"{row}", 0.5, "de") for row in range(DEPTH + 1)]
    assert dict(rank_others([*many, ranked[2]], query).places) == {}


def test_a_short_ranking_does_not_cut_the_others() -> None:
    counts = {"de": 6, "en": 6}
    queries = [AuditQuery("1", "en", "?", {}), AuditQuery("2", "en", "?", {}), AuditQuery("3", "de", "?", {})]
    ranked = [ScoredDocument(f"{n}", 1.0 - n / 100, "en" if n < 6 else "de") for n in range(12)]
    found = figures(queries, [rank_others(ranked[:n], q) for n, q in zip((12, 1, 0), queries, strict=True)], counts)
    # Of 10 results 6 are in English, and of 1 result 1. The third query has none.
    assert found["language_share@10"] == {"en": {"de": 0.2, "en": 0.8}}
    assert found["self_preference@10_by_language"] == {"en": pytest.approx(1.6)}


def test_few_documents_are_no_harm() -> None:
    query = AuditQuery("g1", "de", "?", {})
    found = figures([query], [rank_others([], query)], {"de": 1})
    assert found["translation_found@10"] is None
    assert found["self_preference@10"] is None
    assert advice({"plain": {**found, "self_preference@10": None}})[0].startswith("No query is in a language")


@pytest.mark.parametrize(
    ("line", "field"),
    [('{"group": "1", "language": "de"}', "text"), ('{"group": "1", "language": "??", "text": "a"}', "language")],
)
def test_a_broken_line_of_questions_names_its_field(tmp_path: Path, line: str, field: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f'{{"group": 1, "language": "deu", "text": "Wo?"}}\n{line}\n', "utf-8")
    with pytest.raises(PanglotError) as error:
        read_queries(path)
    assert (error.value.line, error.value.field) == (2, field)


def test_the_group_of_a_query_may_be_the_number_0(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"group": 0, "language": "de", "text": "Wo?"}\n', "utf-8")
    assert [each.group for each in read_queries(path)] == ["0"]


def run(command: Any, *arguments: object) -> Any:
    return CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)


def test_evaluate_judges_an_index(index: Index, tmp_path: Path) -> None:
    done = run(evaluate_command, index.folder, "--json", tmp_path / "judged.json")
    assert "plain" in done.stdout
    assert "The mode " in done.stdout
    found = json.loads((tmp_path / "judged.json").read_text("utf-8"))
    assert set(found["modes"]) == {"plain", "centered", "balanced"}
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f'{{"group": "t", "language": "{x}", "text": "<{x}> topic4"}}\n' for x in ("de", "sw")))
    given = json.loads(run(evaluate_command, index.folder, "--queries", path, "--json", "-").stdout)
    assert given["languages"] == ["de", "sw"]
    assert given["modes"]["plain"]["translation_found@10"] is None
    forms = json.loads(run(evaluate_command, index.folder, "--languages", "de-AT,sw-KE,ja", "--json", "-").stdout)
    assert forms["languages"] == ["de", "ja", "sw"]
    few = path.read_text("utf-8").replace('"de"', '"de-CH"')
    path.write_text(few, "utf-8")
    given = run(evaluate_command, index.folder, "--queries", path, "--languages", "de", "--json", "-")
    assert json.loads(given.stdout)["languages"] == ["de-CH"]
    with pytest.raises(PanglotError, match=r"there is no query in these languages.*name some of de-CH, sw"):
        run(evaluate_command, index.folder, "--queries", path, "--languages", "fr")
    with pytest.raises(PanglotError, match="this is not an index"):
        run(evaluate_command, "bundled")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--report", "page.html"), "report"),
        (("--misses", "misses.jsonl"), "misses"),
        (("--trec-run", "a.run"), "trec_run"),
        (("--measures", "mAP"), "measures"),
        (("--robust",), "robust"),
        (("starter:dev", "--queries", "questions.jsonl"), "queries"),
    ],
)
def test_evaluate_refuses_what_it_would_ignore(index: Index, arguments: tuple[str, ...], name: str) -> None:
    with pytest.raises(PanglotError) as error:
        run(evaluate_command, index.folder, *arguments)
    assert error.value.field == name


def test_search_prints_and_gives_json(index: Index) -> None:
    done = run(search_command, index.folder, "<de> topic3", "--language", "de", "--mode", "centered", "--highlight")
    assert "query in de; mode centered" in done.stdout
    assert "1. <" in done.stdout
    assert "25% of documents" in done.stdout
    assert "**" not in done.stdout  # The only sentence of a text is not marked.
    options = ("--prefer", "sw,ja", "--boost", "2", "--languages", "sw,de", "--top", "3", "--collapse", "--json", "-")
    found = json.loads(run(search_command, index.folder, "<de> topic3", *options).stdout)
    assert found["mode"] == "preferred"
    assert [hit["language"] for hit in found["hits"]] == ["sw"] * 3
    assert set(found["hits"][0]["languages"]) == {"sw", "de"}
    topics = [hit["id"].removesuffix("-sw") for hit in found["hits"]]
    for topic, hit in zip(topics, found["hits"], strict=True):
        assert [each["id"] for each in hit["versions"]] == [f"{topic}-sw", f"{topic}-de"]
    printed = run(search_command, index.folder, "<de> topic3", *options[:-2]).stdout
    assert printed.count("also in: de ") == 3
    assert all(f"{topic}-de" in printed for topic in topics)
    least = str(found["hits"][1]["score"])
    options += ("--offset", "1", "--score-threshold", least, "--fields", "n")
    (second, *_) = json.loads(run(search_command, index.folder, "<de> topic3", *options).stdout)["hits"]
    versions = [{**each, "title": ""} for each in found["hits"][1]["versions"]]
    assert second == {**found["hits"][1], "title": "", "text": "", "versions": versions}
    index.add([Document("two", "Etwas ganz anderes. Nun topic3 hier.", "", "de")])
    done = run(search_command, index.folder, "Nun topic3 hier.", "--language", "de", "--highlight")
    assert "**Nun topic3 hier.**" in done.stdout  # In a pipe nothing is bold.


def test_documents_are_added_and_deleted(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    path.write_text('{"id": "new", "text": "<de> topic3 neu", "language": "de"}\n', "utf-8")
    done = run(index_command, path, "--output", index.folder, "--add", "--delete", "topic1-de,topic1-en")
    assert "119 documents" in done.stdout
    (tmp_path / "ids").write_text("new\ntopic1-sw\n")
    given = run(index_command, "--output", index.folder, "--delete", f"@{tmp_path / 'ids'}", "--json", "-")
    assert json.loads(given.stdout)["deleted"] == 2
    with pytest.raises(PanglotError, match="DOCUMENTS is required"):
        run(index_command, "--output", index.folder)
    for option in (("--add",), ("--language", "de"), ("--chunk-tokens", "64")):
        with pytest.raises(PanglotError, match=f"{option[0]} does nothing without DOCUMENTS"):
            run(index_command, "--output", index.folder, "--delete", "x", *option)
    with pytest.raises(PanglotError, match="--boost does nothing without --prefer"):
        run(search_command, index.folder, "topic3", "--boost", "0.2")
