"""Rows from files of translated messages: PO and XLIFF."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_made import write

from panglot._errors import PanglotError
from panglot.data.pages import from_docs

PO = r"""
msgid ""
msgstr ""
"Language: de\n"

#. type: Title ##
#: page.md:1
msgid "Saving"
msgstr "Speichern"

#. type: Plain text
msgid "Press the button"
" to save \"all\" files."
msgstr "Drücken Sie den Knopf, um \"alle\" Dateien zu speichern."

#, fuzzy
msgid "Old text that changed."
msgstr "Alter Text."

msgid "Not translated at all."
msgstr ""

#~ msgid "gone"
#~ msgstr "weg"
"""


def test_po(tmp_path: Path) -> None:
    rows = from_docs.read([write(tmp_path / "po" / "de.po", PO)], shortest=20).rows
    assert [(row.language, row.question, row.passage) for row in rows] == [
        ("en", "Saving", 'Press the button to save "all" files.'),
        ("de", "Speichern", 'Drücken Sie den Knopf, um "alle" Dateien zu speichern.'),
    ]
    assert rows[0].group == rows[1].group
    other = write(
        tmp_path / "po" / "fr.po", PO.replace("Language: de", "Language: fr").replace("Speichern", "Enregistrer")
    )
    three = from_docs.read([tmp_path / "po"], shortest=20)
    assert (len({row.group for row in three.rows}), three.tied) == (1, 1)
    assert len(three.rows) == len({row.language for row in three.rows}) == 3
    other.write_text(PO + "nonsense\n")
    with pytest.raises(PanglotError, match=r"fr\.po, line \d+: not a line of a PO file"):
        from_docs.read([other])


def test_xliff(tmp_path: Path) -> None:
    old = """<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file original="a.html"
      source-language="en" target-language="fi"><body>
      <trans-unit id="1" restype="x-title"><source>Saving</source><target>Tallennus</target></trans-unit>
      <trans-unit id="2"><source>Press the <g id="b">big</g> button now.</source>
      <target>Paina isoa nappia nyt heti.</target></trans-unit>
      <trans-unit id="3"><source>Not translated.</source></trans-unit></body></file></xliff>"""
    new = """<xliff version="2.0" srcLang="en" trgLang="sv" xmlns="urn:oasis:names:tc:xliff:document:2.0">
      <file id="f" original="a.html"><unit id="1" name="title"><segment>
      <source>Saving</source><target>Spara</target></segment></unit>
      <unit id="2"><segment><source>Press the big button now.</source>
      <target>Tryck på den stora knappen.</target></segment></unit>
      </file></xliff>"""
    paths = [write(tmp_path / "fi.xlf", old), write(tmp_path / "sv.xlf", new)]
    rows = from_docs.read(paths, shortest=10).rows
    assert {(r.language, r.question, r.passage) for r in rows} == {
        ("en", "Saving", "Press the big button now."),
        ("fi", "Tallennus", "Paina isoa nappia nyt heti."),
        ("sv", "Spara", "Tryck på den stora knappen."),
    }
    assert len({row.group for row in rows}) == 1
    with pytest.raises(PanglotError, match="declares entities"):
        from_docs.read([write(tmp_path / "x.xlf", '<!DOCTYPE a [<!ENTITY b "c">]><xliff/>')])


def xliff_rows(path: Path, units: str, version: str = "1.2") -> from_docs.Made:
    if version == "1.2":
        head = '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file original="a.html"'
        text = f'{head} source-language="en" target-language="fi"><body>{units}</body></file></xliff>'
    else:
        head = '<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="fi">'
        text = f'{head}<file id="f" original="a.html">{units}</file></xliff>'
    return from_docs.read([write(path, text)], shortest=3, ways=["first-sentence"])


DONE = "<source>Save it. You must do so.</source><target>Tallenna se. Sinun on tehtävä niin.</target>"


@pytest.mark.parametrize(
    ("unit", "left_out"),
    [
        ("<source>A. B is here.</source><target state='needs-translation'>A. B is here.</target>", "not finished"),
        ("<source>A. B is here.</source><target state='new'>X. Y on.</target>", "not finished"),
        ("<source>A. B is here.</source><target state='needs-review-translation'>X. Y on.</target>", "not finished"),
        ("<source>A. B is here.</source><target/>", "not translated"),
        ("<source>A. B.</source><target xml:lang='sv'>X. Y.</target>", "not translated"),
        ("<source>A. B.</source><target>X. Y.</target><target>Z. W.</target>", "not finished"),
    ],
)
def test_a_target_that_is_no_translation_is_left_out_and_counted(tmp_path: Path, unit: str, left_out: str) -> None:
    units = f'<trans-unit id="1">{DONE}</trans-unit><trans-unit id="2">{unit}</trans-unit>'
    made = xliff_rows(tmp_path / "a.xlf", units)
    assert {row.language: row.passage for row in made.rows} == {
        "en": "You must do so.", "fi": "Sinun on tehtävä niin.",
    }  # fmt: skip
    assert [number for why, number in made.left_out.items() if left_out in why] == [1]


def test_only_the_units_own_target_counts(tmp_path: Path) -> None:
    proposal = "<alt-trans><source>Old. One.</source><target>Vanha. Yksi.</target></alt-trans><note>A note.</note>"
    codes = (
        "<source>Save <bpt id='1'>&lt;b&gt;</bpt>it<ept id='1'>&lt;/b&gt;</ept>. You <g id='2'>must</g> do so.</source>"
    )
    codes += "<target>Tallenna <ph id='3'>&lt;br/&gt;</ph>se. Sinun on tehtävä niin.</target>"
    hidden = f"<group translate='no'><trans-unit id='2'>{DONE}</trans-unit></group>"
    made = xliff_rows(tmp_path / "a.xlf", f'<trans-unit id="1">{codes}{proposal}</trans-unit>{hidden}')
    assert [(row.question, row.passage) for row in made.rows] == [
        ("Save it.", "You must do so."), ("Tallenna se.", "Sinun on tehtävä niin."),
    ]  # fmt: skip
    assert made.left_out == {"messages that are not to be translated": 1}


def test_the_segments_of_a_unit_of_version_2_are_one_text(tmp_path: Path) -> None:
    first = "<segment state='final'><source>Save it.</source><target order='2'>Sinun on.</target></segment>"
    second = "<segment><source>You must.</source><target order='1'>Tallenna se.</target></segment>"
    match = (
        "<mtc:matches xmlns:mtc='m'><mtc:match><source>Old.</source><target>Vanha.</target></mtc:match></mtc:matches>"
    )
    open_unit = (
        f"<unit id='2'><segment state='initial'>{DONE}</segment></unit><unit id='3' translate='no'>{second}</unit>"
    )
    made = xliff_rows(tmp_path / "b.xlf", f"<unit id='1'>{match}{first}{second}</unit>{open_unit}", "2.0")
    assert [(row.question, row.passage) for row in made.rows] == [
        ("Save it.", "You must."), ("Tallenna se.", "Sinun on."),
    ]  # fmt: skip
    assert sum(made.left_out.values()) == 2
