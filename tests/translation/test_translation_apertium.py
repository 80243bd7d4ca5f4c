"""Apertium as installed, and its stream format."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot.data.collection import Collection, Text
from panglot.translation.by_sentence import Store
from panglot.translation.engines import EngineError, find_route
from panglot.translation.local import Apertium, from_stream, open_engines, to_stream
from panglot.translation.quality import Thresholds
from panglot.translation.translate import Translated, translate

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


def whole(engine: Apertium, folder: Path, rows: int = 60) -> Translated:
    folder.mkdir()
    line = "The number {} has a long story, and many people of the old town tell it every day."
    questions = [Text(f"en:q{row}", "en", str(row), f"Who tells the story of the number {row}?") for row in range(rows)]
    passages = [Text(f"en:p{row}", "en", f"p{row}", line.format(row)) for row in range(rows)]
    given_rows = Collection.build("made", questions, passages, [(f"en:q{i}", f"en:p{i}", 1) for i in range(rows)])
    with Store(folder / "store") as store:
        return translate(given_rows, ["es"], [engine], store, thresholds=Thresholds())


def test_the_program_is_killed_midway(engine: Apertium, tmp_path: Path) -> None:
    """After one failure in the middle of a batch, the batch is requested again."""
    expected = whole(engine, tmp_path / "well")
    assert not expected.dropped
    mortal = tmp_path / "apertium"
    mortal.write_text(
        f"""#!/bin/sh
if [ "$1" = -u ] && [ ! -e {tmp_path}/died ]; then
    touch {tmp_path}/died
    {engine.program} "$@" | head -c 700
    kill -9 $$
fi
exec {engine.program} "$@"
"""
    )
    mortal.chmod(0o755)
    found = whole(Apertium(str(mortal)), tmp_path / "ill")
    assert (tmp_path / "died").exists()
    assert found.collection.digest == expected.collection.digest


def test_a_part_of_its_pipeline_is_killed(engine: Apertium) -> None:
    """A failure in the middle of the pipeline ends the batch, and never shifts its sentences."""
    line = "The story of the number {} is long, and old people tell it to their children."
    sentences = [line.format(row) for row in range(600)]
    expected = engine.translate(sentences, "en", "es")
    before, killed = children(os.getpid()), threading.Event()

    def kill() -> None:
        for _ in range(4000):
            for process, name in children(os.getpid()).items():
                if process not in before and name.startswith(("apertium-transf", "lt-proc", "apertium-tagger")):
                    time.sleep(0.05)
                    os.kill(process, signal.SIGKILL)
                    killed.set()
                    return
            time.sleep(0.005)

    hand = threading.Thread(target=kill)
    hand.start()
    try:
        found = engine.translate(sentences, "en", "es")
    except EngineError:
        found = expected
    hand.join()
    assert killed.is_set()
    assert found == expected


def children(process: int) -> dict[int, str]:
    """All processes that descend from one, with their names."""
    try:
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no ps")
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found: dict[int, str] = {}
    near = {process}
    while near:
        near = {int(own) for own, parent, _ in rows if int(parent) in near}
        found |= {int(own): name for own, _, name in rows if int(own) in near}
    return found


def test_routes_through_real_engines(engine: Apertium) -> None:
    if not engine.serves("en", "ca"):
        pytest.skip("Apertium without apertium-eng-cat")
    engines = open_engines(["auto"])
    assert {str(find_route(engines, "en", code)) for code in ("es", "ca")} == {
        "en → es (apertium)",
        "en → ca (apertium)",
    }
    if any(each.name == "bergamot" for each in engines):
        assert str(find_route(engines, "es", "pt")) in ("es → pt (apertium)", "es → en (apertium) → pt (bergamot)")
        assert str(find_route(engines, "en", "pt")) == "en → pt (bergamot)"
