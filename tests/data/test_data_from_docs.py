"""Rows from documents: their questions, their passages, and which versions belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_made import write

from panglot._errors import PanglotError
from panglot.data.convert import write_rows
from panglot.data.pages import from_docs, html
from panglot.data.pages.sections import place_of
from panglot.datasets.registry import read

HTML = """<!DOCTYPE html><html lang="{lang}"><head><title>{title}</title><style>p {{}}</style></head>
<body><nav>Home</nav><h1 id="top">{title}</h1><p>{one}
{two}</p><p>{three}</p><script>no()</script>
<section id="clean"><h2>{question}</h2><p>{four}</p></section><h2>{last}</h2><ul><li>{five}</li></ul></body></html>"""
EN = {"lang": "en", "title": "Printers", "one": "A printer puts text on paper.", "two": "It needs ink &amp; care.",
      "three": "Most have two trays.", "question": "How do I clean it?", "last": "Options",
      "four": "Open the lid and press the round button.", "five": "Draft mode saves ink in long texts."}  # fmt: skip
DE = {"lang": "de", "title": "Drucker", "one": "Ein Drucker bringt Text auf Papier.", "two": "Er braucht Tinte.",
      "three": "Die meisten haben zwei Fächer.", "question": "Wie reinige ich ihn?", "last": "Einstellungen",
      "four": "Öffnen Sie den Deckel und drücken Sie den Knopf.",
      "five": "Der Entwurf spart Tinte bei Texten."}  # fmt: skip


@pytest.fixture
def pages(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / x["lang"] / "page.html", HTML.format(**x)) for x in (EN, DE)]


def test_html_versions_are_tied_by_path_and_anchor(pages: list[Path], tmp_path: Path) -> None:
    made = from_docs.read(pages, shortest=20)
    rows = {(row.group, row.language): (row.question, row.passage) for row in made.rows}
    assert {group for group, _ in rows} == {"page.html#top", "page.html#clean", "page.html#@3"}
    assert len(rows) == 6
    assert made.tied == 3
    assert rows["page.html#top", "en"] == (
        "Printers", "A printer puts text on paper. It needs ink & care.\nMost have two trays.",
    )  # fmt: skip
    assert rows["page.html#clean", "de"] == ("Wie reinige ich ihn?", DE["four"])
    assert rows["page.html#@3", "de"][0] == "Einstellungen"
    write_rows(made.rows, tmp_path / "my.jsonl")
    found = read(tmp_path / "my.jsonl")
    assert (found.questions.num_rows, len(found.pairs[0])) == (6, 12)


def test_ways(pages: list[Path]) -> None:
    asked = from_docs.read(pages, ways=["question"], shortest=20)
    assert {row.question for row in asked.rows} == {"How do I clean it?", "Wie reinige ich ihn?"}
    first = from_docs.read(pages[:1], ways=["first-sentence"], shortest=20)
    assert [(row.question, row.passage) for row in first.rows] == [
        ("A printer puts text on paper.", "It needs ink & care.\nMost have two trays."),
    ]
    with pytest.raises(PanglotError, match="choose one of question, title"):
        from_docs.read(pages, ways=["guess"])
    with pytest.raises(PanglotError, match="give no rows"):
        from_docs.read(pages, shortest=10_000)


def test_a_shared_heading_takes_the_pages_title(pages: list[Path], tmp_path: Path) -> None:
    other = write(tmp_path / "en" / "other.html", HTML.format(**EN | {"title": "Scanners", "question": "And this?"}))
    made = from_docs.read([pages[0], other], shortest=20)
    asked = {row.question for row in made.rows}
    assert {"Printers: Options", "Scanners: Options", "Printers", "And this?"} <= asked


def test_versions_of_another_structure_stay_apart(pages: list[Path]) -> None:
    pages[1].write_text(
        pages[1].read_text("utf-8").replace("<h2>Einst", "<h2>Neu</h2><p>Ganz neuer Text hier.</p><h2>Einst")
    )
    rows = from_docs.read(pages, shortest=20).rows
    groups = {row.question: row.group for row in rows}
    assert groups["Drucker"] == groups["Printers"]
    assert groups["Einstellungen"] != groups["Options"]
    assert groups["Neu"] != groups["Options"]


MARKDOWN = """---
title: Guide
---
Before any *heading* there is [a link](x.md) and text.

