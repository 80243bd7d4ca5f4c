"""Text files and PDF as sections."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_made import pdf, write

from panglot._errors import PanglotError
from panglot.data.pages import from_docs
from panglot.data.pages.sections import place_of
from panglot.data.pages.text import rst_sections, unwrapped

ARABIC = "اطبع المستند ثم انتظر قليلا حتى يخرج الورق"
THAI = "คลิกพิมพ์แล้วเลือกเครื่องพิมพ์ที่ต้องการใช้งาน"


def test_wrapped_lines_are_joined_and_others_stay() -> None:
    wrapped = "Puffins nest in burrows that they dig into well-\nknown cliffs, and they come back each spring to\none."
    assert unwrapped(wrapped) == (
        "Puffins nest in burrows that they dig into well-known cliffs, and they come back each spring to one."
    )
    # A line that had room for the next word was ended on purpose, and so was a short one.
    assert unwrapped("Roses are red\nViolets are blue") == "Roses are red\nViolets are blue"
    assert unwrapped("A list of things that fills a whole wide line:\n- one\n- two").count("\n") == 2
    assert unwrapped("One.\r\n \r\nTwo.") == "One.\nTwo."
    # No blank where the script has none, and no hyphen in the middle of a printed word.
    chinese = "要打印文档请单击打印按钮然后选择要使用的打印机之后单击确定开始打印，需要几份请在对话框中填写，"
    assert unwrapped(f"{chinese}\n然后等待。") == f"{chinese}然后等待。"
    broken = "To print a long document takes a little while, so docu-\nments wait."
    assert unwrapped(broken, printed=True).endswith("documents wait.")


def test_a_text_file_is_one_section(tmp_path: Path) -> None:
    write(tmp_path / "de" / "a.txt", "Klicken Sie auf Drucken, um zu drucken.\n\nDann warten Sie.")
    (group,) = from_docs.sections([tmp_path]).groups.values()
    (section,) = group
    assert (section.language, section.title, section.level) == ("de", "", 0)
    assert section.text == "Klicken Sie auf Drucken, um zu drucken.\nDann warten Sie."


def test_a_pdf_has_a_section_per_page_with_text(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="pip install 'panglot[pdf]'")
    # A PDF has glyphs in the order in which they stand from left to right.
    path = pdf(tmp_path / "a.pdf", [THAI, "", ARABIC[::-1]], title="คู่มือ", language="th")
    found = from_docs.sections([path])
    sections = [each for members in found.groups.values() for each in members]
    assert [(each.leaf, each.text) for each in sections] == [(1, THAI), (3, ARABIC)]
    assert {(each.title, each.language) for each in sections} == {("คู่มือ", "th")}
    assert found.left_out["pages of PDF without text"] == 1


def test_what_a_pdf_says_of_itself_is_not_always_believed(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="pip install 'panglot[pdf]'")
    german = "Klicken Sie auf Drucken, wählen Sie einen Drucker und warten Sie auf das Papier."
    path = pdf(tmp_path / "a.pdf", [german], title="Microsoft Word - brief.docx", language="en-US")
    (group,) = from_docs.sections([path]).groups.values()
    assert [(each.title, each.language) for each in group] == [("", "de")]


def test_a_pdf_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pip install 'panglot[pdf]'")
    with pytest.raises(PanglotError, match=r"has no text, so it is a scan.*OCR"):
        from_docs.sections([pdf(tmp_path / "scan.pdf", ["", ""])])
    (tmp_path / "bad.pdf").write_bytes(b"not a PDF")
    with pytest.raises(PanglotError, match="not a readable PDF"):
        from_docs.sections([tmp_path / "bad.pdf"])
    writer = pypdf.PdfWriter(clone_from=pdf(tmp_path / "a.pdf", ["Some text that nobody may read."]))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(PanglotError, match="needs a password"):
        from_docs.sections([tmp_path / "locked.pdf"])


def test_pdf_without_its_reader_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panglot._environment.find_spec", lambda _name: None)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    for path in (tmp_path, tmp_path / "a.pdf"):
        with pytest.raises(PanglotError, match=r"reading PDF needs pypdf.*\[pdf\]"):
            from_docs.sections([path], lenient=True)


RST = """\
:lang: en
:url: https://example.org/print

.. contents::

.. _printing:

Printing :index:`pages`
=======================

Some *text* with ``code``, :ref:`a link <target>`, :class:`~package.mod.Printer` and `a page <https://x.org>`_. [1]_

.. toctree::
   :maxdepth: 2

   one

.. note:: Paper must be dry.

