"""The extensions that build the documentation site, on a package made for the test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

griffe = pytest.importorskip("griffe")
pytest.importorskip("sphinx")

ROOT = Path(__file__).parents[1]
FILES = {
    "__init__.py": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from made.first.boxes import Box
        __all__ = ["Box"]
    """,
    "first/__init__.py": '''
        """The first stage."""
    ''',
    "first/boxes.py": '''
        """Boxes. See :func:`pack` and :data:`CLOSED`."""
        from dataclasses import dataclass
        from pathlib import Path
        from made.first._hidden import Secret

        #: The largest box.
        LARGEST = 3
        OPEN, CLOSED = range(2)

        @dataclass
        class Box:
            """A box.

            Attributes:
                size: How large it is.
            """

            size: int = LARGEST
            _inner: int = 0

            def open(self, path: Path, /, *, force: bool = False) -> "Box | None":
                """Open it as :func:`pack` closed it, with a :class:`made.first._hidden.Secret`."""

        def pack(box: Box, sizes: tuple = tuple(n for n in [1]), *items: str, **options: int) -> Secret:
            """Pack a box.

            Args:
                box: The :class:`Box`.
                *items: What goes in.

            Raises:
                ValueError: It is full.
            """

        def _helper() -> None: ...
    ''',
    "first/_hidden.py": '''
        class Secret:
            """Not for users."""
    ''',
    "second/__init__.py": """
        from elsewhere import Other
        from made.first.boxes import Box
        __all__ = ["Box", "Other"]
    """,
    "left_out/__init__.py": "",
}


@pytest.fixture(scope="module")
def reference() -> Any:  # the module: its imports need not be installed
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        import api_reference  # pyright: ignore[reportMissingImports]
        import repository_links  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.pop(0)
    api_reference.repository_url = repository_links.repository_url
    return api_reference


def made(reference: Any, folder: Path, **changes: str) -> dict[str, str]:
    from textwrap import dedent

    for name, text in FILES.items():
        path = folder / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = dedent(text)
        for old, new in changes.items():
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
    package = griffe.load("made", search_paths=[folder], allow_inspection=False, resolve_aliases=True)
    reference.add_unpacked(package)
    return reference.Reference(package, ["left_out"]).pages()


def test_there_is_a_page_for_each_stage(reference: Any, tmp_path: Path) -> None:
    pages = made(reference, tmp_path)
    assert set(pages) == {"index.rst", "first.rst", "second.rst"}
    assert "* - :doc:`first`\n     - The first stage." in pages["index.rst"]


def test_what_several_modules_export_is_documented_at_the_shortest_path(reference: Any, tmp_path: Path) -> None:
    pages = made(reference, tmp_path)
    assert ".. py:class:: Box(size: int = LARGEST" in pages["index.rst"]
    assert ":canonical: made.first.boxes.Box" in pages["index.rst"]
    for page in ("first.rst", "second.rst"):
        assert "* :py:class:`made.Box`" in pages[page]
        assert ".. py:class:: Box" not in pages[page]


def test_signatures_have_full_names_and_private_members_have_no_entry(reference: Any, tmp_path: Path) -> None:
    pages = made(reference, tmp_path)
    opening = "Box.open(path: ~pathlib.Path, /, *, force: bool = False) -> ~made.Box | None"
    assert f".. py:method:: {opening}" in pages["index.rst"]
    assert "py:function:: pack(box: ~made.Box, sizes: tuple = ..., *items: str, **options: int)" in pages["first.rst"]
    assert ":param \\*items: What goes in." in pages["first.rst"]
    assert ":raises ValueError: It is full." in pages["first.rst"]
    assert "How large it is." in pages["index.rst"]
    assert "The largest box." in pages["first.rst"]
    text = "".join(pages.values())
    assert "_helper" not in text
    assert "Box._inner" not in text
    assert "Not for users" not in text


def test_cross_references_are_resolved(reference: Any, tmp_path: Path) -> None:
    pages = made(reference, tmp_path)
    assert "Boxes. See :py:func:`pack <made.first.boxes.pack>` and" in pages["first.rst"]
    assert ":py:data:`CLOSED <made.first.boxes.CLOSED>`" in pages["first.rst"]
    assert ".. py:data:: CLOSED" in pages["first.rst"]
    assert "The :py:class:`Box <made.Box>`." in pages["first.rst"]
    # What is not public has no page to link to.
    assert "with a ``made.first._hidden.Secret``" in pages["index.rst"]


def test_a_cross_reference_to_nothing_is_a_warning(
    reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(reference._log, "warning", lambda text, *values: warned.append(text % values))
    made(reference, tmp_path / "right")
    assert not warned
    made(reference, tmp_path / "wrong", **{"See :func:`pack`": "See :func:`unpack`"})
    assert len(warned) == 1
    assert ":func:`unpack` leads nowhere" in warned[0]


def test_links_out_of_the_docs_go_to_the_repository(reference: Any, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "study").mkdir(parents=True)
    (tmp_path / "README.md").touch()
    (tmp_path / "studies").mkdir()
    (docs / "other.md").touch()

    def url(target: str, page: Path) -> str | None:
        return reference.repository_url(target, page, docs, "https://host/repo")

    assert url("../README.md#install", docs / "page.md") == "https://host/repo/blob/main/README.md#install"
    assert url("../../studies", docs / "study" / "report.md") == "https://host/repo/tree/main/studies"
    assert url("other.md", docs / "page.md") is None
    assert url("../MISSING.md", docs / "page.md") is None
    assert url("../../outside.md", docs / "page.md") is None
