"""The options of a search."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest

from panglot._errors import PanglotError
from panglot.search.index import Index
from panglot.search.request import SearchRequest, search_options
from panglot.search.searcher import language_of


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
    ],
)
def test_the_language_of_a_question_is_found(text: str, language: str) -> None:
    assert language_of(text, ("de", "ja", "nl", "pt-BR")) == language


def test_regions_of_the_documents_are_taken() -> None:
    assert language_of("Como imprimir apenas uma parte da tabela?", ("pt-BR", "de")) == "pt-BR"