.. versionadded:: 3.2 The *tray* parameter.

.. deprecated:: 4.0

.. py:function:: print_it(what, *, copies=1)
   :noindex:

   Print it.

   :param what: The document.

.. code-block:: python

   print(1)

Trays
-----

.. table:: All trays

   =====  ====
   Name   Size
   =====  ====
   upper  A4
   =====  ====

* first item
* second item
  that goes on

.. include:: secret.txt
.. figure:: tray.png
   :alt: picture

   The caption.

.. [1] A footnote.

|unknown| :math:`x`

.. seealso::

   The :doc:`manual`.

=====  =====
no table
=====
"""


def test_restructuredtext_has_a_section_per_heading(tmp_path: Path) -> None:
    pytest.importorskip("docutils", reason="pip install 'panglot[rst]'")
    write(tmp_path / "secret.txt", "secret")
    first = place_of(write(tmp_path / "en" / "print.rst", RST))
    found = list(rst_sections(tmp_path / "en" / "print.rst", first))
    assert [(each.level, each.anchor, each.title, each.headings) for each in found] == [
        (1, "printing", "Printing pages", ()), (2, "", "Trays", ("Printing pages",)),
    ]  # fmt: skip
    assert {(each.language, each.url, each.page_title) for each in found} == {
        ("en", "https://example.org/print", "Printing pages")
    }
    assert found[0].text.splitlines() == [
        "Some text with code, a link, Printer and a page.", "Paper must be dry.", "3.2 The tray parameter.",
        "Print it.", "param what The document.",
    ]  # fmt: skip
    assert found[1].text.splitlines() == [
        "All trays", "Name Size", "upper A4", "first item", "second item that goes on", "The caption.", "A footnote.",
        "|unknown| x", "The manual.",
    ]  # fmt: skip
    assert first.left_out == {
        "directives of reStructuredText without text, or unknown": 2,  # toctree, include
        "blocks of reStructuredText with an error": 1,
    }


def test_restructuredtext_is_read_from_a_folder_and_tied_by_targets(tmp_path: Path) -> None:
    pytest.importorskip("docutils", reason="pip install 'panglot[rst]'")
    write(tmp_path / "en" / "a.rst", "A\n=\n\nOne.\n\n.. _save:\n\nSave it\n=======\n\nPress the button.\n")
    write(tmp_path / "de" / "a.rst", ".. _save:\n\nSpeichern\n=========\n\nDrücken Sie den Knopf.\n")
    found = from_docs.sections([tmp_path]).groups
    assert sorted(each.language for each in found["a.rst#save"]) == ["de", "en"]


def test_restructuredtext_without_its_reader_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.rst", "A\n=\n\nOne.\n")
    monkeypatch.setattr("panglot._environment.find_spec", lambda name: None if name == "docutils" else object())
    with pytest.raises(PanglotError, match=r"reading reStructuredText needs docutils.*\[rst\].*leave .rst files out"):
        from_docs.sections([tmp_path])


@pytest.mark.parametrize("text", [
    "בחרו את התאים שברצונכם להדפיס, ואז לחצו על הדפסה. הגיליון נשמר עם כל הנתונים שנכתבו בדפים האחרונים.",
    "حدد الخلايا التي تريد طباعتها ثم انقر فوق طباعة. يتم حفظ الورقة مع كل البيانات المكتوبة في الصفحة الأخيرة.",
    "وہ خلیے منتخب کریں جنہیں آپ چھاپنا چاہتے ہیں، پھر چھاپیں پر کلک کریں۔ صفحے محفوظ ہو جاتے ہیں۔",
])  # fmt: skip
def test_a_pdf_in_reverse_order_is_noted(tmp_path: Path, text: str) -> None:
    pytest.importorskip("pypdf", reason="pip install 'panglot[pdf]'")
    # pypdf takes it that letters are drawn from left to right, and turns those of this file around.
    (note,) = _order_notes(pdf(tmp_path / "a.pdf", [text]))
    assert note.startswith("a.pdf: the letters of its words are in reverse order. Fix: ")
    assert _order_notes(pdf(tmp_path / "b.pdf", [text[::-1].lstrip(".۔")])) == []
    # The full stop of Urdu is a letter from right to left too, so it stays at the end.
    notes = _order_notes(pdf(tmp_path / "c.pdf", [text[::-1]] * 3))
    assert ["full stops begin its lines" in each for each in notes] == [True] * (text[-1] == ".")


def _order_notes(path: Path) -> list[str]:
    return [each for each in from_docs.sections([path], lenient=True).notes if "reverse order" in each]
