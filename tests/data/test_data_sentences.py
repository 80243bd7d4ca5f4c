import itertools

from hypothesis import given
from hypothesis import strategies as st

from panglot.data.sentences import sentence_at, spans

LANGUAGES = st.sampled_from(["en", "de", "zh", "th", "ar", "hi", "km", "zh-Hant", "qaa"])
TEXTS = st.text(alphabet=st.sampled_from("ab .?!。\n\r\t \u3000é𝒳ไทย।،A1\u200b"), max_size=200)


def cut(text: str, language: str) -> list[str]:
    return [text[start:end] for start, end in spans(text, language)]


def test_scripts() -> None:
    assert cut("She met Mr. Smith. Why?  Nobody knew!", "en") == [
        "She met Mr. Smith.",
        "Why?",
        "Nobody knew!",
    ]
    assert cut("你好。我很好！真的吗？是。", "zh-Hant") == ["你好。", "我很好！", "真的吗？", "是。"]
    assert cut("यह है। वह था।", "hi") == ["यह है।", "वह था।"]
    assert cut("", "en") == []
    assert cut(" \n ", "th") == []


def test_thai_is_cut_at_blanks_in_stretches() -> None:
    text = " ".join(["ภาษาไทยไม่มีจุดจบประโยค"] * 12)
    pieces = cut(text, "th")
    assert " ".join(pieces) == text
    assert len(pieces) > 2
    assert all(len(piece) >= 60 for piece in pieces[:-1])


@given(TEXTS, LANGUAGES)
def test_sentences_are_in_order_trimmed_and_cover_all_but_blanks(text: str, language: str) -> None:
    found = spans(text, language)
    assert list(found) == sorted(found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    assert all(text[s:e] == text[s:e].strip() != "" for s, e in found)
    covered = {place for s, e in found for place in range(s, e)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


@given(TEXTS.filter(lambda t: bool(t.strip())), LANGUAGES, st.data())
def test_sentence_at_holds_the_place(text: str, language: str, data: st.DataObject) -> None:
    offset = data.draw(st.sampled_from([i for i, c in enumerate(text) if not c.isspace()]))
    start, end = sentence_at(text, language, offset)
    assert start <= offset < end


def test_a_blank_belongs_to_the_sentence_before() -> None:
    assert sentence_at("One. Two.", "en", 4) == (0, 4)
    assert sentence_at("  One.", "en", 0) == (2, 6)


def test_half_of_a_surrogate_pair_is_a_letter_like_any_other() -> None:
    assert spans("Click \ud800 here. Then go.", "en") == ((0, 13), (14, 22))
