"""Filters of translations, over scripts."""
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot.translation.quality import (
    NO_LIMITS,
    Thresholds,
    copied_share,
    filter_reasons,
    language_of_answers,
    length_ratio,
    names_lost,
    numbers,
    numbers_lost,
    repetition,
    wrong_language,
    wrong_script,
)
from panglot.translation.translate import distant, similarity_filter, unlike_rows

REASONS = {"language", "script", "length", "copied", "numbers", "names", "repeated"}
ENGLISH = (
    "In 1999 the committee met in London for 12 days, and its members agreed that the old bridge over the river"
    " should be kept because many people still walk across it every morning."
)
GOOD = {
    "es": "En 1999 el comité se reunió en Londres durante 12 días, y sus miembros acordaron que el viejo puente sobre"
    " el río debía conservarse porque mucha gente lo cruza a pie todavía cada mañana.",
    "ru": "В 1999 году комитет заседал в Лондоне 12 дней, и его члены согласились, что старый мост через реку следует"
    " сохранить, потому что многие люди по-прежнему ходят по нему каждое утро.",
    "ar": "في عام ١٩٩٩ اجتمعت اللجنة في لندن لمدة ١٢ يوما، واتفق أعضاؤها على ضرورة الحفاظ على الجسر القديم فوق النهر"
    " لأن كثيرا من الناس ما زالوا يعبرونه كل صباح.",
    "he": "בשנת 1999 התכנסה הוועדה בלונדון למשך 12 ימים, וחבריה הסכימו שיש לשמור על הגשר הישן שמעל הנהר משום"
    " שאנשים רבים עדיין חוצים אותו ברגל בכל בוקר.",
    "zh": "1999年，委员会在伦敦开会12天，委员们一致认为应该保留河上的那座旧桥，因为每天早上仍有许多人步行过桥。",
    "ja": "1999年、委員会はロンドンで12日間開かれ、今も毎朝多くの人が歩いて渡っているため、川に架かる古い橋を残すべきだという点で委員たちは合意した。",
    "th": "ในปี 1999 คณะกรรมการประชุมกันที่ลอนดอนเป็นเวลา 12 วัน และสมาชิกเห็นพ้องกันว่าควรรักษาสะพานเก่าข้ามแม่น้ำไว้เพราะยังมีผู้คนจำนวนมากเดินข้ามทุกเช้า",
    "km": "នៅឆ្នាំ 1999 គណៈកម្មាធិការបានប្រជុំនៅទីក្រុងឡុងដ៍អស់រយៈពេល 12 ថ្ងៃ ហើយសមាជិករបស់ខ្លួនបានយល់ព្រមថា"
    " ស្ពានចាស់ឆ្លងកាត់ទន្លេគួរតែត្រូវបានរក្សាទុក ព្រោះមនុស្សជាច្រើននៅតែដើរឆ្លងកាត់វាជារៀងរាល់ព្រឹក។",
    "hi": "1999 में समिति लंदन में 12 दिनों तक मिली, और उसके सदस्य इस बात पर सहमत हुए कि नदी पर बने पुराने पुल को रखा जाना"
    " चाहिए क्योंकि बहुत से लोग अब भी हर सुबह उस पर चलते हैं।",
    "ko": "1999년 위원회는 런던에서 12일 동안 모였으며, 위원들은 많은 사람들이 지금도 매일 아침 걸어서 건너기 때문에 강 위의 오래된 다리를"
    " 보존해야 한다는 데 동의했다.",
}
CODES = list(GOOD)


@pytest.mark.parametrize("code", CODES)
def test_a_good_translation_is_kept_both_ways(code: str) -> None:
    assert filter_reasons(ENGLISH, GOOD[code], "en", code, Thresholds()) == []
    assert filter_reasons(GOOD[code], ENGLISH, code, "en", Thresholds()) == []


