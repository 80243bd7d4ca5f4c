"""Long documents become passages that the encoder reads whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from search_made import Biased

import panglot
from panglot._errors import PanglotError
from panglot.data import sentences
from panglot.data.sentences import cut
from panglot.encoders.tokenizers import open_counter
from panglot.search.document import Document
from panglot.search.ingest import passages
from panglot.search.ingest.passages import cut_documents

TEXTS = {
    "en": "To print, click Print. Then choose a printer. After that, wait! How many copies? Write it down.\n",
    "th": "การพิมพ์เอกสารทำได้โดยคลิกที่ปุ่มพิมพ์แล้วเลือกเครื่องพิมพ์ที่ต้องการใช้งานจากนั้นกดตกลงเพื่อเริ่มพิมพ์เอกสารทั้งหมด",
    "lo": "ການພິມເອກະສານສາມາດເຮັດໄດ້ໂດຍການຄລິກທີ່ປຸ່ມພິມແລ້ວເລືອກເຄື່ອງພິມທີ່ຕ້ອງການໃຊ້ງານ",
    "km": "ដើម្បីបោះពុម្ពឯកសារសូមចុចប៊ូតុងបោះពុម្ពហើយជ្រើសរើសម៉ាស៊ីនបោះពុម្ពដែលអ្នកចង់ប្រើបន្ទាប់មកចុចយល់ព្រម",
    "my": "စာရွက်စာတမ်းကိုပုံနှိပ်ရန်ပုံနှိပ်ခလုတ်ကိုနှိပ်ပြီးသင်အသုံးပြုလိုသောပရင်တာကိုရွေးချယ်ပါ",
    "zh": "要打印文档，请单击“打印”按钮，然后选择要使用的打印机。之后单击“确定”开始打印！需要几份？",
    "ja": "文書を印刷するには印刷ボタンをクリックし、使用するプリンターを選択してください。それから待ちます。",
    "ar": "لطباعة المستند انقر على زر الطباعة ثم اختر الطابعة. بعد ذلك اضغط موافق لبدء الطباعة.\n",
}
LEAST = 32


class Shown(Biased):
    """An encoder that shows the tokens of the bundled model and keeps 64."""

    max_length = 64

    def tokens(self, texts: Sequence[str]) -> Any:
        return counter().tokens(texts)


@cache
def counter() -> Any:
    return open_counter("bundled")


def cut_all(documents: Sequence[Document], tokens: int | None = LEAST) -> tuple[list[Document], list[str]]:
    said: list[str] = []
    found = cut_documents([documents], Shown(), tokens, said.append)
    return [each for piece in found for each in piece], said


def sizes(documents: Sequence[Document]) -> list[int]:
    return [each.total for each in counter().tokens([each.full_text for each in documents])]


def letters(text: str) -> str:
    return "".join(text.split())


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


PART = st.one_of(
    st.sampled_from([text[begin : begin + 40] for text in TEXTS.values() for begin in (0, 20)]),
    st.sampled_from(
        ["👩🏽‍🚀", "e\u0301\u0323", "\r\n", "🇩🇪🇹🇭", "นี้ำ", "http://example.org/" + "a" * 90, " ", "। ", "？！"]
    ),
    st.text(max_size=30),
)


@settings(max_examples=40)
@example("👩🏽‍🚀" * 40, "en", LEAST, "")
@example("e\u0301\u0323" * 99, "en", LEAST, "Title")
@example("🇩🇪🇹🇭" * 50, "und", LEAST, "")
@example("กำ\u0e49\u0e48" * 60, "th", LEAST, "")
@given(
    st.lists(PART, max_size=25).map("".join),
    st.sampled_from([*TEXTS, "und"]),
    st.integers(LEAST, 64),
    st.sampled_from(["", "Title"]),
)
def test_pieces_are_the_text_fit_and_cut_no_character(text: str, language: str, limit: int, title: str) -> None:
    text = regex.sub(r"\p{Cs}", "", text)
    (tokens,) = counter().tokens([text])
    pieces = [text[begin:end] for begin, end in cut(text, language, tokens.starts, limit)]
    assert "".join(pieces) == text
    assert [each for piece in pieces for each in graphemes(piece)] == graphemes(text)
    if not text.strip():
        return
    found, _ = cut_all([Document("1", text, title, language)], limit)
    assert letters("".join(each.text for each in found)) == letters(text)
    too_long = [each.text for each, size in zip(found, sizes(found), strict=True) if size > limit]
    assert all(len(graphemes(each)) == 1 for each in too_long)
    assert all(each.text.strip() for each in found)


@pytest.mark.parametrize("language", TEXTS)
def test_every_script_is_cut_at_its_words_and_sentences(language: str) -> None:
    pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    text = TEXTS[language] * 6
    found, said = cut_all([Document("1", text, "", language)])
    assert len(found) > 2
    assert max(sizes(found)) <= LEAST
    assert "".join(each.text for each in found) == text.replace("\n", "").replace("  ", " ") or language in ("en", "ar")
    assert not any("inside of words" in line for line in said)
    ends = {*sentences.word_ends(text, language), len(text)}
    place = 0
    for each in found:
        place = text.index(each.text, place) + len(each.text)
        assert place in ends, each.text


def test_the_best_place_is_a_paragraph_then_a_sentence() -> None:
    one = "One two three four five. Six seven eight nine ten."
    found, _ = cut_all([Document("1", f"{one}\n{one} {one}\n{one}", "", "en")])
    assert [each.text.split(".")[:-1] for each in found] == [
        line.split(".")[:-1] for line in (one, f"{one} {one}", one)
    ]
    found, _ = cut_all([Document("1", " ".join([one] * 4), "", "en")])
    assert len(found) > 1
    assert all(each.text.endswith((".",)) for each in found)


def test_a_short_document_stays_as_it_is() -> None:
    short = Document("1", "  Click Print.\n", "Printing", "en", "g", {"n": 1})
    found, said = cut_all([short], None)
    assert found == [short]
    assert said == ["1 document became 1 passage of at most 64 tokens (en 100%)"]


def test_versions_are_cut_into_equally_many_passages_that_share_groups() -> None:
    longest = Document("en/a.md#2", TEXTS["en"] * 4, "Title", "en", "a.md#2")
    others = [Document(f"{code}/a.md#2", TEXTS[code] * 2, "", code, "a.md#2") for code in ("zh", "th")]
    found, said = cut_all([longest, *others, Document("x", "Alone.", "", "en")])
    number = sum(each.id.startswith("en/") for each in found)
    assert [each.id for each in found[:number]] == [f"en/a.md#2.{place}" for place in range(1, number + 1)]
    groups = Counter(each.group for each in found[:-1])
    assert groups == {f"a.md#2#{place}/{number}": 3 for place in range(1, number + 1)}
    assert {each.title for each in found[:number]} == {"Title"}
    assert (found[-1].id, found[-1].group) == ("x", "")
    assert said[0].startswith(f"4 documents became {len(found)} passages of at most 32 tokens (")
    assert max(sizes(found)) <= LEAST


def test_a_version_that_is_much_shorter_is_not_cut_to_pieces() -> None:
    versions = [
        Document("en", TEXTS["en"] * 9, "", "en", "g"),
        Document("de", "Klicken Sie. Warten Sie.", "", "de", "g"),
    ]
    found, _ = cut_all(versions)
    assert found[-1] == versions[-1]


def test_rows_are_numbered_behind_their_id_and_may_not_collide() -> None:
    long = TEXTS["en"] * 4
    assert [each.id for each in cut_all([Document("7", long, "", "en")])[0]][:2] == ["7#1", "7#2"]
    with pytest.raises(PanglotError, match="would have the id '7#2' of another document"):
        cut_all([Document("7#2", "x", "", "en"), Document("7", long, "", "en")])


def test_a_long_title_leaves_half_of_a_passage_to_the_text() -> None:
    found, said = cut_all([Document("1", TEXTS["zh"], TEXTS["th"], "zh")])
    assert max(sizes(found)) <= LEAST
    assert 0 < len(found[0].title) < len(TEXTS["th"])
    assert "titles that were shortened to half of a passage: 1" in said


def test_without_dictionaries_words_are_those_of_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (passages, sentences):
        monkeypatch.setattr(module, "word_ends", lambda _text, _language: [])
    text = TEXTS["th"] * 4
    found, said = cut_all([Document("1", text, "", "th")])
    assert "".join(each.text for each in found) == text
    assert graphemes(text) == [each for piece in found for each in graphemes(piece.text)]
    assert any("cuts that may be inside of words" in line and "[lexical]" in line for line in said)


def test_a_very_long_text_is_cut_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "_STRETCH", 500)
    for text in (TEXTS["en"] * 40, TEXTS["km"] * 20):
        found, _ = cut_all([Document("1", text, "T", "en")])
        assert letters("".join(each.text for each in found)) == letters(text)
        assert [each.id for each in found] == [f"1#{number}" for number in range(1, len(found) + 1)]
        assert max(sizes(found)) <= LEAST


def test_the_number_of_tokens_must_be_possible() -> None:
    for wrong in (31, 65, 0, -1):
        with pytest.raises(PanglotError, match=r"`chunk_tokens` must be between 32 and 64"):
            cut_all([Document("1", "x", "", "en")], wrong)


def test_an_encoder_that_shows_no_tokens_gets_those_of_the_bundled_one() -> None:
    said: list[str] = []
    documents = [Document("1", TEXTS["zh"] * 30, "", "zh")]
    found = [each for piece in cut_documents([documents], Biased(), None, said.append) for each in piece]
    assert len(found) > 1
    assert max(sizes(found)) <= passages.TOKENS
    assert said[0] == "biased does not show its tokens, so those of bundled are counted"


@pytest.mark.parametrize("language", ["th", "en"])
def test_a_real_model_keeps_every_passage_whole(language: str) -> None:
    encoder = panglot.load("bundled")
    documents = [Document("1", TEXTS[language] * 60, "Title", language)]
    found = [each for piece in cut_documents([documents], encoder) for each in piece]
    texts = [each.full_text for each in found]
    assert max(each.total for each in encoder.tokens(texts)) <= passages.TOKENS  # type: ignore[attr-defined]
    assert encoder.count_cut(texts, "passage") == 0  # type: ignore[attr-defined]
    # The prompt counts.
    assert encoder.tokens(["a"])[0].total == counter().tokens(["passage: a"])[0].total  # type: ignore[attr-defined]
    assert encoder.tokens(["a b"])[0].starts[0] == 0  # type: ignore[attr-defined]
