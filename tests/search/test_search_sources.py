"""What can be indexed: files of documents, pages, BEIR folders and data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_made import Biased, use_memory

from panglot._errors import PanglotError
from panglot.datasets.registry import read
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.ingest.documents import read_documents
from panglot.search.ingest.sources import find_documents


def found(name: str | Path, **options: object) -> list[Document]:
    documents = find_documents(name, **options)  # type: ignore[arg-type]
    return [each for piece in read_documents(documents) for each in piece]


def test_sections_of_pages_are_documents_tied_with_their_translations(tmp_path: Path) -> None:
    for code, texts in (("en", ("Click Print.", "Choose pages.")), ("de", ("Klick auf Drucken.", "Wähle Seiten."))):
        (tmp_path / code).mkdir()
        (tmp_path / code / "page.md").write_text(f"# Print\n\n{texts[0]}\n\n## Part\n\n{texts[1]}")
    documents = {each.id: each for each in found(tmp_path)}
    assert list(documents) == [f"{code}:page.md#@{part}" for part in (1, 2) for code in ("de", "en")]
    first = documents["en:page.md#@1"]
    assert (first.title, first.text, first.language, first.group) == ("Print", "Click Print.", "en", "page.md#@1")


def test_a_page_alone_in_a_stated_language(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# OK\n\nOK OK.")
    assert [each.language for each in found(path, language="fin")] == ["fi"]


def test_a_beir_folder_gives_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "x y", "metadata": null}\n')
    assert found(tmp_path, language="en") == [Document("d1", "x y", "T", "en")]


def test_a_data_set_gives_its_passages() -> None:
    documents = found("starter")
    assert len(documents) == 576
    assert len({each.group for each in documents}) == 48
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
