"""Code-switching: what it replaces, what it keeps, and that it is reproducible."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot.augment.codeswitch import CodeSwitch, cased, reachable, switch
from panglot.augment.lexicons import Lexicon, is_entry, stems, words

# Translations are marked by their language, so that each word of a result shows its lexicon.
ENGLISH = ("lake", "river", "of", "course", "of course", "I", "forty-two", "as well as", "north")
LEXICON = Lexicon.of({
    language: {word: f"{language}{number}".replace("0", "o").translate(str.maketrans("12345678", "abcdefgh"))
               for number, word in enumerate(ENGLISH) if (number + shift) % 4}
    for shift, language in enumerate(("de", "fi", "sw"))
})  # fmt: skip
PLACES = ("lake", "Lake", "LAKES", "river", "of course", "of  course", "Of", "I", "forty-two", "as well as", "stone",
          "müde", "it's", "isn’t", "3rd", "2024", "x_y", "озеро", "湖", "e\u0301te")  # fmt: skip
GAPS = (" ", ", ", "\n", " — ", "-", "\t(", ") ", "... ", "\u00a0", "/")
MODES: tuple[CodeSwitch, ...] = ("bilingual", "multilingual")


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(GAPS)), max_size=14))
    return draw(st.sampled_from(["", " ", "«"])) + "".join(word + gap for word, gap in parts)


laws = settings(max_examples=60)
names = st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.sampled_from(["mlqa", "mine"]))
modes = st.sampled_from(MODES)


def gaps(text: str) -> list[str]:
    spans = words(text)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return [text[a:b] for a, b in zip([0, *ends], [*starts, len(text)], strict=True)]


@laws
@given(texts(), modes, names)
def test_with_probability_0_or_the_mode_none_the_text_stays(text: str, mode: CodeSwitch, name: tuple[int, ...]) -> None:
    for met in (
        switch(text, LEXICON, mode=mode, share=0, name=name),
        switch(text, LEXICON, mode="none", share=1, name=name),
    ):
        assert met.text == text
        assert not met.replaced
        assert met.words == len(words(text))


@laws
@given(texts(), modes, names)
def test_with_probability_1_every_word_with_an_entry_goes(text: str, mode: CodeSwitch, name: tuple[int, ...]) -> None:
    met = switch(text, LEXICON, mode=mode, share=1, name=name)
    assert sum(met.replaced.values()) == met.covered
    there = {met.text[a:b].lower() for a, b in words(met.text)}
    if mode == "multilingual":
        assert not there & {"lake", "lakes", "river", "i"}
    assert {word for word in there if word in {"stone", "müde", "it's", "isn’t", "озеро", "湖"}} == {
        word for word in (text[a:b].lower() for a, b in words(text))
        if word in {"stone", "müde", "it's", "isn’t", "озеро", "湖"}
    }  # fmt: skip
    assert re.findall(r"\w*\d\w*|x_y", met.text) == re.findall(r"\w*\d\w*|x_y", text)


@laws
@given(texts(), modes, names, st.floats(0, 1))
def test_a_name_and_a_text_have_one_result(text: str, mode: CodeSwitch, name: tuple[int, ...], share: float) -> None:
    assert switch(text, LEXICON, mode=mode, share=share, name=name) == switch(
        text, LEXICON, mode=mode, share=share, name=name
    )


@laws
@given(texts(), names, st.floats(0, 1))
def test_bilingual_goes_into_one_language(text: str, name: tuple[int, ...], share: float) -> None:
    assert len(switch(text, LEXICON, mode="bilingual", share=share, name=name).replaced) <= 1


@laws
@given(texts(), modes, names, st.floats(0, 1))
def test_what_is_between_words_stays(text: str, mode: CodeSwitch, name: tuple[int, ...], share: float) -> None:
    """Blanks and punctuation are those of the English text, except within an entry of several words."""
    single = Lexicon.of(
        {
            language: {
                word: LEXICON.entries[word][language]
                for word in ENGLISH
                if len(words(word)) == 1 and language in LEXICON.entries.get(word, {})
            }
            for language in LEXICON.languages
        }
    )
    met = switch(text, single, mode=mode, share=share, name=name)
    assert gaps(met.text) == gaps(text)


def test_the_share_that_is_replaced_is_p_times_the_share_with_an_entry() -> None:
    text = "The lake and the river lie in the north, of course, as well as the stone."
    for mode in MODES:
        for p in (0.2, 0.5):
            met = [switch(text, LEXICON, mode=mode, share=p, name=("share", k)) for k in range(1500)]
            covered = sum(m.covered for m in met)
            # An entry has up to three words: the standard deviation is at most that of a third as many coins.
            bound = 4 * np.sqrt(p * (1 - p) / (covered / 3))
            assert abs(sum(sum(m.replaced.values()) for m in met) / covered - p) < bound
            assert {x for m in met for x in m.replaced} == {"de", "fi", "sw"}


def test_other_names_give_other_texts() -> None:
    text = "lake river north I of course lake river north"
    for mode in MODES:
        met = {switch(text, LEXICON, mode=mode, share=0.5, name=(seed, step, "q", 7)).text
               for seed in range(3) for step in range(20)}  # fmt: skip
        assert len(met) > 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Of course we do", "Tietysti we do"),
        ("OF COURSE", "TIETYSTI"),
        ("of  course", "sta  course"),  # two blanks: no entry of two words
        ("out of, course", "out sta, course"),
        ("Lakes, lakes' and the lake's lake-side", "Järvi, järvi' and the järvi järvi-side"),
        ("No, I am no lake2 or 2lake", "Ei, minä am ei lake2 or 2lake"),
        ("I DON’T KNOW about Wednesday and wednesday", "EN TIEDÄ about keskiviikko and keskiviikko"),
        ("stopping, used, uses, cities", "pysähtyä, käyttää, käyttää, kaupunki"),
    ],
)
def test_casing_forms_and_longest_entries(text: str, expected: str) -> None:
    finnish = {
        "lake": "järvi", "of course": "tietysti", "of": "sta", "No": "Ei", "I": "minä", "Wednesday": "keskiviikko",
        "I don't know": "en tiedä", "know": "tietää", "stop": "pysähtyä", "use": "käyttää", "city": "kaupunki",
    }  # fmt: skip
    assert switch(text, Lexicon.of({"fi": finnish}), mode="bilingual", share=1, name=()).text == expected


def test_scripts_without_capitals_have_none() -> None:
    assert cased("ისე", "AND", "and", "ka") == "ისე"
    assert cased("ისე", "And", "and", "ka") == "ისე"
    assert cased("และ", "AND", "and", "th") == "และ"
    assert cased("straße", "STREET", "street", "de") == "STRAßE"
    assert cased("iğne", "Needle", "needle", "tr") == "İğne"
    assert cased("igla", "Needle", "needle", "hr") == "Igla"


@laws
@given(st.text(max_size=12))
def test_any_text_has_words_within_it(text: str) -> None:
    spans = words(text)
    flat = [place for span in spans for place in span]
    assert flat == sorted(flat)
    assert all(text[start:end] and not re.search(r"[\s\d_]", text[start:end]) for start, end in spans)
    assert is_entry(text) is (0 < len(spans) <= 3 and set(gaps(text)[1:-1]) <= {" ", "-"} and gaps(text)[0] == ""
                              and gaps(text)[-1] == "")  # fmt: skip
    assert all(len(stem) >= 3 for stem in stems(text))


@laws
@given(texts(), modes, names)
def test_all_that_comes_in_was_announced(text: str, mode: CodeSwitch, name: tuple[int, ...]) -> None:
    known = {word.lower() for word in reachable([text], LEXICON)}
    met = switch(text, LEXICON, mode=mode, share=1, name=name)
    new = {met.text[a:b].lower() for a, b in words(met.text)} - {text[a:b].lower() for a, b in words(text)}
    assert new <= known
