"""The language of a file: the user's word, then the file's, then its name, then its text."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.data.names import choose, is_code
from panglot.data.pages import from_docs
from panglot.data.pages.from_docs import sections
from panglot.datasets.registry import read

ENGLISH = "Puffins nest in burrows that they dig into grassy cliffs, and otters crack shells with a stone."
GERMAN = "Papageitaucher brüten in Höhlen, die sie in grasige Klippen graben, und Otter knacken Muscheln."
ITALIAN = "I pulcinella di mare nidificano in tane che scavano nelle scogliere erbose, e le lontre rompono i gusci."
INDONESIAN = (
    "Burung puffin bersarang di liang yang mereka gali di tebing berumput, dan berang-berang memecahkan kerang."
)
TONGAN = "Ko e hā e me'a 'oku ke fiema'u ke fai 'i he 'aho ni? 'Oku ou fie 'alu ki he falekoloa ke fakatau mai."


@pytest.mark.parametrize(
    ("path", "text", "language", "page"),
    [
        ("help/de/page.md", GERMAN, "de", "help/page.md"),
        ("page.pt-BR.md", "Curto", "pt-BR", "page.md"),
        ("page.zh-Hant.md", "短", "zh-Hant", "page.md"),
        ("docs/pt-br/page.md", "Curto", "pt-BR", "docs/page.md"),
        # Folders and words that are codes by chance.
        ("ml/page.md", ENGLISH, "en", "ml/page.md"),
        ("en/cs/intro.md", ENGLISH, "en", "cs/intro.md"),
        ("de/cs/intro.md", GERMAN, "de", "cs/intro.md"),
        ("how_to.md", ENGLISH, "en", "how_to.md"),
        ("to-do.json", ENGLISH, "en", "to-do.json"),
        ("sign-in.md", GERMAN, "de", "sign-in.md"),
        ("squad-it.json", ITALIAN, "it", "squad.json"),
        ("to/page.md", TONGAN, "to", "page.md"),  # no detector knows it, but it is surely not English
        ("page.md", GERMAN, "de", "page.md"),
        # A region or script belongs to the code.
        ("page-pt-BR.md", "Curto", "pt-BR", "page.md"),
        ("page_pt_BR.md", "Curto", "pt-BR", "page.md"),
        ("page-zh-Hant.md", "短", "zh-Hant", "page.md"),
        ("help/printing-over-en-gb.md", ENGLISH, "en-GB", "help/printing-over.md"),
        ("guide-de-at.md", GERMAN, "de-AT", "guide.md"),
        ("log-in-us.md", ENGLISH, "en", "log-in-us.md"),
        ("how-to-do.md", ENGLISH, "en", "how-to-do.md"),
        ("to-us-it.md", ITALIAN, "it", "to-us.md"),
        # A path may say it twice.
        ("de/manual_de.pdf", GERMAN, "de", "manual.pdf"),
        ("help/de/x/manual.de-AT.md", GERMAN, "de-AT", "help/x/manual.md"),
        ("it/it.md", ITALIAN, "it", "it.md"),
    ],
)
def test_the_language_of_a_path(path: str, text: str, language: str, page: str) -> None:
    assert choose(Path(path), text)[:2] == (language, page)


def test_a_guess_is_said_with_its_confidence() -> None:
    assert choose(Path("de/page.md"), GERMAN).note == ""
    note = choose(Path("ml/page.md"), ENGLISH).note
    assert "'ml' in the path is not taken for a language" in note
    assert "English with a probability of 0.9" in note
    assert "detected: the text looks like German" in choose(Path("page.md"), GERMAN).note
    assert "de by its name, but the text looks like English" in choose(Path("page.de.md"), ENGLISH).note


def test_path_and_text_together_overrule_what_a_template_states() -> None:
    found = choose(Path("site/de/page.html"), GERMAN, stated="en")
    assert found[:2] == ("de", "site/page.html")
    assert found.note == "it states en, but the text looks like German, as its path says"
    alone = choose(Path("site/page.html"), GERMAN, stated="en")
    assert alone == ("en", "site/page.html", "it states en, but the text looks like German", None)
    assert choose(Path("site/de/page.html"), "Kurz", stated="en").language == "en", "a short text says nothing"
    assert choose(Path("site/de/page.html"), GERMAN, given="en", stated="de").language == "en", "the user is right"


@pytest.mark.parametrize("path", ["how-to.md", "page.md", "en/cs/page.md", "qa-to-do.json", "how-to-do.md"])
def test_what_cannot_be_told_is_an_error_that_names_the_option(path: str) -> None:
    with pytest.raises(PanglotError, match="--language en"):
        choose(Path(path), "Short")


@pytest.mark.parametrize("path", ["de/page.md", "page.pt-BR.md", "ml/page.md", "en/cs/page.md", "page.md"])
def test_what_the_user_says_wins(path: str) -> None:
    for text in (ENGLISH, GERMAN, "Kurz"):
        assert choose(Path(path), text, given="fr").language == "fr"
    assert choose(Path(path), ENGLISH, given="fr", stated="de").language == "fr"
    agreed = path.startswith("en/")
    assert choose(Path(path), ENGLISH, stated="sw").language == ("en" if agreed else "sw"), "it is no guess"


def test_documents_are_read_in_the_language_that_is_said(tmp_path: Path) -> None:
    for path in ("ml/page.md", "de/page.md"):
        (tmp_path / path).parent.mkdir()
    (tmp_path / "ml" / "page.md").write_text(f"# Puffins\n\n{ENGLISH}")
    (tmp_path / "de" / "page.md").write_text(f"# Alke\n\n{GERMAN}")
    made = from_docs.read([tmp_path])
    assert sorted(row.language for row in made.rows) == ["de", "en"]
    assert any("'ml' in the path is not taken for a language" in note for note in made.notes)
    made = from_docs.read([tmp_path], language="nl")
    assert {row.language for row in made.rows} == {"nl"}
    assert any("overrules 'de'" in note for note in made.notes)


def test_a_squad_file_says_what_it_guesses(tmp_path: Path) -> None:
    qas = [{"id": "1", "question": "Who?", "answers": [{"text": "Puffins", "answer_start": 0}]}]
    path = tmp_path / "how-to.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": ENGLISH, "qas": qas}]}]}))
    with pytest.warns(RuntimeWarning, match="looks like English with a probability of 0.9"):
        found = read(path)
    assert found.languages == ("en",)
    assert "looks like English" in found.metadata["language"]
    assert read(path, language="sw").languages == ("sw",)


@pytest.mark.parametrize(
    ("folder", "root", "text", "language"),
    [
        # What the user names, what is no word, and what the text confirms.
        ("it", "it", "Breve.", "it"),
        ("it/docs/de", "it/docs", "Kurz.", "de"),
        ("de/docs", "de/docs", "Kurz.", "de"),
        ("it/docs", "it/docs", ITALIAN, "it"),
        ("in", "in", INDONESIAN, "id"),
        # Indonesian is "id" today, and "in" a place for what is read.
        ("in", "in", "Kurz.", ""),
        ("in/docs", "in/docs", "Kurz.", ""),
        ("it/docs", "it/docs", "Kurz.", ""),
        ("it/docs", "it/docs", GERMAN, "de"),
    ],
)
def test_a_folder_above_the_documents_may_be_a_word(folder: str, root: str, text: str, language: str) -> None:
    with (
        contextlib.nullcontext() if language else pytest.raises(PanglotError, match="language of this file is unknown")
    ):
        assert choose(Path(folder, "page.txt"), text, root=Path(root)).language == language


def test_two_languages_in_small_letters_are_no_region() -> None:
    assert [is_code(part) for part in ("en-de", "de-fr", "en-es")] == [False] * 3
    assert [is_code(part) for part in ("pt-br", "zh-cn", "zh-tw", "en-gb", "es-mx", "de-at", "fr-be", "pt-pt")] == [
        True
    ] * 8


def test_folders_above_the_documents_do_not_part_their_versions(tmp_path: Path) -> None:
    docs = tmp_path / "it" / "docs"
    texts = {"de": "Um eine Tabelle zu drucken, wählen Sie im Menü den Eintrag Drucken.",
             "it": "Per stampare una tabella, scegliete nel menu la voce Stampa e confermate."}  # fmt: skip
    for code, text in texts.items():
        (docs / code).mkdir(parents=True)
        (docs / code / "print.md").write_text(f"# P\n\n{text}\n", "utf-8")
    for given in ([docs], [docs / "de", docs / "it"], [docs / code / "print.md" for code in texts]):
        (versions,) = sections(given).groups.values()
        assert sorted(each.language for each in versions) == ["de", "it"]
    # Alone, a folder says the language of its pages although it is above them.
    (docs / "de" / "print.md").write_text("# P\n\nA4\n", "utf-8")
    ((one,),) = sections([docs / "de"]).groups.values()
    assert one.language == "de"