@pytest.mark.parametrize("code", CODES)
def test_what_is_wrong_is_found_in_every_script(code: str) -> None:
    good = GOOD[code]

    def reasons(bad: str) -> list[str]:
        return filter_reasons(ENGLISH, bad, "en", code, Thresholds())

    assert {"language", "copied"} <= set(reasons(ENGLISH))
    assert ("script" in reasons(ENGLISH)) == (code != "es")
    assert "length" in reasons(good * 4)
    assert "length" in reasons(good[: len(good) // 5])
    without = "".join(c for c in good if not c.isdecimal())
    assert "numbers" in reasons(without)
    piece = good[len(good) // 2 : len(good) // 2 + 6]
    assert "repeated" in reasons(good[: len(good) // 2] + piece * 5)
    other = GOOD["ru" if code != "ru" else "ar"]
    assert {"language", "script"} <= set(reasons(other))


@pytest.mark.parametrize("code", CODES)
def test_answers_of_a_batch(code: str) -> None:
    assert language_of_answers([GOOD[code]] * 9, [ENGLISH] * 9, "en", code) is None
    assert language_of_answers([ENGLISH] * 9, [ENGLISH] * 9, "en", code) == "en"
    assert (
        language_of_answers([ENGLISH] * 9, [GOOD[code]] * 9, "en", code) is None
    )  # the sources are not English either
    assert language_of_answers(["London"] * 3, ["London"] * 3, "en", code) is None


@given(st.text(), st.text(), st.sampled_from(["en", *CODES, "qaa", "sr-Latn", "yo"]))
def test_any_text_is_judged(source: str, translation: str, target: str) -> None:
    assert set(filter_reasons(source, translation, "en", target, Thresholds())) <= REASONS
    assert filter_reasons(source, translation, "en", target, NO_LIMITS) == []
    assert 0 <= copied_share(source, translation) <= 1
    assert 0 <= numbers_lost(source, translation, target) <= 1
    assert 0 <= names_lost(source, translation, "en") <= 1
    assert length_ratio(source, translation) * length_ratio(translation, source) == pytest.approx(1)


@given(st.text(min_size=1))
def test_a_text_is_its_own_copy(text: str) -> None:
    assert copied_share(text, text) == 1.0
    assert numbers_lost(text, text, "es") == 0
    assert names_lost(text, text, "en") == 0


def test_numbers() -> None:
    assert sorted(set(numbers("1,000,000 or 1.000.000 or 1 000 000; ١٬٠٠٠; 1914-1918 3,14 7"))) == sorted(
        ["1000000", "1000", "1914", "1918", "314"]
    )
    assert numbers("1,000,000 or 1.000.000 or 1 000 000")["1000000"] == 3
    assert numbers_lost("20,000 men in 1914", "1914年2万人", "zh") == 0
    assert numbers_lost("20,000 men in 1914", "en 1914 hombres", "es") == 0.5
    assert numbers_lost("3 men", "tres hombres", "es") == 0
    assert numbers_lost("1914年、38万人", "In 1914, 380,000 people", "en") == 0
    assert numbers_lost("38 万人，1914年", "380,000 people", "en") == 1
    assert numbers_lost("بیش از ۳۸۰ هزار نفر", "more than 380,000 people", "en") == 0


def test_names() -> None:
    text = "Did Anna Smith and Peter Brown of Boston meet in the year after?"
    assert names_lost(text, "¿Se vieron Anna Smith y Peter Brown de Boston?", "en") == 0
    assert names_lost(text, "¿Se vieron ellos?", "en") == 1
    assert names_lost(text, "Встретились ли они?", "en") == 0
    assert names_lost("Der Hund und die Katze und das Haus im Dorf", "The dog", "de") == 0


def test_short_texts_are_not_asked_for_their_language() -> None:
    assert wrong_language("Table", "fr", letters=20, sure=0.9) is None
    assert wrong_script("12, 13!", "ru", 0.5) is False
    assert wrong_script("Sainsbury's 与 Boots 和 Debenhams 的美容品争夺顾客", "zh", 0.5) is False
    assert filter_reasons("London", "London", "en", "es", Thresholds()) == []


def test_repetition_of_the_source_is_no_fault() -> None:
    song = "Row, row, row, row, row your boat"
    assert "repeated" not in filter_reasons(song, "Rema, rema, rema, rema, rema tu bote", "en", "es", Thresholds())
    assert repetition("") == 1


def test_distant_needs_no_threshold_of_the_encoder() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(100, 16)) + 2  # far from the origin: all cosines are high
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    near = vectors + 0.01 * random.normal(size=vectors.shape).astype(np.float32)
    near[[3, 50]] = vectors[[50, 3]]
    others = unlike_rows([f"text {row}" for row in range(100)])
    assert others.tolist() == [99, *range(99)]
    assert set(np.flatnonzero(distant(vectors, near, others))) == {3, 50}
    assert not distant(vectors[:5], near[:5][::-1], unlike_rows([*"abcde"])).any()


class Dictionary:
    """An encoder of numbered texts, whose translations have nearly the vectors of their sources."""

    def __init__(self, rows: int) -> None:
        random = np.random.default_rng(0)
        both = np.stack([random.normal(size=(rows, 64))] * 2)
        both[1] += 0.03 * random.normal(size=both[1].shape)
        self.vectors = (both / np.linalg.norm(both, axis=2, keepdims=True)).astype(np.float32)

    def encode(self, texts: Sequence[str], side: str) -> npt.NDArray[np.float32]:
        del side
        return np.array([self.vectors[int(text[0] == "t"), int(text[1:])] for text in texts])


@pytest.mark.parametrize("repeats", ["texts", "translations", "groups"])
def test_repeated_texts_are_no_reason_to_drop_good_translations(repeats: str) -> None:
    """Without this, the limit is the cosine of true pairs if more than one neighbour in twenty is alike."""
    rows = [*range(360), *np.repeat(range(360, 400), 2).tolist()]
    texts, made, groups = [f"s{row}" for row in rows], [f"t{row}" for row in rows], [str(row) for row in rows]
    made[7], made[90] = made[90], made[7]
    encoder = Dictionary(400)
    # Texts 400 to 439 mean the same as 360 to 399 in other words.
    encoder.vectors = np.concatenate([encoder.vectors, encoder.vectors[:, 360:]], axis=1)
    again = slice(361, None, 2)
    if repeats != "texts":
        texts[again] = [f"s{row}" for row in range(400, 440)]
    if repeats == "groups":
        made[again] = [f"t{row}" for row in range(400, 440)]
    else:
        groups = [""] * len(rows)
    marks = similarity_filter(encoder)(texts, made, groups, "question")
    assert np.flatnonzero(marks).tolist() == [7, 90]


def test_rows_that_are_all_alike_are_not_judged() -> None:
    assert unlike_rows(["same"] * 40).tolist() == [-1] * 40
    with pytest.warns(RuntimeWarning, match="40 passages are too few to be compared"):
        assert not any(similarity_filter(Dictionary(2))(["s1"] * 40, ["t0"] * 40, [""] * 40, "passage"))


@given(st.lists(st.tuples(*[st.sampled_from(["", "a", "b", "c"])] * 2), max_size=12))
def test_unlike_rows_by_their_definition(rows: list[tuple[str, str]]) -> None:
    def alike(one: int, other: int) -> bool:
        return any(a == b != "" for a, b in zip(rows[one], rows[other], strict=True))

    expected = [
        next((place for step in range(1, len(rows)) if not alike(row, place := (row - step) % len(rows))), -1)
        for row in range(len(rows))
    ]
    assert unlike_rows([a for a, _ in rows], [b for _, b in rows]).tolist() == expected


def test_human_translations_are_spared(data_dir: Path) -> None:
    folder = data_dir / "xquad-r"
    if not folder.is_dir():
        pytest.skip("no xquad-r")
    from panglot.datasets import registry

    found = registry.read("xquad-r", data_dir=data_dir, candidates="paragraph")
    by: dict[str, dict[str, str]] = {}
    for row in found.passages.to_pylist():
        by.setdefault(row["group"], {})[row["language"]] = row["text"]
    dropped: dict[str, float] = {}
    groups = list(by.values())[:40]
    for code in ("ar", "es", "hi", "th", "zh"):
        bad = [filter_reasons(each["en"], each[code], "en", code, Thresholds()) for each in groups]
        dropped[code] = sum(map(bool, bad)) / len(bad)
    assert max(dropped.values()) <= 0.15, dropped


def test_human_translations_of_many_scripts_are_spared(data_dir: Path) -> None:
    folder = data_dir / "ntrex-128"
    if not folder.is_dir():
        pytest.skip("no ntrex-128")
    from panglot.datasets import registry

    codes = ["ar", "he", "fa", "th", "km", "lo", "my", "zh", "ja"]
    found = registry.read("ntrex-128:test", data_dir=data_dir, languages=["en", *codes])
    by: dict[str, dict[str, str]] = {}
    for row in found.questions.to_pylist():
        by.setdefault(row["group"], {})[row["language"]] = row["text"]
    dropped: dict[str, float] = {}
    groups = list(by.values())[:100]
    for code in codes:
        for a, b in (("en", code), (code, "en")):
            dropped[f"{a}-{b}"] = (
                sum(bool(filter_reasons(each[a], each[b], a, b, Thresholds())) for each in groups) / 100
            )
    assert max(dropped.values()) <= 0.08, dropped
