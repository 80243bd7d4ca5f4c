"""What a caller may wish."""

from __future__ import annotations

from typing import Any

import pytest

from panglot._errors import PanglotError
from panglot.search.query_language import language_of
from panglot.search.request import SearchRequest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("k", 0),
        ("k", 1001),
        ("language", "xx-nonsense-9"),
        ("languages", ("de", "no such")),
        ("mode", "fair"),
        ("reader", ("??",)),
        ("weight", -0.1),
        ("weight", float("nan")),
        ("weight", 3.0),
    ],
)
def test_a_wrong_wish_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(PanglotError) as error:
        SearchRequest(**{field: value}).check()
    assert error.value.field == field
    assert error.value.hint


def test_a_reader_who_prefers_nothing_is_told() -> None:
    with pytest.raises(PanglotError, match="no language is preferred"):
        SearchRequest(mode="reader").check()


def test_codes_become_canonical_and_once_each() -> None:
    wish = SearchRequest(language="deu", languages=("zh_TW", "zho_Hant", ""), reader=("swh",)).check()
    assert (wish.language, wish.languages, wish.reader) == ("de", ("zh-Hant",), ("sw",))
    assert wish.check() == wish


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
