"""What every change keeps."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot.probe import changes as phrases
from panglot.probe.changes import CHANGES, Material, Versions, ascii_digits, names, read_lexicons

QUESTIONS = {
    "ar": "ماذا افتتحت الملكة اليزابيث الثانية في نيوكاسل عام 1981؟",
    "de": "Was hat Königin Elizabeth II 1981 in Newcastle eröffnet?",
    "el": "Τι εγκαινίασε η Βασίλισσα Ελισάβετ ΙΙ στο Νιούκασλ το 1981;",
    "es": "¿Qué abrió la Reina Isabel II en Newcastle en 1981?",
    "hi": "१९८१ में क्वीन एलिजाबेथ द्वितीय ने न्यूकैसल में क्या खोला?",
    "ru": "Что Елизавета II открыла в Ньюкасле в 1981 году?",
    "th": "พระราชินีเอลิซาเบ็ธที่ 2 เป็นผู้เปิดทำการสิ่งใดในนิวคาสเซิลในปี 1981?",
    "tr": "Kraliçe II. Elizabeth Işık Irmağı'nda 1981'de ne açtı?",
    "zh": "女王伊丽莎白二世于1981年在纽卡斯尔建设了什么？",
    "qaa": "Vo ke 1981 Newcastle?",
}
ENGLISH = "What did Queen Elizabeth II open in Newcastle in 1981?"
WORDS = {"th": {"queen": ("พระราชินี",)}, "de": {"queen": ("Königin",), "open": ("hat",)}, "zh": {"queen": ("女王",)}}

CONTAINING = {"please", "thanks", "topic", "name", "distractor"}

SCRIPTS = {
    "de": "abcßäöüABCÄÖÜ",
    "tr": "aıiIİşŞ",
    "el": "αςσΣΩά;",
    "th": "กขคาๆ๑",
    "ar": "ابتث٣",
    "es": "¿añÑ",
    "en": "abcABC",
}


def fold(text: str, language: str) -> str:
    return phrases.lower(phrases.upper(text, language), language).casefold()


def material(language: str, other: str, english: str = ENGLISH) -> Material:
    return Material(
        Versions(language, english, other), (("Lions sleep.", "XYZ 77"), ("It rains.", "ABC")), WORDS.get(language, {})
    )


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:[.,]\d+)*", ascii_digits(text))


def check(change: str, language: str, english: str, other: str) -> int:
    """Check what holds for every change; return how many changed versions there were."""
    one = CHANGES[change]
    start = Versions(language, english, other)
    found = list(one.apply(start, material(language, other, english)))
    for after in found:
        assert after != start
        assert after.language == language
        assert after.other != other
        assert (after.english != english) or not one.both or change == "no-mark"
        if not one.both:
            assert after.english == english
        for old, new, code in ((english, after.english, "en"), (other, after.other, language)):
            # The answer is kept, although its digits may be in another script.
            assert not Counter(numbers(old)) - Counter(numbers(new))
            if change in CONTAINING:
                assert old in new
            if change in {"lower", "capitals"}:
                assert fold(new, code) == fold(old, code)
        for name in names(english):
            assert name.casefold() in after.english.casefold()
    return len(found)


@pytest.mark.parametrize("language", QUESTIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_numbers_names_and_texts_are_kept(change: str, language: str) -> None:
    made = check(change, language, ENGLISH, QUESTIONS[language])
    offered = CHANGES[change].languages
    if offered is not None and language not in offered:
        assert not made
    if change in {"please", "thanks"}:
        assert made == (language != "qaa")
    if change in {"no-mark", "distractor"}:
        assert made
    if change in {"lower", "capitals"}:
        assert bool(made) == (language not in {"ar", "hi", "th", "zh"})


@given(change=st.sampled_from(sorted(CHANGES)), language=st.sampled_from(sorted(SCRIPTS)), data=st.data())
def test_any_text_survives(change: str, language: str, data: st.DataObject) -> None:
    letters = st.text(SCRIPTS[language] + " 12?.,()", min_size=1, max_size=30)
    if language != "en":
        check(change, language, "Who saw Rome in 12?" + data.draw(st.sampled_from(["", " ", "?"])), data.draw(letters))


def versions(change: str, language: str, other: str, english: str = ENGLISH) -> list[Versions]:
    return list(CHANGES[change].apply(Versions(language, english, other), material(language, other, english)))


def test_each_change_does_what_it_says() -> None:
    assert versions("no-mark", "es", QUESTIONS["es"])[0].other == "Qué abrió la Reina Isabel II en Newcastle en 1981"
    assert versions("no-mark", "el", "Τι;")[0] == Versions("el", ENGLISH[:-1], "Τι")
    assert not versions("no-mark", "el", "Τι")
    assert versions("native-digits", "th", "ปี 1981")[0].other == "ปี ๑๙๘๑"
    assert versions("western-digits", "hi", QUESTIONS["hi"])[0].other.startswith("1981 ")
    assert versions("word", "th", QUESTIONS["th"])[0].other.startswith("queenเอ")
    assert versions("word", "zh", QUESTIONS["zh"])[0].other.startswith("queen伊")
    assert [v.other for v in versions("word", "de", "Was hat Königin Königinnenhat gesagt?")] == [
        "Was hat queen Königinnenhat gesagt?",
        "Was open Königin Königinnenhat gesagt?",
    ]
    assert versions("name", "th", QUESTIONS["th"])[0].other.endswith("(Queen Elizabeth II, Newcastle)")
    assert versions("name", "de", QUESTIONS["de"])[0].other.endswith("(Queen Elizabeth II)")
    assert versions("topic", "zh", QUESTIONS["zh"])[0] == Versions("zh", f"1981: {ENGLISH}", f"1981：{QUESTIONS['zh']}")
    assert not versions("topic", "hi", QUESTIONS["hi"])  # 1981 is written differently there
    assert versions("distractor", "zh", "谁？")[0] == Versions("zh", f"Lions sleep. {ENGLISH}", "XYZ 77谁？")
    assert versions("capitals", "tr", "ılık iş?")[0].other == "ILIK İŞ?"


def test_frames_exist_for_both_ends_in_the_same_languages() -> None:
    assert set(phrases.PLEASE) == set(phrases.THANKS)
    assert CHANGES["please"].languages == set(phrases.PLEASE) - {"en"}
    for language, zero in phrases.ZERO.items():
        assert [chr(zero + value).isdecimal() and int(chr(zero + value)) for value in range(10)] == list(range(10)), (
            language
        )


def test_lexicons_are_read_where_they_lie(tmp_path: object, data_dir: object) -> None:
    found = read_lexicons(str(data_dir), ["th", "zh"])
    assert set(found) == {"th", "zh"}
    assert all(word.islower() and targets for words in found.values() for word, targets in words.items())
    assert read_lexicons(str(tmp_path), ["th"]) == {}