# Install {#install}

Run `pip install it` and **wait**. Then start.

```sh
# not a heading
```

Usage
-----

1. Open the file in the editor first.
"""


def test_markdown(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"guide.{code}.md", MARKDOWN) for code in ("en", "pt-BR")]
    rows = from_docs.read(paths, shortest=20).rows
    assert {(row.group, row.question, row.passage) for row in rows if row.language == "pt-BR"} == {
        ("guide.md#@1", "Guide", "Before any heading there is a link and text."),
        ("guide.md#install", "Install", "Run pip install it and wait. Then start."),
        ("guide.md#@3", "Usage", "Open the file in the editor first."),
    }
    assert len(rows) == 6


def test_columns(tmp_path: Path) -> None:
    table = write(
        tmp_path / "faq.csv", 'head,body,code,key\nWho?,"She, of course, was it.",en,1\nWer?,Sie war es doch.,de,1\n'
    )
    columns = {"title": "head", "text": "body", "language": "code", "group": "key"}
    made = from_docs.read([table], columns=columns, shortest=5)
    assert [(row.group, row.language, row.question) for row in made.rows] == [
        ("faq.csv#1", "en", "Who?"), ("faq.csv#1", "de", "Wer?"),
    ]  # fmt: skip
    with pytest.raises(PanglotError, match=r'field "text": there is no such column \(there are: head'):
        from_docs.read([table])


def test_rows_of_a_table_are_tied_by_their_group_alone(tmp_path: Path) -> None:
    rows = "Hours,We open at nine.,en\nRückgabe,Bringen Sie es zurück.,de\n"
    alone = from_docs.read([write(tmp_path / "faq.csv", "title,text,language\n" + rows)], shortest=5)
    assert (len({row.group for row in alone.rows}), alone.tied) == (2, 0), "as many rows in each language, by chance"
    for code, text in (("en", "We open at nine."), ("de", "Bringen Sie es zurück.")):
        write(tmp_path / code / "table.csv", f"title,text\n{text[:2]},{text}\n")
    assert from_docs.read([tmp_path / code / "table.csv" for code in ("en", "de")], shortest=5).tied == 0
    twice = "title,text,language,group\nA,First text here.,en,1\nB,Second text here.,en,1\nC,Dritter Text.,de,1\n"
    assert from_docs.read([write(tmp_path / "twice.csv", twice)], shortest=5).tied == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_cells_may_be_separated_otherwise(tmp_path: Path, delimiter: str, ending: str) -> None:
    rows = [["\ufefftitle", "text", "language"], ["A, b; c", "We open at nine, as always; and close at five.", "en"]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows)
    made = from_docs.read([write(tmp_path / f"faq.{ending}", text)], shortest=5)
    assert [(row.question, row.passage) for row in made.rows] == [tuple(rows[1][:2])]
    usual = {"csv": ",", "tsv": "\t"}[ending]
    assert made.notes == (() if delimiter == usual else (f"faq.{ending}: cells are separated by {delimiter!r}",))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.csv", 'title,text,language\nA,"never closed,en\nB,text,en\n', 2),
        ("a.csv", 'title,text,language\nA,"two\nlines",en\nB,"never closed,en\n', 4),
        ("a.tsv", 'title\ttext\tlanguage\nA\ttext\ten\nB\t"Quoted" text\ten\n', 3),
        ("a.csv", "title,text,language\nA,one\rB,two\r", 2),
        ("a.csv", "title,text,language\rA,one,en\r", 1),
    ],
)
def test_an_unclosed_quotation_mark_is_an_error_with_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    with pytest.raises(PanglotError, match=r"cannot be read|end lines with LF or CRLF") as caught:
        from_docs.read([write(tmp_path / name, text)])
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("path", "page", "code"),
    [
        ("help/de/page.html", "help/page.html", "de"),
        ("docs/zh_CN/a/b.md", "docs/a/b.md", "zh_CN"),
        ("a/page.pt-BR.html", "a/page.html", "pt-BR"),
        ("a/page_fr.md", "a/page.md", "fr"),
        ("man/bin/page.html", "man/bin/page.html", ""),
        ("zz/page.html", "zz/page.html", ""),
    ],
)
def test_the_languages_piece_of_a_path(path: str, page: str, code: str) -> None:
    place = place_of(Path(path))
    assert place.page == page
    assert place.pieces[:1] == (((page, code),) if code else ())


def test_unknown_language_and_kind(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html", "<h1>Title</h1><p>1234567890 1234567890 1234567890 1234567890</p>")
    with pytest.raises(PanglotError, match="--language en"):
        from_docs.read([page])
    assert from_docs.read([page], language="en").rows[0].language == "en"
    with pytest.raises(PanglotError, match="unknown kind"):
        from_docs.read([write(tmp_path / "page.docx", "x")])
    latin = tmp_path / "latin.html"
    latin.write_bytes(
        b'<html lang="fr"><meta charset="iso-8859-1"><h1>Caf\xe9</h1><p>Un caf\xe9 au lait, et un the sans sucre.</p>'
    )
    assert from_docs.read([latin], shortest=20).rows[0].question == "Café"
    latin.write_bytes(b'<html lang="fr"><h1>Caf\xe9</h1><p>x</p>')
    with pytest.raises(PanglotError, match="not utf-8"):
        from_docs.read([latin])


LIBREOFFICE = """<!DOCTYPE html>
<html lang="{lang}" dir="ltr">
<head>
<base href="../../../../">
<noscript><meta http-equiv="refresh" content="0; URL=../../../../{lang}/noscript.html"></noscript>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{title}</title>
<script type="text/javascript" src="help2.js" defer></script></head>
<body>
<header id="TopLeftHeader"><a class="logo" href="x"><p dir="auto">LibreOffice 7.4 Help</p></a><div class="dropdowns">
<div class="modules"><button type="button">Module</button><nav id="modules-nav"></nav></div></div></header><aside
class="leftside"><div id="Index"><input id="search-bar" type="search" class="search"></div></aside>
<div id="DisplayArea">
<a name="bm_id3153394"></a><meta itemprop="keywords" content="opening; Word">
<h1 id="hd_id3145313" dir="auto">{title}</h1>
<p id="par_id3145345" class="paragraph" dir="auto">{text} <span class="switchinline"><span hidden="true" id="MAC_1"
class="MAC">{mac}</span><span hidden="true" id="default_1">{usual}</span></span>+O.</p>
<div class="relatedtopics"><p class="related"><span class="emph">{related}</span></p><div class="relatedbody"><div
class="embedded"><p class="embedded"><a href="x">{title}</a></p></div></div></div>
</div><footer><div id="DEBUG" class="debug"><h3 class="bug">Help content debug info:</h3></div></footer></body></html>
"""


def test_libreoffice_s_help_as_debian_installs_it(tmp_path: Path) -> None:
    root = tmp_path / "usr" / "share" / "libreoffice" / "help"
    pages = {
        "en-US": ("Opening documents", "Choose where the file lies, or press", "Command", "Ctrl", "Related Topics"),
        "de": ("Dokumente öffnen", "Wählen Sie, wo die Datei liegt, oder drücken Sie", "Befehl", "Strg", "Themen"),
    }
    # The end of the name is Malay's code but not a language here: the page declares its own, and the folder agrees.
    for code, (title, text, mac, usual, related) in pages.items():
        page = LIBREOFFICE.format(lang=code, title=title, text=text, mac=mac, usual=usual, related=related)
        write(root / code / "text" / "shared" / "guide" / "import_ms.html", page)
    made = from_docs.read([root])
    assert made.tied == 1
    assert {(row.group, row.language, row.question, row.passage) for row in made.rows} == {
        ("import_ms.html#hd_id3145313", "en-US", pages["en-US"][0], f"{pages['en-US'][1]} Ctrl+O."),
        ("import_ms.html#hd_id3145313", "de", pages["de"][0], f"{pages['de'][1]} Strg+O."),
    }


def test_html_without_end_tags_is_read_as_browsers_read_it(tmp_path: Path) -> None:
    page = """<?xml version="1.0" encoding="utf-8"?><html lang="en"><body><!-- no text -->Before all.
