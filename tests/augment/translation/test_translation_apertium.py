"""Apertium as installed, and its stream format."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot.augment.translation.apertium import Apertium, from_stream, to_stream

TRAPS = [
    "Who wrote this [book] in 1999?",
    "A \\backslash ^caret$ and <b>tag</b> {x} @at #hash *star /slash & amp &amp; ~5 +plus.",
    "No final stop",
    "The big",
    "red house's C++ C# *args a/b",
    "The zero\u200bwidth and emoji 😀 ok.",
    "عربي text.",
    "[[[",
    "\\",
    "^",
    "^ and ^ dogs",
    "~",
    "$100 and 50% e-mail a@b.org http://x.y/z?q=1#f",
    "Xylophagousnik went to Blorkistan; the 3.14 number, 1,000 things.",
    "It is small.",
]


@pytest.fixture(scope="module")
def engine() -> Apertium:
    if shutil.which("apertium") is None:
        pytest.skip("no Apertium: apt-get install apertium apertium-eng-spa")
    engine = Apertium()
    if not engine.serves("en", "es"):
        pytest.skip("Apertium without apertium-eng-spa")
    return engine


@given(st.text())
def test_the_stream_format_there_and_back(text: str) -> None:
    plain = " ".join(text.replace("\0", "").split())
    assert from_stream(to_stream(plain) + "[]") == plain


def test_sentences_stay_apart_and_in_order(engine: Apertium) -> None:
    together = engine.translate(TRAPS, "en", "es")
    assert together == [engine.translate([text], "en", "es")[0] for text in TRAPS]
    assert together == engine.translate(TRAPS[::-1], "en", "es")[::-1]


def test_traps(engine: Apertium) -> None:
    found = dict(zip(TRAPS, engine.translate(TRAPS, "en", "es"), strict=True))
    assert "[libro]" in found[TRAPS[0]]
    assert all(part in found[TRAPS[1]] for part in ("\\backslash", "^caret$", "</b>", "{x}", "&amp;", "~5", "+"))
    assert "*Xylo" not in found[TRAPS[13]]  # unknown words have no mark
    assert found[TRAPS[13]].startswith("Xylophagousnik")
    assert found[TRAPS[14]].endswith(".")  # a flush eats a final stop
    assert [found[text].lower() for text in TRAPS[7:12]] == ["[[[", "\\", "^", "^ y ^ perros", "~"]


def test_the_version_names_the_data(engine: Apertium) -> None:
    release, _, data = engine.version("en", "es").partition("+")
    assert release[0].isdigit()
    assert data.startswith("eng-spa.")
    assert not data.endswith("unknown")
