"""Lexicon files of every kind: small ones in the publishers' exact layouts, and what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.augment import lexicons
from panglot.augment.codeswitch import coverage, english_texts
from panglot.augment.lexicon_files import entries, looks_like
from panglot.augment.lexicons import Lexicon
from panglot.data.collection import Collection


def triples(path: Path, *wanted: str) -> list[tuple[str, str, str]]:
    return [(entry.language, entry.english, entry.target) for entry in entries(path, wanted)]


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_muse_pairs_words_by_a_blank_or_a_tab_in_either_direction(tmp_path: Path) -> None:
    # en-es.txt has tabs, en-de.txt spaces. A word is repeated for each translation.
    blanks = written(tmp_path / "en-de.txt", "the die\nthe der\nlake see\n")
    tabs = written(tmp_path / "en-es.0-5000.txt", "the\tel\nlake\tlago\n")
    back = written(tmp_path / "fi-en.txt", "järvi lake\n")
    assert triples(blanks) == [("de", "the", "die"), ("de", "the", "der"), ("de", "lake", "see")]
    assert triples(tabs) == [("es", "the", "el"), ("es", "lake", "lago")]
    assert triples(back) == [("fi", "lake", "järvi")]
    assert triples(back, "de") == []
    assert lexicons.read([str(blanks), str(back)]).entries == {
        "the": {"de": "die"},
        "lake": {"de": "see", "fi": "järvi"},
    }


def test_two_columns_of_anybody_s(tmp_path: Path) -> None:
    phrases = written(tmp_path / "eng-swh.tsv", "of course\tbila shaka\nlake\tziwa\tn.\nriver\t\n\nfish\tsamaki\n")
    assert triples(phrases) == [("sw", "of course", "bila shaka"), ("sw", "lake", "ziwa"), ("sw", "fish", "samaki")]
    quoted = written(tmp_path / "en-zh-Hant.csv", 'en,zh-Hant\n"lake, pond",湖\nriver,"河"\n')
    assert triples(quoted) == [("zh-Hant", "lake, pond", "湖"), ("zh-Hant", "river", "河")]
    long = written(tmp_path / "mine.tsv", "lang\ten\ttarget\nswh\tlake\tziwa\nfi\tlake\tjärvi\nfi\triver\t\n")
    assert triples(long) == [("sw", "lake", "ziwa"), ("fi", "lake", "järvi")]
    packed = tmp_path / "en-sw.tsv.gz"
    packed.write_bytes(gzip.compress(b"lake\tziwa\n"))
    assert triples(packed) == [("sw", "lake", "ziwa")]


def test_columns_by_language_also_with_panlex_s_names_and_gaps(tmp_path: Path) -> None:
    wide = written(
        tmp_path / "words.tsv", "swh-000\teng-000\tfin-000\nziwa\tlake\tjärvi\n\triver\tjoki\nsamaki\tfish\n\t\tyksin\n"
    )
    assert triples(wide) == [
        ("sw", "lake", "ziwa"),
        ("fi", "lake", "järvi"),
        ("fi", "river", "joki"),
        ("sw", "fish", "samaki"),
    ]
    assert triples(wide, "fi") == [("fi", "lake", "järvi"), ("fi", "river", "joki")]


TEI = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE TEI SYSTEM "freedict-P5.dtd">
<TEI xmlns="http://www.tei-c.org/ns/1.0" version="5.0">
<teiHeader><fileDesc><titleStmt><title>English-Swahili</title></titleStmt></fileDesc></teiHeader>
<text><body>
  <entry xml:id="lake">
    <form><orth>lake</orth><pron>leɪk</pron></form>
    <gramGrp><pos>n</pos></gramGrp>
    <sense n="1"><cit type="trans" xml:lang="sw"><quote>ziwa</quote></cit>
      <cit type="example"><quote>a big lake</quote><cit type="trans"><quote>ziwa kubwa</quote></cit></cit></sense>
    <sense n="2"><cit type="translation"><quote>dimbwi</quote><gramGrp><pos>n</pos></gramGrp></cit></sense>
  </entry>
  <entry><form><orth>gaol</orth></form><form><orth>jail</orth></form><sense><cit type="trans"><quote> jela
  </quote></cit></sense></entry>
  <entry><form><orth>lonely</orth></form><sense/></entry>
</body></text></TEI>
"""


def test_freedict_has_translations_but_not_those_of_examples(tmp_path: Path) -> None:
    path = written(tmp_path / "eng-swh.tei", TEI)
    expected = [("sw", "lake", "ziwa"), ("sw", "lake", "dimbwi"), ("sw", "gaol", "jela"), ("sw", "jail", "jela")]
    assert triples(path) == expected
    entry = "<entry><form><orth>Wasser</orth></form><trans><tr>water</tr></trans></entry>"
    old = written(tmp_path / "deu-eng.tei", f"<TEI.2><text><body>{entry}</body></text></TEI.2>")
    assert triples(old) == [("de", "water", "Wasser")]


