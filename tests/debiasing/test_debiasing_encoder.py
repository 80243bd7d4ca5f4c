"""A debiasing behind an encoder: languages given or detected, the cache, the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from debiasing_made import LANGUAGES, Hashed, biased

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.language import Detector
from panglot.debiasing.correction import Debiased
from panglot.debiasing.fit import fit
from panglot.encoders.cache import Cached, cached
from panglot.encoders.protocol import Encoder, LanguageAware
from panglot.evaluation.inputs import encode

if TYPE_CHECKING:
    from pathlib import Path

SAID = {
    "de": "Der Fluss mündet nach langem Lauf in das Schwarze Meer.",
    "en": "The river flows into the Black Sea after a long course.",
    "ru": "Река впадает в Чёрное море после долгого пути.",
    "th": "แม่น้ำไหลลงสู่ทะเลดำหลังจากเดินทางมายาวนาน",
}


@pytest.fixture
def debiased() -> Debiased:
    return Debiased(Hashed(), fit(biased(), "center"))


def test_it_is_an_encoder_that_looks_at_languages(debiased: Debiased) -> None:
    assert isinstance(debiased, Encoder)
    assert isinstance(debiased, LanguageAware)
    assert not isinstance(Hashed(), LanguageAware)
    assert debiased.name == "hashed+center"
    other = Debiased(Hashed(), fit(biased(seed=1), "center"))
    assert len({debiased.fingerprint, other.fingerprint, Hashed().fingerprint}) == 3
    assert debiased.over(Hashed()).fingerprint == debiased.fingerprint


def test_languages_are_found_where_none_is_given(debiased: Debiased) -> None:
    texts = list(SAID.values())
    given = debiased.encode(texts, "passage", languages=list(SAID))
    np.testing.assert_array_equal(debiased.encode(texts, "passage"), given)
    crossed = debiased.encode(texts, "passage", languages=list(SAID)[::-1])
    assert not np.allclose(crossed, given, atol=1e-3)


def test_codes_may_be_of_any_style(debiased: Debiased) -> None:
    texts = list(SAID.values())
    styles = debiased.encode(texts, "question", languages=["deu_Latn", "en-US", "rus", "tha"])
    np.testing.assert_array_equal(styles, debiased.encode(texts, "question", languages=list(SAID)))
    with pytest.raises(PanglotError, match="unknown language"):
        debiased.encode(["a"], "question", languages=["nonsense"])
    with pytest.raises(PanglotError, match="got 1 languages for 2 texts"):
        debiased.encode(["a", "b"], "question", languages=["en"])


def test_a_language_that_was_not_fitted_does_not_change_and_is_warned_of_once(
    debiased: Debiased, recwarn: pytest.WarningsRecorder
) -> None:
    plain = Hashed().encode(["maji", "mto"], "passage")
    for _ in range(2):
        np.testing.assert_allclose(
            debiased.encode(["maji", "mto"], "passage", languages=["sw", "sw"]), plain, atol=1e-6
        )
    assert [str(each.message) for each in recwarn] == [
        "hashed+center was not fitted on sw, whose vectors do not change"
    ]


def test_a_text_in_another_language_is_not_taken_for_one_of_the_fitted() -> None:
    few = Detector(("de", "en"))
    assert [few.detect(text) for text in SAID.values()] == ["de", "en", None, None]
    assert few.detect("") is None
    assert few.known == {"de", "en"}


def test_regions_and_scripts_are_detected_as_their_plain_language() -> None:
    assert Detector(("en", "zh-Hant")).detect("河流經過漫長的旅程後注入黑海。") == "zh-Hant"
    assert Detector(("pt", "pt-BR")).detect("O rio deságua no mar Negro depois de um longo curso.") == "pt"
    assert Detector(("nb", "en")).detect("Elven renner ut i Svartehavet etter en lang ferd.") == "nb"
    assert Detector(("dz", "gsw")).known == {"dz"}


def test_the_detectors_of_others_are_left_alone() -> None:
    import py3langid

    Detector(("de", "en")).detect(SAID["ru"])
    assert py3langid.classify(SAID["ru"])[0] == "ru"


def twins() -> Collection:
    """Equal texts in two languages, such as proper names."""
    texts = [("de", "Tokio"), ("en", "Tokio"), ("ru", "Токио"), ("en", "Tokio"), ("th", "Tokio")]
    rows = [Text(f"{row}", code, f"g{row}", text) for row, (code, text) in enumerate(texts)]
    return Collection.build("twins", rows, rows, [(row.id, row.id, 1) for row in rows])


def test_equal_texts_of_two_languages_are_two_vectors(debiased: Debiased, tmp_path: Path) -> None:
    collection = twins()
    languages = collection.passages["language"].to_pylist()
    wanted = debiased.encode(collection.passages["text"].to_pylist(), "passage", languages=languages)
    assert not np.allclose(wanted[0], wanted[1], atol=1e-3)
    np.testing.assert_array_equal(wanted[1], wanted[3])
    for encoder in (debiased, cached(debiased, tmp_path), cached(debiased, tmp_path)):
        np.testing.assert_array_equal(encode(encoder, collection)[1], wanted)


def test_debiasing_costs_no_encoding(tmp_path: Path) -> None:
    collection = twins()
    encode(Cached(Hashed(), tmp_path), collection)
    for method in ("center", "lsar"):
        base = Hashed()
        encode(cached(Debiased(base, fit(biased(), method)), tmp_path), collection)
        assert base.seen == []
    fresh = Hashed()
    encode(cached(Debiased(fresh, fit(biased(), "center")), tmp_path / "other"), collection)
    assert len(fresh.seen) == 4  # two texts a side: the base meets neither twice


def test_a_plain_encoder_is_met_as_before(tmp_path: Path) -> None:
    plain = Hashed()
    questions, passages = encode(plain, twins())
    assert plain.seen == ["Tokio", "Токио"] * 2
    np.testing.assert_array_equal(passages, Hashed().encode(twins().passages["text"].to_pylist(), "passage"))
    np.testing.assert_array_equal(encode(cached(Hashed(), tmp_path), twins())[0], questions)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(PanglotError, match="must have 12 numbers, got 5"):
        Debiased(Hashed(5), fit(biased(), "center")).encode(["a"], "passage", languages=["en"])


def test_the_means_are_no_longer_apart(debiased: Debiased) -> None:
    samples = biased()["passage"]
    after = [debiased.debiasing.apply(samples[x].vectors, [x] * 40, "passage").mean(axis=0) for x in LANGUAGES]
    before = [samples[x].vectors.mean(axis=0) for x in LANGUAGES]
    assert np.ptp(after, axis=0).max() < 0.25 * np.ptp(before, axis=0).max()