<h2>Bread<a id="bread"></a></h2><p hidden>A draft that nobody sees.<p>Mix flour and water, then wait.
<ul><li>Bake it<li>for an hour <b>at least</b></ul><nav>Home<ul><li>Next</ul></nav><p>Let it cool.</body>"""
    (row,) = from_docs.read([write(tmp_path / "page.html", page)], ways=["title"], shortest=20).rows
    assert row.question == "Bread"
    assert row.passage == "Mix flour and water, then wait.\nBake it\nfor an hour at least\nLet it cool."


@pytest.mark.parametrize(("tag", "mark"), [("main", "main"), ("div", 'div role="main"')])
def test_what_is_outside_of_the_main_part_of_a_page_is_left_out(tmp_path: Path, tag: str, mark: str) -> None:
    page = f"""<html lang="en"><title>Bread – Site</title><body><div>We use cookies.</div><{mark}><p>All about bread.
    <header><h1>Bread</h1></header><p>Mix flour and water.</{tag}><div>Read more</div></body></html>"""
    place = place_of(write(tmp_path / "page.html", page))
    found = [(each.title, each.text) for each in html.html_sections(tmp_path / "page.html", place)]
    assert found == [("Bread – Site", "All about bread."), ("Bread", "Mix flour and water.")]
    hidden = write(tmp_path / "page.html", page.replace(f"<{mark}>", f"<{mark} hidden>"))
    assert [each.text for each in html.html_sections(hidden, place)] == ["We use cookies.\nRead more"]


def test_markdown_of_every_kind(tmp_path: Path) -> None:
    text = """# One *and* `two` [three](x) ![four](y.png) {#first}