def panlex(folder: Path) -> Path:
    written(folder / "langvar.csv", (
        "id,lang_code,var_code,mutable,name_expr,script_expr,meaning,region_expr,uid_expr,grp\n"
        "187,eng,0,t,1,2,3,4,5,187\n690,swh,0,t,1,2,3,4,5,690\n691,swh,1,t,1,2,3,4,5,690\n211,fin,0,t,1,2,3,4,5,211\n"
        "7,art,0,f,1,2,3,4,5,7\n"
    ))  # fmt: skip
    written(folder / "expr.csv", (
        'id,langvar,txt,txt_degr\n10,187,lake,lake\n11,187,"lake, big",lakebig\n20,690,dimbwi,dimbwi\n'
        "21,690,ziwa,ziwa\n22,691,زيوا,x\n30,211,järvi,jarvi\n40,7,LAKE1,lake1\n"
    ))  # fmt: skip
    written(folder / "denotation.csv", (
        "id,meaning,expr\n1,100,10\n2,100,20\n3,101,10\n4,101,21\n5,101,30\n6,102,21\n7,102,10\n8,103,22\n9,103,10\n"
        "10,104,11\n11,105,40\n"
    ))  # fmt: skip
    return folder


def test_panlex_ranks_translations_by_the_meanings_that_attest_them(tmp_path: Path) -> None:
    folder = panlex(tmp_path / "panlex-20190901-csv")
    assert triples(folder) == [("sw", "lake", "ziwa"), ("sw", "lake", "dimbwi"), ("fi", "lake", "järvi")]
    assert triples(folder, "fi") == [("fi", "lake", "järvi")]
    assert lexicons.read([str(folder)], ["sw"]).entries == {"lake": {"sw": "ziwa"}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("en-sw.tsv", "lake\tziwa\nriver\n", r"en-sw\.tsv, line 2: expected two columns, got one: 'river'.*tab"),
        ("words.tsv", "lake\tziwa\n", r"words\.tsv, field \"language\": the languages .* not known.*en-sw\.tsv"),
        ("words.tsv", "en\tsw\nlake\tziwa\tx\n", r"words\.tsv, line 2: expected 2 columns, got 3"),
        ("words.tsv", "en\tsw\tqqqq!\nlake\tziwa\n", r"line 1, field \"qqqq!\": unknown language code"),
        ("words.csv", "lang,en,target\nklingon!,lake,x\n", r"line 2, field \"lang\": unknown language code 'klingon!'"),
        ("words.csv", "lang,en,target\nsw,lake\n", r"line 2: expected 3 columns, got 2"),
        ("en-sw.tsv", "", r"the file is empty"),
        ("eng-swh.tei", TEI.replace('"freedict-P5.dtd"', '"x" [<!ENTITY a "b">]'), r"line 2: .*declares entities"),
        ("eng-swh.tei", TEI[:-20], r"eng-swh\.tei, line \d+: not XML"),
        ("eng-swh.tei", "<html/>", r"no <entry>"),
        ("swahili.tei", TEI, r"the languages of this lexicon are not known"),
        ("en-sw.docx", "x", r"unknown kind of lexicon.*FreeDict"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_hint(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(PanglotError, match=message):
        triples(written(tmp_path / name, text))


def test_other_encodings_are_refused_and_xml_may_be_utf16(tmp_path: Path) -> None:
    (tmp_path / "en-de.txt").write_bytes("lake see\ncheese käse\n".encode("latin-1"))
    with pytest.raises(PanglotError, match=r"en-de\.txt, line 2: not UTF-8 \(byte 0xe4\).*iconv"):
        triples(tmp_path / "en-de.txt")
    wide = tmp_path / "eng-swh.tei"
    wide.write_bytes(TEI.replace(' encoding="UTF-8"', "").encode("utf-16"))
    assert triples(wide)[0] == ("sw", "lake", "ziwa")
    entity = TEI.replace(' encoding="UTF-8"', "").replace('"freedict-P5.dtd"', '"x" [<!ENTITY a "b">]')
    wide.write_bytes(entity.encode("utf-16"))
    with pytest.raises(PanglotError, match=r"line 2: .*declares entities"):
        triples(wide)
    broken = panlex(tmp_path / "dump")
    written(broken / "denotation.csv", "id,meaning\n1,2\n")
    with pytest.raises(PanglotError, match=r"denotation\.csv: not a table of PanLex.*expr"):
        triples(broken)
    (broken / "expr.csv").unlink()
    with pytest.raises(PanglotError, match=r"expr\.csv: the PanLex folder lacks this file"):
        triples(broken)


def test_lexicons_are_told_from_data_sets(tmp_path: Path) -> None:
    assert looks_like(written(tmp_path / "en-sw.tsv", "lake\tziwa\n"))
    assert looks_like(panlex(tmp_path / "dump"))
    assert not looks_like(written(tmp_path / "rows.jsonl", "{}"))
    assert not looks_like(written(tmp_path / "train.csv", '\ufeffgroup,language,question,"passage"\n1,en,a,b\n'))
    assert not looks_like(tmp_path)


def test_coverage_is_what_code_switching_could_replace(facts: Collection) -> None:
    from panglot.augment.codeswitch import switch

    # A word within an entry of several is not counted again.
    finnish = {"lake": "järvi", "of course": "tietysti", "course": "kurssi"}
    lexicon = Lexicon.of({"fi": finnish, "de": {"lake": "See", "freeze": "frieren"}})
    texts = ["Of course lakes freeze.", "The lake, of course", "Nothing at all"]
    found = coverage(texts, lexicon)
    assert (found.texts, found.words, found.anywhere) == (3, 11, 7)
    for language in lexicon.languages:
        alone = Lexicon.of({language: {w: t[language] for w, t in lexicon.entries.items() if language in t}})
        replaced = [switch(text, alone, mode="bilingual", share=1, name=(0,)) for text in texts]
        assert found.covered[language] == sum(one.covered for one in replaced)
    assert english_texts(facts, 7) == english_texts(facts, 7)
    assert 0 < len(english_texts(facts, 7)) <= 7
