"""Lexicons: read, cleaned, merged, refused; the real ones counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from panglot._errors import PanglotError
from panglot.augment.lexicons import KNOWN, cleaned, find, read


def write(
    path: Path, rows: Sequence[tuple[str | None, ...]], columns: tuple[str, ...] = ("lang", "en", "target")
) -> str:
    path.parent.mkdir(exist_ok=True)
    values = list(zip(*rows, strict=True))
    pq.write_table(pa.table({name: list(column) for name, column in zip(columns, values, strict=True)}), path)
    return str(path)


@pytest.mark.parametrize(
    ("english", "target", "language", "expected"),
    [
        ("tear", "lagu' mata (noun)", "ch", "lagu' mata"),
        ("repeat", "repet(e)", "crs", "repet"),
        ("coast", "breh, morský", "sk", "breh"),
        ("okay baby", "yahşı, evlâdım", "crh-Latn", None),
        ("nausea", "惡心 or 噁心", "zh", "惡心"),
        ("teacher", "tanár / tanárnő", "hu", "tanár"),
        ("growth", "تنمية t", "ar", "تنمية"),
        ("dvd", "قرص DVD", "ar", "قرص DVD"),
        ("x-ray", "X射线", "zh", "X射线"),
        ("only", "יָחִיד", "he", "יחיד"),
        ("eye", "אױג", "yi", "אױג"),
        ("after", "... के बाद", "hi", "के बाद"),
        ("during", "在...期間", "zh", None),
        ("to", "-σει", "el", None),
        ("surgery", "oghi<|endoftext|>", "gv", None),
        ("sh", "{NS}", "om", None),
        ("system", "?", "hi", None),
        ("one-thirty", "01:30", "wo", None),
        ("row", "txol.", "mam", "txol"),
        ("carpenter", "ra̱n lätdä dha̱ŋrɛ[ni", "nus", None),
        ("skills", "like n'ga assi yi yo", "bci", None),
        ("waiter", "ra̱n mi läth", "nus", "ra̱n mi läth"),
        ("dizzy", "   ", "pcm", None),
    ],
)
def test_cells(english: str, target: str, language: str, expected: str | None) -> None:
    assert cleaned(english, target, language) == expected


def test_the_first_lexicon_is_followed_and_the_next_fills_gaps(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", [("swh", "lake", "ziwa"), ("swh", "river", "{WL}"), ("fi", "taxi", "Taxi")])
    second = write(
        tmp_path / "b.parquet", [("sw", "lake", "dimbwi"), ("sw", "river", "mto"), ("fi", "taxi", "vuokra-auto")]
    )
    lexicon = read([first, second], [])
    # A borrowed word equals the English one, so it is not a replacement, and a worse lexicon must not supply one.
    assert lexicon.entries == {"lake": {"sw": "ziwa"}, "river": {"sw": "mto"}}
    assert lexicon.languages == ("sw",)
    assert dict(lexicon.sizes) == {"sw": 2}
    assert lexicon.digest != read([second, first], []).digest
    assert lexicon.digest == read([first, second], ["swh"]).digest


def test_transliterations_of_another_script_are_left_out(tmp_path: Path) -> None:
    rows = [("hi", f"word{'abcdefghijklmnopqrst'[n]}", "शब्द") for n in range(20)]
    path = write(tmp_path / "a.parquet", [*rows, ("hi", "monkey", "bandar"), ("hi", "dna", "DNA"), ("hi", "tv", "TV")])
    assert set(read([path]).entries) == {row[1] for row in rows}
    # Equal except for case: not a replacement. An abbreviation that differs is one.
    path = write(tmp_path / "b.parquet", [*rows, ("hi", "monkey", "bandar"), ("hi", "disc", "DVD")])
    assert set(read([path]).entries) == {*(row[1] for row in rows), "disc"}


def test_languages_without_a_lexicon_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [("fi", "lake", "järvi"), ("de", "lake", "See")])
    lexicon = read([path], ["fi", "tlh", "zh-TW"])
    assert lexicon.languages == ("fi",)
    assert lexicon.missing == ("tlh", "zh-Hant")
    with pytest.raises(PanglotError, match=r"no entry in tlh, zh-Hant") as caught:
        read([path], ["tlh", "zh-TW"])
    assert caught.value.field == "code_switch_languages"


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=r"no lexicon is available .*no data folder"):
        read()
    with pytest.raises(PanglotError, match=r"wiktionary was not found .*lexicons/wiktionary.parquet"):
        read(["wiktionary"], data_dir=tmp_path)
    with pytest.raises(PanglotError, match="unknown lexicon 'muse'"):
        read(["muse"])
    with pytest.raises(PanglotError, match="no such column"):
        read([write(tmp_path / "a.parquet", [("fi", "lake")], ("lang", "en"))])
    with pytest.raises(PanglotError, match="unknown language code"):
        read([write(tmp_path / "b.parquet", [("klingon!", "lake", "x")])])
    with pytest.raises(PanglotError, match=r"line 2.*not text"):
        read([write(tmp_path / "c.parquet", [("fi", "lake", "järvi"), ("fi", "river", None)])])
    (tmp_path / "d.parquet").write_text("lang,en,target")
    with pytest.raises(PanglotError, match="not a readable Parquet file"):
        read([str(tmp_path / "d.parquet")])
    with pytest.raises(PanglotError, match="has no entry"):
        read([write(tmp_path / "e.parquet", [("fi", "lake", "?"), ("fi", "one two three four", "x")])])


def test_known_lexicons_are_found_as_data_sets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lexicons" / "wiktionary.parquet", [("fi", "lake", "järvi")])
    monkeypatch.setenv("PANGLOT_DATA", str(tmp_path))
    assert find("gatitos") is None
    assert read().names == ("wiktionary",)
    assert read(data_dir=tmp_path / "elsewhere").names == ("wiktionary",)


def test_the_real_lexicons(data_dir: Path) -> None:
    if not all(find(name, data_dir) for name in KNOWN):
        pytest.skip("no lexicons")
    languages = ["ar", "de", "fi", "sw", "th", "zh", "he", "om", "nb", "crh-Latn", "bci", "sr@latin"]
    alone = {name: read([name], languages, data_dir) for name in KNOWN}
    assert alone["gatitos"].languages == ("bci", "crh-Latn", "om")
    assert alone["wiktionary"].languages == ("ar", "de", "fi", "he", "sr-Latn", "sw", "th", "zh")
    merged = read([], languages, data_dir)
    assert merged.missing == ("nb",)
    assert merged.names == ("gatitos", "wiktionary", "cldr-emoji")
    for language, size in merged.sizes.items():
        assert max(lexicon.sizes.get(language, 0) for lexicon in alone.values()) <= size
        assert size <= sum(lexicon.sizes.get(language, 0) for lexicon in alone.values())
    assert merged.entries["of course"]["om"] == alone["gatitos"].entries["of course"]["om"]
    # The emoji's narrow noun gives way to the word.
    assert merged.entries["watch"]["de"] == alone["wiktionary"].entries["watch"]["de"] != "Armbanduhr"
    assert not any(mark in target for targets in merged.entries.values() for target in targets.values()
                   for mark in "(){}<>|=:?!,;/…0123456789")  # fmt: skip
    assert all(targets.get("ar", "") == "".join(c for c in targets.get("ar", "") if not "\u064b" <= c <= "\u0652")
               for targets in merged.entries.values())  # fmt: skip
    assert not any(target.casefold() == word.casefold() for word, targets in merged.entries.items()
                   for target in targets.values())  # fmt: skip


@pytest.mark.slow
def test_the_real_lexicons_have_279_languages(data_dir: Path) -> None:
    if not all(find(name, data_dir) for name in KNOWN):
        pytest.skip("no lexicons")
    merged = read([], [], data_dir)
    assert len(merged.languages) == 279
    assert sum(merged.sizes.values()) > 840_000