> - quoted
>   and **continued** here
> - [linked][ref]

    indented_code()

| a | b |
|---|---|
| c | d \\| e |

<div align="center">Centered <b>text</b></div>

A line\\
and another <!-- gone -->

***

[ref]: https://example.org "title"
"""
    (row,) = from_docs.read([write(tmp_path / "x.md", text)], language="en", ways=["title"], shortest=5).rows
    assert row.question == "One and two three four"
    assert (row.passage or "").split("\n") == [
        "quoted and continued here", "linked", "a b", "c d | e", "Centered text", "A line and another",
    ]  # fmt: skip


def test_markdown_and_html_are_parsed(tmp_path: Path) -> None:
    text = "## Using C#\n\nTake `Vec<T>` here.\n\n- item\n\n  ```py\n  code()\n  ```\n\n<script>x = 1</script>\n\n"
    text += "<h2 id='b'>Second</h2>\n<p>Its body.</p>\n"
    made = from_docs.read([write(tmp_path / "a.md", text)], language="en", ways=["title"], shortest=3)
    assert [(row.question, row.passage) for row in made.rows] == [
        ("Using C#", "Take Vec<T> here.\nitem"), ("Second", "Its body."),
    ]  # fmt: skip
    page = """<html lang="en"><header><h1>Site</h1></header><article><header><h1>Head</h1></header><p>Body of it.
    <p hidden>A draft<section><h2>Next</h2><p>Seen by all.</section>And this.<p style="display: none">gone</article>"""
    made = from_docs.read([write(tmp_path / "a.html", page)], ways=["title"], shortest=3)
    assert [(row.question, row.passage) for row in made.rows] == [
        ("Head", "Body of it."), ("Next", "Seen by all.\nAnd this."),
    ]  # fmt: skip
