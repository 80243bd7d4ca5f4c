"""Pages with names of their own that declare to be versions of each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_made import write

from panglot.data.pages import from_docs

EN = "Puffins nest in burrows that they dig into grassy cliffs."
DE = "Papageitaucher brüten in Höhlen, die sie in grasige Klippen graben."
FR = "Les macareux nichent dans des terriers creusés dans les falaises."


def page(path: Path, language: str, text: str, links: dict[str, str], url: str = "") -> Path:
    head = "".join(f'<link rel="alternate" hreflang="{code}" href="{link}">' for code, link in links.items())
    head += f'<link rel="canonical" href="{url}">' if url else ""
    return write(path, f'<html lang="{language}"><head>{head}</head><body><h1>T</h1><p>{text}</p></body></html>')


def tied(folder: Path) -> set[frozenset[str]]:
    groups = from_docs.sections([folder], lenient=True).groups.values()
    return {frozenset(each.file.relative_to(folder).as_posix() for each in group) for group in groups}


def test_pages_that_link_each_other_are_versions(tmp_path: Path) -> None:
    links = {"en": "guide-en.html", "de": "leitfaden%20-de.html"}
    page(tmp_path / "guide-en.html", "en", EN, links)
    page(tmp_path / "leitfaden -de.html", "de", DE, links)
    page(tmp_path / "other-de.html", "de", DE, {})
    assert tied(tmp_path) == {frozenset({"guide-en.html", "leitfaden -de.html"}), frozenset({"other-de.html"})}


def test_links_may_be_addresses_or_begin_at_the_root(tmp_path: Path) -> None:
    links = {"en": "https://example.org/docs/guide/", "de": "https://example.org/docs/leitfaden/", "fr": "/fr/notice"}
    page(tmp_path / "guide.html", "en", EN, links, "https://example.org/docs/guide")
    page(tmp_path / "leitfaden.html", "de", DE, links, "https://example.org/docs/leitfaden#top")
    page(tmp_path / "fr" / "notice" / "index.html", "fr", FR, links)
    assert tied(tmp_path) == {frozenset({"guide.html", "leitfaden.html", "fr/notice/index.html"})}


def test_a_template_that_links_every_page_to_the_start_pages_ties_these_alone(tmp_path: Path) -> None:
    links = {"en": "/en/start.html", "de": "/de/anfang.html"}
    for name, code, text in (
        ("en/start", "en", EN),
        ("en/one", "en", EN),
        ("de/anfang", "de", DE),
        ("de/zwei", "de", DE),
    ):
        page(tmp_path / f"{name}.html", code, text, links)
    assert tied(tmp_path) == {
        frozenset({"en/start.html", "de/anfang.html"}), frozenset({"en/one.html"}), frozenset({"de/zwei.html"}),
    }  # fmt: skip


def test_front_matter_names_what_versions_share(tmp_path: Path) -> None:
    write(tmp_path / "guide.md", f"---\nlang: en\ngroup: print\n---\n# Print\n\n{EN}\n\n## More\n\n{EN}")
    write(tmp_path / "leitfaden.md", f"---\nlang: de\ntranslationKey: print\n---\n# Drucken\n\n{DE}\n\n## Mehr\n\n{DE}")
    front = '+++\nlang = "es"\ntranslationKey = "print"\n+++\n'
    write(tmp_path / "guia.md", f"{front}# Imprimir\n\n{FR}\n\n## Más\n\n{FR}")
    write(tmp_path / "notice.rst", f":lang: fr\n:group: print\n\nImprimer\n========\n\n{FR}\n")
    found = from_docs.sections([tmp_path], lenient=True)
    assert {name: [each.file.name for each in group] for name, group in found.groups.items()} == {
        "guia.md#@1": ["guia.md", "guide.md", "leitfaden.md"], "guia.md#@2": ["guia.md", "guide.md", "leitfaden.md"],
        "guia.md#@1.1": ["notice.rst"],
    }  # fmt: skip


def test_a_group_with_two_pages_in_one_language_is_not_one(tmp_path: Path) -> None:
    for name, code, text in (("en/a", "en", EN), ("de/a", "de", DE), ("en/b", "en", EN)):
        write(tmp_path / f"{name}.md", f"---\ngroup: tutorials\n---\n# T {code}\n\n{text}")
    assert tied(tmp_path) == {frozenset({"en/a.md", "de/a.md"}), frozenset({"en/b.md"})}
    (note,) = (each for each in from_docs.sections([tmp_path], lenient=True).notes if "declare versions" in each)
    assert note.endswith(": 2")


HEADS: list[tuple[str, dict[str, str]]] = [
    ("---\ntitle: >-\n  A long\n  title\nlang: de  # German\n---\n", {"title": "A long title", "lang": "de"}),
    ("--- \ntitle: 'Print: a part' # how to\nlang: en\n---\t\n", {"title": "Print: a part", "lang": "en"}),
    ("---\nlang: no\ntitle: 2024-05-01\ngroup: 007\n---\n", {"lang": "no", "title": "2024-05-01", "group": "007"}),
    ("---\ntitle:\nlang: null\ntags: [a, b]\nmore: {lang: de}\n---\n", {}),
    ("---\r\nlang: sw\r\n---\r\n", {"lang": "sw"}),
    ("---\n---\n", {}),
    ("---\n# nothing\n---\n", {}),
    ('+++\ntitle = "Print"  # how\ngroup = 7\n[params]\nlang = "de"\n+++\n', {"title": "Print", "group": "7"}),
]


@pytest.mark.parametrize(("head", "settings"), HEADS)
def test_front_matter_is_yaml_or_toml(tmp_path: Path, head: str, settings: dict[str, str]) -> None:
    path = tmp_path / "page.md"
    path.write_bytes(f"{head}{FR}".encode())
    found = from_docs.sections([path], lenient=True)
    ((section,),) = found.groups.values()
    assert section.text == FR
    assert section.title == settings.get("title", "")
    assert section.language == settings.get("lang", "fr")
    assert section.group == settings.get("group", "")
    assert not [note for note in found.notes if "front matter" in note]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "---\nlang: de\ntitle: Print: a part\n---\n",
            "page.md: line 3: the front matter is left out, because it is not",
        ),
        ("---\ntitle: {{ page.title }}\n---\n", "page.md: line 2"),
        ("---\ntitle: !!python/name:os.system x\n---\n", "page.md: line 2"),
        ("---\ntitle: \x07\n---\n", "page.md: line 1"),
        ("+++\nlang = 'de'\ntitle = \n+++\n", "page.md: line 3: the front matter is left out, because it is not TOML"),
    ],
)
def test_front_matter_that_cannot_be_read_is_said_and_the_page_is_read(tmp_path: Path, head: str, message: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"{head}{FR}")
    found = from_docs.sections([path], lenient=True)
    ((section,),) = found.groups.values()
    assert (section.text, section.language, section.title) == (FR, "fr", "")
    (note,) = (each for each in found.notes if "front matter" in each)
    assert note.startswith(message)
    assert "Fix: put quotes around" in note


def test_text_between_two_rules_is_no_front_matter(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"---\n\n{FR}\n\n---\n\nFin.")
    ((section,),) = from_docs.sections([path], lenient=True).groups.values()
    assert section.text == f"{FR}\nFin."
