"""What can be indexed: files of documents, pages, BEIR folders and data sets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from search_made import Biased, use_memory

from panglot._errors import PanglotError
from panglot.cli.index import index_command, search_command
from panglot.datasets.registry import read
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ingest.sources import find_documents, read_passages


def found(name: str | Path, **options: Any) -> list[Document]:
    documents = find_documents(name, **options)
    progress = options.get("progress", lambda _: None)
    return [each for piece in read_passages(documents, Biased(), progress=progress) for each in piece]


def test_sections_of_pages_are_documents_tied_with_their_translations(tmp_path: Path) -> None:
    for code, texts in (("en", ("Click Print.", "Choose pages.")), ("de", ("Klick auf Drucken.", "Wähle Seiten."))):
        (tmp_path / code).mkdir()
        (tmp_path / code / "page.md").write_text(f"# Print\n\n{texts[0]}\n\n## Part\n\n{texts[1]}")
    documents = {each.id: each for each in found(tmp_path)}
    assert list(documents) == [f"{code}/page.md#{part}" for part in (1, 2) for code in ("de", "en")]
    first, second = documents["en/page.md#1"], documents["en/page.md#2"]
    assert (first.title, first.text, first.language, first.group) == ("Print", "Click Print.", "en", "page.md#@1")
    assert first.metadata == {"path": "en/page.md"}
    assert second.metadata == {"path": "en/page.md", "headings": "Print"}


def test_pages_without_a_version_are_counted(tmp_path: Path) -> None:
    for name, text in (("en/a", "Click Print to print."), ("de/a", "Klicken Sie auf Drucken."), ("de/b", "Speichern.")):
        path = tmp_path / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"---\nlang: {name[:2]}\n---\n# T\n\n{text}")
    lines: list[str] = []
    found(tmp_path, progress=lines.append)
    (line,) = (each for each in lines if "no version" in each)
    assert line.startswith("1 of 3 pages have no version in another language")
    lines.clear()
    found(tmp_path / "de", progress=lines.append)
    assert not [each for each in lines if "no version" in each]


def test_a_beir_folder_has_one_language_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "title": "", "text": "Print", "lang": "deu"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "drucken", "lang": "de"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    (document,) = found(tmp_path)
    assert [document.language] == read(tmp_path).passages["language"].to_pylist() == ["de"]
    assert document.metadata == {}
    # A table beside pages is read by another way.
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "faq.csv").write_text("id,text,lang\n1,Print,de\n")
    (tmp_path / "pages" / "more.md").write_text("Klicken Sie auf Drucken.")
    assert [each.language for each in found(tmp_path / "pages") if each.text == "Print"] == ["de"]


def test_a_page_alone_in_a_stated_language(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# OK\n\nOK OK.")
    assert [each.language for each in found(path, language="fin")] == ["fi"]


def test_a_beir_folder_gives_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "x y", "metadata": null}\n')
    assert found(tmp_path, language="en") == [Document("d1", "x y", "T", "en")]


def test_rows_beside_pages_keep_their_ids_and_fields(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Print\n\nClick Print.")
    rows = ({"id": f"q{row}", "text": f"Answer {row}.", "language": "en", "year": row} for row in (1, 2))
    (tmp_path / "faq.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "old.csv").write_text("id,text,path\n1,Save it.,a\n1,Open it.,b\n")
    documents = {each.id: each for each in found(tmp_path)}
    assert set(documents) == {"page.md#1", "faq.jsonl#q1", "faq.jsonl#q2", "old.csv#1", "old.csv#2"}
    assert documents["faq.jsonl#q2"].metadata == {"path": "faq.jsonl", "year": 2}
    # Two rows have one id, so it names neither. What a row calls a path stays.
    assert documents["old.csv#2"].metadata == {"path": "b"}


def test_an_index_gives_its_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    given = [Document("1", "x y", "T", "sw", "g", {"n": 1, "tags": ["a"]}), Document("2", "One two.", "", "en")]
    Index.build(given, tmp_path / "index", model=Biased()).close()
    assert found(tmp_path / "index") == given
    assert [each.id for each in found(tmp_path / "index", chunk_tokens=32)] == ["1", "2"]
    with pytest.raises(PanglotError, match="an index has its documents already"):
        find_documents(tmp_path / "index", language="de")
    # Programs that make sites write a file of this name.
    page = tmp_path / "site" / "page.md"
    page.parent.mkdir()
    page.write_text("# Print\n\nClick Print.")
    (page.parent / "index.json").write_text('[{"title": "Print", "permalink": "/print/"}]')
    assert [each.title for each in found(page.parent)] == ["Print"]
    with pytest.raises(PanglotError, match="damaged"):
        Index.build(given, page.parent, model=Biased())


def test_an_index_takes_no_folder_that_holds_other_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    given = [Document("1", "x y", "T", "sw")]
    # A finished build replaces `store` and removes `shards`.
    for number, name in enumerate(("store/shop.ts", "shards/part-1.bin", "page.md")):
        path = tmp_path / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        with pytest.raises(PanglotError, match=rf"holds other things, such as {Path(name).parts[0]}|part-1"):
            Index.build(given, tmp_path / str(number), model=Biased())
        assert [each for each in (tmp_path / str(number)).rglob("*") if each.is_file()] == [path]
    # Of a volume, or of a build that was killed before it had a name.
    volume = tmp_path / "volume"
    for name in ("lost+found", "shards", ".trash"):
        (volume / name).mkdir(parents=True)
    (volume / "shards" / "lock").touch()
    Index.build(given, volume, model=Biased()).close()


def test_documents_that_are_refused_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    good = [Document(str(number), f"word{number}", "T", "sw") for number in range(3)]
    wrong = [{"id": "1", "text": "x y"}, {"id": "2"}]
    (tmp_path / "mine").mkdir()
    for place in ("new/deep/index", "mine"):
        with pytest.raises(PanglotError, match="`text` is missing"):
            Index.build(wrong, tmp_path / place, model=Biased())
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
    # The same place takes the documents when they are mended.
    index = Index.build(good, tmp_path / "mine", model=Biased())
    before = {path.name for path in (tmp_path / "mine").iterdir()}
    with pytest.raises(PanglotError, match="`text` is missing"):
        index.update(wrong)
    assert {path.name for path in (tmp_path / "mine").iterdir()} == before
    index.close()


def test_what_was_encoded_outlives_documents_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [Document(str(number), f"word{number}", "T", "sw") for number in range(3)]
    said: list[str] = []

    def stop(_: object) -> None:
        raise PanglotError("stopped after encoding")

    with monkeypatch.context() as patch:
        patch.setattr("panglot.search.ingest.build.query_offset", stop)
        with pytest.raises(PanglotError, match="stopped after encoding"):
            Index.build(good, tmp_path / "index", model=Biased())
    with pytest.raises(PanglotError, match="`text` is missing"):
        Index.build([{"id": "2"}], tmp_path / "index", model=Biased())
    Index.build(good, tmp_path / "index", model=Biased(), progress=said.append).close()
    assert "shards encoded: 0; found: 1" in said


def test_documents_as_json_lines_may_be_called_json(tmp_path: Path) -> None:
    path = tmp_path / "docs.json"
    path.write_text('{"id": "1", "text": "Now.", "language": "en"}\n{"id": "2", "text": "Jetzt.", "language": "de"}\n')
    assert [each.text for each in found(path)] == ["Now.", "Jetzt."]


def test_a_data_set_gives_its_passages() -> None:
    documents = found("starter")
    assert len(documents) == 576
    assert len({each.group for each in documents}) == 48
    assert {each.metadata["dataset"] for each in documents} == {"starter"}
    with pytest.raises(PanglotError, match="did you mean starter"):
        find_documents("startr")


def test_rows_with_passages_and_rows_with_texts_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"group": "1", "language": "en", "question": "When?", "passage": "Now."}\n')
    assert [each.text for each in found(path)] == ["Now."]
    path.write_text('{"id": "1", "language": "en", "text": "Now.", "passage": "not this"}\n')
    assert [(each.text, each.metadata) for each in found(path)] == [("Now.", {"passage": "not this"})]


def test_a_stated_language_is_for_documents_that_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    path = tmp_path / "faq.csv"
    path.write_text("nr;code;body\n1;;Wir öffnen um neun Uhr.\n2;de;Wir öffnen um zehn Uhr.\n")
    columns = {"id": "nr", "text": "body", "language": "code"}
    source = find_documents(path, language="nl", columns=columns)
    index = Index.build(source, tmp_path / "index", model=Biased())
    assert index.counts() == {"de": 1, "nl": 1}
    # The same source once more changes nothing.
    assert len(Index.build(source, tmp_path / "index", model=Biased())) == 2


def test_a_folder_may_hold_one_file_of_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"nr": "1", "text": "Hello.", "n": 3}\n')
    (document,) = found(tmp_path, columns={"id": "nr"}, language="en")
    assert (document.id, document.metadata) == ("1", {"n": 3})
    (tmp_path / "b.jsonl").write_text('{"id": "2", "text": "Hello."}\n')
    with pytest.raises(PanglotError, match=r"the folder has 2 files of documents.*name one, such as a\.jsonl"):
        found(tmp_path)


def test_a_page_beside_a_data_set_is_not_its_documents(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# About\n\nThese are questions and their answers.")
    (tmp_path / "rows.jsonl").write_text('{"language": "en", "question": "When?", "passage": "Now."}\n')
    assert [each.text for each in found(tmp_path)] == ["Now."]
    (tmp_path / "rows.jsonl").unlink()
    read("starter").save(tmp_path / "saved")
    (tmp_path / "saved" / "README.md").write_text("# About\n\nThese are questions and their answers.")
    assert len(found(tmp_path / "saved")) == 576


def test_columns_of_what_has_none_are_refused() -> None:
    with pytest.raises(PanglotError, match="starter is not a file of documents"):
        find_documents("starter", columns={"text": "body"})


SAID = {
    "ar": ("الطباعة", "انقر فوق طباعة ثم اختر الطابعة التي تريد استخدامها."),
    "de": ("Drucken", "Klicken Sie auf Drucken und wählen Sie dann den Drucker aus."),
    "en": ("Printing", "Click Print, and then choose the printer that you want to use."),
    "ja": ("印刷", "印刷をクリックしてから、使用するプリンターを選択してください。"),
    "th": ("การพิมพ์", "คลิกพิมพ์แล้วเลือกเครื่องพิมพ์ที่คุณต้องการใช้งาน"),
    "zh": ("打印", "请单击“打印”，然后选择您要使用的打印机。"),
}


def make_folder(folder: Path) -> Path:
    """Write pages of six languages in four formats, with everything that a folder may have beside them."""
    for code, (title, text) in SAID.items():
        (folder / code).mkdir(parents=True)
        (folder / code / "print.md").write_text(f"---\nurl: https://example.org/{code}\n---\n# {title}\n\n{text}\n")
    html = f'<html lang="ja"><head><link rel="canonical" href="/ja/a"></head><h1>A</h1><p>{SAID["ja"][1]}</p></html>'
    (folder / "a.htm").write_text(html)
    (folder / "note.txt").write_text(f"{SAID['th'][1]}\n\n{SAID['th'][1]}")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.md").write_text("# Hidden")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    (folder / "empty.md").write_text("")
    (folder / "latin.txt").write_bytes("Grüße aus München".encode("cp1252"))
    (folder / "loop").symlink_to(folder)
    (folder / "same.md").symlink_to(folder / "en" / "print.md")
    (folder / "gone.md").symlink_to(folder / "nothing.md")
    return folder


def test_a_folder_of_pages_in_six_languages(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "docs")
    (tmp_path / "outside.md").write_text("# Outside\n\nThis page is in another folder.")
    (folder / "linked.md").symlink_to(tmp_path / "outside.md")
    said: list[str] = []
    documents = {each.id: each for each in found(folder, progress=said.append)}
    assert set(documents) == {*(f"{code}/print.md#1" for code in SAID), "a.htm#1", "note.txt#1", "linked.md#1"}
    for code, (title, text) in SAID.items():
        metadata = {"path": f"{code}/print.md", "url": f"https://example.org/{code}"}
        assert documents[f"{code}/print.md#1"] == Document(
            f"{code}/print.md#1", text, title, code, "print.md#@1", metadata
        )
    assert (documents["a.htm#1"].language, documents["a.htm#1"].metadata["url"]) == ("ja", "/ja/a")
    assert documents["note.txt#1"].language == "th"
    assert "9 pages (md 7, htm 1, txt 1)" in said
    assert "files that do not state their language, by the language that was detected: en 1, th 1" in said
    assert "empty.md: left out: the file is empty (fetch or write it again)" in said
    assert any(line.startswith("latin.txt: left out: not UTF-8") and "WINDOWS-1252" in line for line in said)
    for reason in ("hidden files and folders", "links to folders", "files of other kinds (.png 1)",
                   "links to files of the folder", "links that lead nowhere, pipes and devices"):  # fmt: skip
        assert f"left out, {reason}: 1" in said
    assert "left out, files that cannot be read: 2" in said
    assert said[-1].startswith("9 pages became 9 passages of at most 256 tokens (")


def test_a_language_that_is_doubtful_or_wrong_is_detected_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nlang: klingonese\n---\n# Hallo\n\nWir drucken das Blatt auf Papier aus.")
    (tmp_path / "b.md").write_text("# OK\n\nOK OK.")
    said: list[str] = []
    documents = {each.id: each.language for each in found(tmp_path, progress=said.append)}
    assert documents["a.md#1"] == "de"
    assert any(line.startswith("a.md: unknown language code 'klingonese', so it was detected") for line in said)
    assert any(line.endswith("(2 of them by too little text, or in doubt: see --language)") for line in said)
    assert {each.language for each in found(tmp_path, language="nl")} == {"nl"}


def test_a_folder_without_a_page_that_can_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("")
    with pytest.raises(PanglotError, match="no document has any text"):
        Index.build(tmp_path, tmp_path / "index", model=Biased())
    with pytest.raises(PanglotError, match=r"a\.md: .*the file is empty"):
        found(tmp_path / "a.md")


def test_the_marks_of_templates_are_no_text(tmp_path: Path) -> None:
    pages = {
        "list.html": "{# All pages. #}<div>{% for page in pages %}<p>{{ page.title }}</p>{% endfor %}</div>",
        "help.html": '<html lang="{{ lang }}"><title>{{ site }} Help</title><h1>{% trans %}Printing{% endtrans %}</h1>'
        "<p>Click Print, then {{ button }} or <code>{{ shown }}</code>.</p>",
        "note.md": '# Notes\n\n{% include nav.html %}\n\nWrite `{{ x }}` for a {{< ref "value.md" >}} value $x^{{2}}$.',
    }
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    said: list[str] = []
    sections = found(tmp_path, language="en", progress=said.append)
    assert [(each.title, each.text) for each in sections] == [
        ("Printing", "Click Print, then or {{ shown }}."),
        ("Notes", "Write {{ x }} for a value $x^{{2}}$."),
    ]
    assert "left out, templates of pages without text of their own: 1" in said


def test_a_name_that_is_not_utf8_stops_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nThe text of a page.")
    odd = tmp_path / os.fsdecode(b"b\xff.md")
    try:
        odd.write_text("# B\n\nThe text of another page.")
    except OSError:
        pytest.skip("this file system has names in Unicode alone")
    said: list[str] = []
    assert [each.id for each in found(tmp_path, progress=said.append)] == ["a.md#1"]
    assert "left out, files whose names are not UTF-8: 1" in said
    with pytest.raises(PanglotError, match="the name of the file is not UTF-8"):
        found(odd)


def test_what_has_no_documents_is_told_what_documents_are(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PanglotError, match=r"the folder has no documents\. Fix: give \.html, \.md"):
        found(tmp_path / "folder")
    (tmp_path / "folder" / "a.docx").write_text("x")
    with pytest.raises(PanglotError, match=r"no documents, 1 files of other kinds \(\.docx 1\)"):
        found(tmp_path / "folder")
    with pytest.raises(PanglotError, match=r"unknown kind of document\. Fix: give \.html, \.md"):
        found(tmp_path / "folder" / "a.docx")
    (tmp_path / "all.json").write_text('{"documents": [{"id": "1", "text": "Click Print."}]}')
    with pytest.raises(PanglotError, match=r"all\.json, .*must be a list of documents, got one object"):
        found(tmp_path / "all.json")
    with pytest.raises(PanglotError, match="no documents are named"):
        found("")


def test_tables_in_subfolders_are_documents(tmp_path: Path) -> None:
    for code, text in (("de", "Klick auf Drucken."), ("en", "Click Print.")):
        (tmp_path / code).mkdir()
        (tmp_path / code / "faq.jsonl").write_text(json.dumps({"id": code, "text": text, "language": code}))
    assert [each.id for each in found(tmp_path)] == ["de/faq.jsonl#de", "en/faq.jsonl#en"]


def test_documents_command_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., str]
) -> None:
    use_memory(monkeypatch)
    row = {"title": "t\x1b[31m", "text": "one\x1b]0;x\x07\ntwo", "language": "de", "url": "u\x1b[1m", "group": "g"}
    rows = [{**row, "id": "1\x1b[2J\n"}, {**row, "id": "2\x1b[2J\n", "language": "sw"}]
    index = Index.build(rows, tmp_path / "index", model=Biased())
    monkeypatch.setattr(Index, "open", lambda *_, **_options: index)
    done = CliRunner().invoke(search_command, ["index", "one", "--collapse"], catch_exceptions=False)
    assert not {"\x1b", "\x07"} & set(done.stdout)
    assert "one�]0;x�\ntwo" in done.stdout
    assert "also in" in done.stdout
    assert "\x1b" not in fails("index", tmp_path / "no\x1b[31m.md", "--output", tmp_path / "other")


def test_the_index_in_the_folder_of_a_diagnosis_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    row = {"id": "1", "text": "one", "language": "de"}
    Index.build([row], tmp_path / "help-diagnosis" / "index", model=Biased())
    with pytest.raises(PanglotError, match=r"no index here\. Fix: name the one in it, .*help-diagnosis.index"):
        Index.open(tmp_path / "help-diagnosis")


def test_an_empty_table_beside_pages_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nThe text of a page.")
    (tmp_path / "rows.jsonl").write_text("")
    said: list[str] = []
    assert [each.id for each in found(tmp_path, progress=said.append)] == ["a.md#1"]
    assert "left out, files that cannot be read: 1" in said
    with pytest.raises(PanglotError, match=r"rows\.jsonl: the file is empty"):
        found(tmp_path / "rows.jsonl")


def test_long_pages_and_long_rows_are_cut(tmp_path: Path) -> None:
    for code in ("de", "en"):
        (tmp_path / code).mkdir()
        (tmp_path / code / "a.md").write_text(f"# {SAID[code][0]}\n\n" + (SAID[code][1] + " ") * 40)
    documents = found(tmp_path, chunk_tokens=64)
    number = len(documents) // 2
    assert number > 8
    assert {each.id for each in documents} == {
        f"{code}/a.md#1.{place}" for code in ("de", "en") for place in range(1, number + 1)
    }
    assert len({each.group for each in documents}) == number
    assert {each.title for each in documents} == {"Drucken", "Printing"}
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "7", "text": SAID["th"][1] * 30, "n": 3}))
    rows = found(tmp_path / "rows.jsonl")
    assert [each.id for each in rows] == ["7"]
    rows = found(tmp_path / "rows.jsonl", chunk_tokens=64)
    assert [each.id for each in rows] == [f"7#{place}" for place in range(1, len(rows) + 1)]
    assert len(rows) > 4
    assert all(each.metadata == {"n": 3} and each.language == "th" for each in rows)


def test_an_index_of_a_folder_is_updated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_memory(monkeypatch)
    folder, model = make_folder(tmp_path / "docs"), Biased()
    index = Index.build(folder, tmp_path / "index", model=model)
    assert len(index) == 8
    # The same folder once more changes nothing, and encodes nothing.
    assert len(Index.build(folder, tmp_path / "index", model=model)) == 8
    model.seen.clear()
    assert index.update(find_documents(folder)) == {"added": 0, "changed": 0, "deleted": 0}
    assert not [text for text in model.seen if "Click" in text]
    (folder / "de" / "print.md").unlink()
    (folder / "en" / "print.md").write_text("# Printing\n\nClick the button.\n\n## More\n\nThen wait a little while.")
    with pytest.raises(PanglotError, match="of other documents"):
        Index.build(folder, tmp_path / "index", model=model)
    model.seen.clear()
    assert index.update(folder) == {"added": 1, "changed": 1, "deleted": 1}
    assert sorted(text for text in model.seen if "probe" not in text) == [
        "More\nThen wait a little while.", "Printing\nClick the button.",
    ]  # fmt: skip
    stored = {each.id: each for piece in index.documents() for each in piece}
    expected = {each.id: each for each in found(folder)}
    assert stored == expected
    assert len(Index.build(folder, tmp_path / "index", model=model)) == 8
    # A mistake is found before anything is written.
    with pytest.raises(PanglotError, match="`text` is missing"):
        index.update([{"id": "1", "text": "x"}, {"id": "2"}])
    assert len(index) == 8


def test_update_on_the_command_line(tmp_path: Path, small_model: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text(f"# Printing\n\n{SAID['en'][1]}")

    def indexed(*more: str) -> Any:
        call = [str(folder), "--output", str(tmp_path / "index"), "--model", str(small_model), "--json", "-", *more]
        result = CliRunner().invoke(index_command, call)
        return json.loads(result.stdout) if not result.exit_code else str(result.exception)

    assert indexed("--update")["added"] == 1
    (folder / "b.md").write_text(f"# Drucken\n\n{SAID['de'][1]}")
    assert "of other documents" in indexed()
    done = indexed("--update")
    assert (done["added"], done["changed"], done["deleted"], done["documents"]) == (1, 0, 0, 2)
    assert "leave out --add and --delete" in indexed("--update", "--add")
