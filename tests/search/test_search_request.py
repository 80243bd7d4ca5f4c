"""The options of a search."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from search_made import Biased

from panglot._errors import PanglotError
from panglot.cli.index import search_command
from panglot.data import language
from panglot.search.index import Index
from panglot.search.query_language import ENOUGH, forms, query_language
from panglot.search.request import SearchRequest, search_options


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("k", 0),
        ("k", 1001),
        ("language", "xx-nonsense-9"),
        ("languages", ("de", "no such")),
        ("mode", "fair"),
        ("preferred_languages", ("??",)),
        ("boost", -0.1),
        ("boost", float("nan")),
        ("boost", 3.0),
        ("query", " "),
        ("query", 5),
        ("k", True),
        ("k", "5"),
        ("collapse", 1),
        ("language", "d" * 65),
        ("languages", ("de",) * 501),
        ("offset", -1),
        ("offset", 9_995),  # with the ten results beyond 10,000
        ("score_threshold", float("nan")),
        ("score_threshold", "0.5"),
        ("fields", 5),
        ("where", "year >="),
        ("where", ["year"]),
        ("where", "a = 1 and " * 1001 + "a = 1"),
        ("fields", ("x",) * 501),
        ("fields", (None,)),
        ("languages", [1]),
        ("query", "dru\udcffcken"),
        ("languages", ("d\ud800",)),
        ("score_threshold", 10**400),
        ("boost", 10**400),
    ],
)
def test_a_wrong_request_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(PanglotError) as error:
        SearchRequest(**cast("dict[str, Any]", {"query": "x", field: value})).validate()
    assert error.value.field == field
    assert error.value.hint


def test_preferring_no_language_is_refused() -> None:
    with pytest.raises(PanglotError, match="the mode `preferred` requires `preferred_languages`"):
        SearchRequest("x", mode="preferred").validate()


def test_the_keywords_of_an_index_are_the_options_of_a_request() -> None:
    keywords = inspect.signature(Index.search).parameters
    options = {option.name: option.default for option in search_options()}
    assert list(keywords) == ["self", *options]
    for name, default in options.items():
        if name != "query":
            assert (keywords[name].default or default) == default
            assert keywords[name].default in (default, None)
            assert keywords[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_codes_become_canonical_and_once_each() -> None:
    request = SearchRequest("x", language="deu", languages=("zh_TW", "zho_Hant", ""), preferred_languages="swh, ja")
    request = request.validate()
    assert (request.language, request.languages) == ("de", ("zh-Hant",))
    assert request.preferred_languages == ("sw", "ja")
    assert request.validate() == request


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie drucke ich nur einen Teil der Tabelle?", "de"),
        ("How do I print a part of the table?", "en"),  # no documents in it
        ("テーブルの一部だけを印刷するには？", "ja"),
        ("Πώς τυπώνω μόνο ένα μέρος του πίνακα;", "el"),  # in none of the languages
        ("Como imprimir apenas uma parte da tabela?", "pt-BR"),
        ("我想在電腦上列印這個文件，應該怎麼做？", "zh-Hant"),
        ("我想在电脑上打印这个文件，应该怎么做？", "zh"),
        ("Kako da odštampam tabelu u dokumentu?", "sr-Latn"),
        ("Како да одштампам табелу у документу?", "sr"),
    ],
)
def test_the_language_and_script_of_a_question_are_found(text: str, language: str) -> None:
    found = query_language(text, ("de", "ja", "nl", "pt-BR", "sr", "sr-Latn", "zh", "zh-Hant"))
    assert found[:2] == (language, "detected")
    assert found.confidence is not None
    assert found.confidence >= ENOUGH


@pytest.mark.parametrize(
    "text", ["imprimer", "sort", "chart", "PDF export", "Strg+Pos1", "E1047", "1047", "?", "印刷", "打印", "tabla"]
)
def test_a_doubtful_language_is_the_default_or_unknown(text: str) -> None:
    languages = ("ar", "de", "en", "fr", "ja", "nl", "zh")
    unknown = query_language(text, languages)
    assert unknown[:2] == ("", "default")
    assert unknown.confidence is not None
    assert unknown.confidence < ENOUGH
    assert query_language(text, languages, default="fr") == ("fr", "default", unknown.confidence)
    assert query_language(text, languages, "ja", "fr") == ("ja", "declared", None)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("en", ["en", "en-GB", "en-x-old"]),
        ("en-GB", ["en-GB"]),
        ("en-US", ["en", "en-GB", "en-x-old"]),  # none, so all forms
        ("pt", ["pt-BR"]),
        ("zh", ["zh"]),
        ("zh-Hant", ["zh-Hant", "zh-Hant-HK"]),
        ("sr", ["sr"]),
        ("sr-Latn", ["sr-Latn", "sr-ME"]),
        ("fr", []),
    ],
)
def test_a_language_covers_its_regional_forms_in_the_same_script(code: str, found: list[str]) -> None:
    known = ["en", "en-GB", "en-x-old", "pt-BR", "zh", "zh-Hant", "zh-Hant-HK", "sr", "sr-Latn", "sr-ME"]
    assert forms(code, known) == found


def test_one_language_is_one() -> None:
    with pytest.raises(PanglotError, match=r"`language` must be one language, got 'de,fr'"):
        SearchRequest("x", language="de,fr").validate()


def test_py3langid_is_asked_once_for_each_query(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, asked = type(language.identifier()), list[str]()
    rank = kind.rank
    monkeypatch.setattr(kind, "rank", lambda self, text: asked.append(text) or rank(self, text))
    query = "Where are the printers of this house?"
    assert query_language(query, ["de", "en"]).code == "en"
    assert asked == [query]


def test_errors_on_the_command_line_name_its_options() -> None:
    for options, problem, hint in (
        (["--mode", "preferred"], "`preferred` requires `--prefer`", "give `--prefer`"),
        (["--top", "0"], "`--top` must be", "choose a value"),
        (["--lexical-weight", ".3"], "`--lexical-weight` requires `--hybrid`", "add `--hybrid`"),
        (["--where", "language >"], "expected a value", "language >"),
    ):
        error = CliRunner().invoke(search_command, ["nowhere", "x", *options]).exception
        assert isinstance(error, PanglotError)
        assert problem in error.problem
        assert hint in str(error.hint)


def test_documents_in_no_known_language_can_be_asked_for(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "12345 67890"}, {"id": "2", "text": "12345 drucken", "language": "de"}]
    index = Index.build(rows, tmp_path / "index", model=Biased())
    assert index.counts() == {"de": 1, "und": 1}
    assert [hit.document.id for hit in index.search("12345", languages="UND").hits] == ["1"]
    assert {hit.document.id for hit in index.search("12345", languages=["und", "deu"]).hits} == {"1", "2"}
    first = index.search("12345", mode="preferred", preferred_languages="und", boost=2).hits[0]
    assert first.document.id == "1"
    # A query in no known language is one whose language nobody said, as for documents.
    assert index.search("Wie drucke ich die Tabelle?", language="und", default_language="und").language == "de"
