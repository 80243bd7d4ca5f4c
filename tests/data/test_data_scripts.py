"""The table of scripts agrees with Unicode, and is the only one."""

from __future__ import annotations

import ast
import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest
import regex

from panglot.data import language as scripts
from panglot.data.letters import (
    NO_SENTENCE_BLANKS,
    NO_WORD_BLANKS,
    is_right_to_left,
    script_of_letter,
    unspaced_letters,
)
from panglot.datasets.catalog import known_languages

SOURCE = Path(__file__).parents[2] / "src" / "panglot"
#: Languages and scripts without spaces between words. A literal with two of them is a table of such scripts.
UNSPACED = {"th", "lo", "km", "my", "shn", "bo", "dz", "zh", "ja", "yue", "wuu", "hsn"}


@pytest.fixture(scope="module")
def letters() -> dict[str, list[str]]:
    """All letters of Unicode, by script."""
    found: dict[str, list[str]] = defaultdict(list)
    for point in range(0x110000):
        letter = chr(point)
        if unicodedata.category(letter)[0] == "L" and (script := script_of_letter(letter)):
            found[script].append(letter)
    return found


def test_directions_are_unicodes(letters: dict[str, list[str]]) -> None:
    for script, some in letters.items():
        rtl = sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in some)
        assert is_right_to_left(script) == (2 * rtl > len(some)), script


def test_scripts_that_need_a_dictionary_for_words_have_no_blanks(letters: dict[str, list[str]]) -> None:
    pattern, needs_dictionary = unspaced_letters(), regex.compile(r"\p{Line_Break=SA}")
    for script, some in letters.items():
        unspaced = sum(bool(pattern.match(letter)) for letter in some)
        # All letters of a script or none, except the sign of long vowels.
        assert unspaced in (0, len(some)), script
        if 2 * sum(bool(needs_dictionary.match(letter)) for letter in some) > len(some):
            assert unspaced, script
    assert all(pattern.match(letter) for letter in "谁ぁァー々〇ไລខကༀ")
    assert not any(pattern.match(letter) for letter in "aяé한가ا\u0301 ,、3")


def test_languages_follow_their_script() -> None:
    # A script without blanks between sentences has none between words.
    assert NO_SENTENCE_BLANKS < NO_WORD_BLANKS
    endless = {code for code in known_languages() if not scripts.has_sentence_ends(code)}
    assert endless == {"km", "lo", "my", "shn", "th"}
    joined = {code for code in known_languages() if scripts.joins_sentences(code)}
    assert joined == {"ja", "wuu", "yue", "zh", "zh-Hant"}


@pytest.mark.parametrize(
    ("code", "script"),
    [("zh", "Hans"), ("zh-Latn", "Latn"), ("sr", "Cyrl"), ("nod", "Lana"), ("alz", ""), ("", ""), ("no such code", "")],
)
def test_script_of(code: str, script: str) -> None:
    assert scripts.script_of(code) == script


def _tables(path: Path) -> list[str]:
    """Return the sets and ranges in a file that say which scripts have no blanks, or run from right to left."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Set | ast.Tuple | ast.List):
            words = {each.value for each in node.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)}
            if len(words & UNSPACED) >= 2 and len(words - UNSPACED) <= len(words & UNSPACED):
                found.append(f"{path.name}:{node.lineno}")
            if {"Arab", "Hebr"} <= words:
                found.append(f"{path.name}:{node.lineno}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "[" in node.value:
            # A class of letters that covers both Thai and kana, or Chinese.
            thai_and_more = regex.search(r"\\u0e00|\u0e00-", node.value), regex.search(r"\\u3040|\u3040-", node.value)
            if all(thai_and_more):
                found.append(f"{path.name}:{node.lineno}")
        if isinstance(node, ast.Constant) and node.value == 0x1780:
            found.append(f"{path.name}:{node.lineno}")
    return found


#: Sets that look alike and are about something else.
# Numbers by ten thousands, marks that are often not written, languages in characters that Japanese has too, languages
# that are mistaken for one another.
OTHERS = {"quality.py": 2, "query_language.py": 1, "language.py": 1}


def test_there_is_no_second_table() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).as_posix() != "data/letters.py":
            found = _tables(path)
            assert len(found) <= OTHERS.get(path.name, 0), found
