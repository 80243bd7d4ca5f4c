from itertools import product
from pathlib import Path

import langcodes
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier

from panglot._errors import PanglotError
from panglot.data.language import Detector, canonical, identifier, identify, name, script_of


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("zh", "zh"),
        ("zh-Hant", "zh-Hant"),
        ("zho_Hant", "zh-Hant"),
        ("zho_Hans", "zh"),
        ("zh_cn", "zh"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK", "zh-Hant-HK"),  # Hong Kong's is neither Taiwan's nor the mainland's
        ("eng", "en"),
        ("eng_Latn", "en"),
        ("ENG_LATN", "en"),
        ("zh-Hans-HK", "zh-Hans-HK"),
        ("zh-Hans-SG", "zh-SG"),  # the usual script there
        ("sr-Cyrl-ME", "sr-Cyrl-ME"),  # without it, Latin: the usual one in Montenegro
        ("sr-Cyrl-RS", "sr-RS"),
        ("pa-Guru-PK", "pa-Guru-PK"),
        ("uz-Latn-AF", "uz-Latn-AF"),
        ("en-US", "en-US"),
        ("pt-BR", "pt-BR"),  # the likely region of pt, but pt and pt-BR are two columns of one set
        ("ca-valencia", "ca-valencia"),
        ("spa-ref2", "es-x-ref2"),
        ("sr@latin", "sr-Latn"),
        ("sh", "sr-Latn"),
        ("srp_Cyrl", "sr"),
        (" ar", "ar"),
        ("pes", "fa"),
        ("prs", "fa-AF"),
        ("swh", "sw"),
        ("ar-arz-EG", "arz-EG"),  # an extended language is one by itself
        ("ms-zsm", "ms"),
        ("tl", "fil"),
        ("iw", "he"),
        ("twi", "ak"),
        ("nb", "nb"),
        ("no", "no"),
        ("pbt", "pbt"),
        ("quy", "quy"),
        ("fuv", "fuv"),
        ("acm_Arab", "acm-Arab"),  # Arabic dialects are not merged; their likely script is not known
        ("kor_Hang", "ko"),
        ("taq_Latn", "taq"),
        ("quy_Latn", "quy-Latn"),  # without a known likely script, the given one is kept
        ("taq_Tfng", "taq-Tfng"),
        ("kas_Deva", "ks-Deva"),
        ("kzj", "dtp"),
        ("gsw-BE", "gsw-u-sd-chbe"),  # Bern, not Belgium
        ("qaa", "qaa"),
    ],
)
def test_canonical(code: str, expected: str) -> None:
    assert canonical(code) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize("language", ["zh", "sr", "pa", "uz", "az", "kk", "ms", "sd", "ks", "en"])
def test_a_declared_script_is_never_lost(language: str) -> None:
    scripts = ("Latn", "Cyrl", "Arab", "Hans", "Hant", "Guru", "Deva")
    regions = ("", "-HK", "-ME", "-PK", "-AF", "-IR", "-CN", "-TW", "-IN", "-RU", "-ZA")
    for script, region in product(scripts, regions):
        assert script_of(canonical(f"{language}-{script}{region}")) == script, (script, region)


@pytest.mark.parametrize(
    "code", ["xx", "zz", "", " ", "english language", "en-", "und", "mul", "a", "12", "sr@klingon"]
)
def test_unknown_codes_are_refused_with_a_hint(code: str) -> None:
    with pytest.raises(PanglotError, match=r"unknown language code.*Fix: write"):
        canonical(code)


@given(st.text(max_size=12))
def test_any_text_gives_a_fixed_point_or_an_error(code: str) -> None:
    try:
        found = canonical(code)
    except PanglotError:
        return
    assert canonical(found) == found


def test_every_code_of_every_set_is_read(data_dir: Path) -> None:
    columns = {
        "sib-200": "sib-200/sib-200.parquet",
        "tatoeba": "tatoeba-112/tatoeba-112.parquet",
        "help": "libreoffice-help/libreoffice-help.parquet",
        "gatitos": "lexicons/gatitos.parquet",
        "wiktionary": "lexicons/wiktionary.parquet",
        "emoji": "lexicons/cldr-emoji.parquet",
    }
    codes = {
        key: pq.read_table(data_dir / path, columns=["lang"])["lang"].unique().to_pylist()
        for key, path in columns.items()
    }
    codes["ntrex"] = pq.ParquetFile(data_dir / "ntrex-128/ntrex-128.parquet").schema_arrow.names[2:]
    merged = {
        key: {c for c in found if sum(canonical(c) == canonical(other) for other in found) > 1}
        for key, found in codes.items()
    }
    # No two columns of a set become one, unless the registry says that they are one language.
    assert {key: value for key, value in merged.items() if value} == {
        "sib-200": {"aka_Latn", "twi_Latn"},
        "tatoeba": {"dtp", "kzj"},
    }
    everything = {canonical(code) for found in codes.values() for code in found}
    assert all(langcodes.tag_is_valid(code) for code in everything)
    assert len({langcodes.Language.get(code).language for code in everything}) > 310


def test_names() -> None:
    assert name("zh-Hant") in ("Chinese (Traditional)", "zh-Hant")
    assert name("not a code") == "not a code"


@pytest.mark.parametrize("code", ["pt-all", "x-klingon", "X_klingon", "en-", "-", "@latin", "root", "a" * 50])
def test_what_is_no_language_is_one_error(code: str) -> None:
    with pytest.raises(PanglotError, match="unknown language code"):
        canonical(code)


TRADITIONAL, SIMPLIFIED = "我想在電腦上列印這個文件，應該怎麼做？", "我想在电脑上打印这个文件，应该怎么做？"
LATIN, CYRILLIC = "Kako da odštampam dokument na ovom računaru?", "Како да одштампам документ на овом рачунару?"


@pytest.mark.parametrize(
    ("text", "languages", "expected"),
    [
        (TRADITIONAL, ("en", "zh", "zh-Hant"), "zh-Hant"),
        (SIMPLIFIED, ("en", "zh", "zh-Hant"), "zh"),
        (TRADITIONAL, ("ja", "zh-Hant-HK", "zh-SG"), "zh-Hant-HK"),
        (TRADITIONAL, ("en", "zh"), "zh"),  # the codes in use do not distinguish the scripts
        (LATIN, ("de", "sr", "sr-Latn"), "sr-Latn"),
        (CYRILLIC, ("de", "sr", "sr-Latn"), "sr"),
        (LATIN, ("de", "sr"), "sr"),
        ("Қандай қилиб ҳужжатни чоп этаман", ("uz", "uz-Cyrl"), "uz-Cyrl"),
        ("Qanday qilib hujjatni chop etaman", ("uz", "uz-Cyrl"), "uz"),
        ("Strg+Pos1 drücken und dann Eingabe", ("ar", "de"), "de"),  # never a language without these letters
    ],
)
def test_a_language_is_detected_in_the_script_of_the_text(text: str, languages: tuple[str, ...], expected: str) -> None:
    assert Detector(languages).detect(text) == expected


def test_confidence_can_be_read() -> None:
    detector = Detector(("en", "fr"))
    sure, doubtful = (
        detector.rank(text)[0].confidence for text in ("Comment puis-je imprimer ce document en couleur ?", "sort")
    )
    assert sure > 0.9
    assert doubtful < 0.1
    # Characters that both forms have leave both possible.
    either = Detector(("zh", "zh-Hant")).rank("中文")
    assert {each.language for each in either} == {"zh", "zh-Hant"}
    assert either[0].confidence == either[1].confidence < 0.5


def test_any_language_is_identified_with_its_script() -> None:
    assert [identify(text).language for text in (TRADITIONAL, SIMPLIFIED, CYRILLIC)] == ["zh-Hant", "zh", "sr"]
    assert identify("Қандай қилиб ҳужжатни чоп этаман").language == "uz-Cyrl"
    assert identify("123 !") == ("und", 0.0)


def test_the_identifier_is_unpacked_once_and_again_if_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path))
    identifier.cache_clear()
    try:
        unpacked = identifier()
        identifier.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(LanguageIdentifier, "from_model_file", None)
            mapped = identifier()
        for text in ("Wie drucke ich eine Tabelle?", "我想打印文件", "x", "", "Как да отпечатам документ?", "\x00ÿ"):
            assert mapped.rank(text) == unpacked.rank(text)
        (file,) = tmp_path.glob("*/tk_nextmove.npy")
        size = file.stat().st_size
        file.write_bytes(file.read_bytes()[:-1])
        identifier.cache_clear()
        assert identifier().rank("print") == unpacked.rank("print")
        assert file.stat().st_size == size
    finally:
        identifier.cache_clear()
