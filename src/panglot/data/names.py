"""The language of a file: what the user says, what the file states, what its name says, or what its text looks like.

The first of these that there is counts. A part of a path is taken for a language if it is a whole code, such as ``de``,
``pt-BR`` or ``zho_Hant``. Two letters that are a folder, or stand behind a hyphen or underscore, may be a word instead,
so the text must not contradict them: ``ml/page.md`` in English is about machine learning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from langcodes.data_dicts import LIKELY_SUBTAGS

from panglot._errors import PanglotError, located
from panglot.data.language import (
    Detection,
    canonical,
    canonical_or_none,
    detectable,
    identify,
    mistaken_for,
    name,
    script_of,
)
from panglot.data.letters import commonest_script, letters_in, members

#: The smallest probability with which a text decides on its language.
_SURE = 0.9
# Letters of a text that are looked at, and the least number that can decide. A Chinese character counts as three.
LOOKED_AT, _FEWEST = 2000, 24
# Three letters in a path name a language only with a script or region, because `man`, `bin` and `doc` are folders.
_CODE = re.compile(r"[a-z]{2}(?:[-_@][A-Za-z]{2,8}){0,2}|[a-z]{3}[-_](?:[A-Z][a-z]{3}|[A-Z]{2})")
# A file may be called to-do or as-is, and so a region in its name is in capital letters.
_SMALL_REGION = re.compile(r"[a-z]{2}[-_][a-z]{2}")
_REGION_ENDS = re.compile(r"(.+?)[-_]([a-z]{2,3}[-_](?:[A-Z][a-z]{3}|[A-Z]{2}|[a-z]{2}))")
# Codes that are English words or subjects. Behind a hyphen in a file's name they need a text that confirms them.
_WORDS = frozenset({
    "am", "as", "be", "bi", "cv", "he", "ho", "id", "ie", "io", "is", "it", "km", "la", "ml", "my", "no", "oc", "or",
    "os", "pa", "pi", "ps", "so", "to",
})  # fmt: skip
_HINT = "name it with `--language en`, or in the path, as in en/page.html or page.en.html"


class Choice(NamedTuple):
    """The language of a file."""

    language: str  # canonical code
    page: str  # the path without the part that names the language
    note: str = ""  # what was guessed, or overruled, without the file's name
    confidence: float | None = None  # of the detection, if the text alone decided


def is_code(part: str) -> bool:
    """Return whether a part of a path is a whole language code.

    Two languages in small letters, as folders of parallel texts have them, are not one: ``en-de`` could be the English
    of Germany, but ``fr-ca`` can only be the French of Canada, where Catalan is not the main language.

    >>> [is_code(part) for part in ("de", "pt-BR", "zho_Hant", "man", "en-de", "en-DE", "fr-ca", "zz")]
    [True, True, True, False, False, True, True, False]
    """
    if not _CODE.fullmatch(part) or canonical_or_none(part) is None:
        return False
    language, other = part[:2], part[3:]
    likely = LIKELY_SUBTAGS.get(f"und-{other.upper()}", "").partition("-")[0]
    return not _SMALL_REGION.fullmatch(part) or other == language or likely != other


def pieces_of(path: Path, root: Path | None = None) -> list[tuple[str, str]]:
    """Return the parts of a path that may name a language: the path without each, and the code, the nearest first.

    These are the last part of the file's name behind a dot, underscore or hyphen, the whole name, and the folders.
    Folders down to the ``root`` of all documents do not tell versions apart: somebody's home may be ``/home/it``. They
    count only if no other part names a language, and stay in the path.

    >>> pieces_of(Path("help/de/page.pt-BR.html"))
    [('help/de/page.html', 'pt-BR'), ('help/page.pt-BR.html', 'de')]
    >>> pieces_of(Path("/home/it/docs/de/page.md"), Path("/home/it/docs")), pieces_of(Path("de/page.md"), Path("de"))
    ([('/home/it/docs/page.md', 'de')], [('de/page.md', 'de')])
    """
    above = len(root.parts) if root else 0
    stem, dot, ending = path.name.removesuffix(".gz").rpartition(".")
    folder = path.parent.parts
    found: list[tuple[str, str]] = []
    small = _SMALL_REGION.fullmatch(stem)
    ends = _REGION_ENDS.fullmatch(stem)
    # The end of how-to-do is not a language.
    if ends and is_code(ends[2]) and (ends[2][3:4].isupper() or _base(canonical(ends[2])) not in _WORDS):
        found.append((Path(*folder, ends[1] + dot + ending).as_posix(), ends[2]))
    for mark in (".", "_", "-"):
        base, there, code = stem.rpartition(mark)
        # Of pt-BR, BR is no name of its own.
        if (
            there
            and base
            and not small
            and is_code(code)
            and not any(each.endswith(f"{mark}{code}") for _, each in found)
        ):
            found.append((Path(*folder, base + dot + ending).as_posix(), code))
    if is_code(stem) and not small:
        found = [(Path(*folder, dot + ending).as_posix(), stem)]
    for number in range(len(folder) - 1, -1, -1):
        if is_code(folder[number]) and not (found and number < above):
            rest = folder if number < above else (*folder[:number], *folder[number + 1 :])
            found.append((Path(*rest, stem + dot + ending).as_posix(), folder[number]))
    return found


def choose(
    path: Path, text: str, *, given: str = "", stated: str = "", pieces: Sequence[tuple[str, str]] | None = None,
    root: Path | None = None,
) -> Choice:  # fmt: skip
    """Return the language of a file.

    Args:
        path: The file.
        text: Some of its text.
        given: What the user says.
        stated: What the file states.
        pieces: What the path says, by default :func:`pieces_of`.
        root: The folder that all documents are in.

    Raises:
        PanglotError: The language is not known, or the given or stated code does not exist.
    """
    pieces = pieces_of(path, root) if pieces is None else pieces
    whole = path.as_posix().removesuffix(".gz").removeprefix("./")
    if given or stated:
        with located(file=None if given else path, field="language"):
            language = canonical(given or stated)
        note = ""
        if not given and (found := _sure(text)) and contradicts(text, language, found):
            # Templates state one language for the pages of all. If path and text agree, they are right.
            looks = f"it states {language}, but the text looks like {name(found.language)}"
            agreed = next((canonical(code) for _, code in pieces if _base(code) == _base(found.language)), "")
            is_agreed = bool(agreed) and found.confidence >= _SURE
            language, note = (agreed, f"{looks}, as its path says") if is_agreed else (language, looks)
        # If the file is in another language than a piece of its path, that piece is part of a name: de/import_ms.html.
        page = _without(whole, pieces, language, root)
        if note:
            return Choice(language, page, note)
        others = [stated] if given and stated else [code for _, code in pieces[:1]] if given else []
        overruled = next((code for code in others if _base(canonical_or_none(code) or code) != _base(language)), "")
        return Choice(language, page, f"`--language {given}` overrules {overruled!r}" if overruled else "")
    found = _sure(text)
    possible = [(page, canonical(code)) for page, code in pieces]
    doubted = {code for _, code in possible if contradicts(text, code, found)}
    explicit = {canonical(code) for _, code in pieces if not _may_be_word(path, code)}
    left = [(page, code) for page, code in possible if code not in doubted or code in explicit]
    if found is None or found.confidence < _SURE:
        looks = _base(found.language) if found else ""
        around = {
            each for each, (rest, code) in zip(possible, pieces, strict=True) if _is_around(rest, code, whole, root)
        }
        around = {(page, code) for page, code in around if looks not in {_base(code), *mistaken_for(code)}}
        left = [each for each in left if each not in around and not (each[1] in _WORDS and _ends_name(path, each[1]))]
    codes = {_base(code) for _, code in left}
    if len(codes) > 1 and found and _base(found.language) in codes:
        left = [(page, code) for page, code in left if _base(code) == _base(found.language)]
    elif len(codes) > 1:
        problem = f"the path names several languages ({', '.join(dict.fromkeys(code for _, code in left))})"
        raise PanglotError(problem, file=path, field="language", hint=_HINT)
    if left:
        language = left[0][1]
        ignored = [code for _, code in possible if _base(code) != _base(language)]
        note = f"{ignored[0]!r} in the path is not taken for a language" if ignored else ""
        if language in doubted and found:
            note = f"{language} by its name, but {_said(found)}"
        return Choice(language, _without(whole, pieces, language, root), note)
    denied = f", since {_said(found)}" if found else ""
    if found and found.confidence >= _SURE:
        note = f"the language was detected: {_said(found)}"
        if possible:
            note = f"{possible[0][1]!r} in the path is not taken for a language{denied}"
        return Choice(found.language, whole, note, found.confidence)
    looks = f" ({_said(found)})" if found else ""
    raise PanglotError(f"the language of this file is unknown{looks}", file=path, field="language", hint=_HINT)


def _without(page: str, pieces: Sequence[tuple[str, str]], language: str, root: Path | None) -> str:
    """Return the name of a page without all pieces that name its language, as in ``de/manual_de.pdf``.

    A file that is called by a code in a folder of the same code, such as ``it/it.md``, keeps its name.
    """
    first = [rest for rest, code in pieces if _base(canonical(code)) == _base(language)]
    named = [rest for rest in first if not Path(rest).name.startswith(".")]
    if not named or named[0] == page:
        return next(iter(first), page)
    others = [each for each in pieces_of(Path(named[0]), root) if not Path(each[0]).name.startswith(".")]
    return _without(named[0], others, language, root)


def contradicts(text: str, code: str, found: Detection | None = None) -> bool:
    """Return whether a text is surely not in a language.

    It is not if none of its letters are in a script of the language, or if it is surely in another language that is not
    easily mistaken for this one. Of a language that cannot be detected, only English text is surely not.

    >>> english = "Puffins nest in burrows that they dig into grassy cliffs."
    >>> [contradicts(english, code) for code in ("ml", "cs", "to", "en-GB")]
    [True, True, True, False]
    """
    found = found or _sure(text)
    script = script_of(code)
    if found is None:
        return False
    if script and commonest_script([text]) and not letters_in(text, members(script)):
        return True
    likely = _base(found.language)
    if found.confidence < _SURE or likely in mistaken_for(code):
        return False
    return detectable(code) or likely == "en"


def _may_be_word(path: Path, code: str) -> bool:
    """Return whether a code in a path may be a word: a folder, or the end of a file's name, of two letters.

    With a region in small letters, only the end of a name may be words: ``log-in-us.md``.
    """
    if _SMALL_REGION.fullmatch(code):
        return _ends_name(path, code)
    name_of_file = path.name.removesuffix(".gz")
    return len(code) == 2 and f".{code}." not in name_of_file and not name_of_file.startswith(f"{code}.")


def _is_around(page: str, code: str, whole: str, root: Path | None) -> bool:
    """Return whether a word that is a code names a folder that the documents of all languages are in.

    ``in/`` holds what goes in, because the code of Indonesian is ``id`` today. Pages stay in the folders above the one
    that the user names, and of these, ``/srv/it/docs`` is about computers.
    """
    if code == "in":
        return True
    return Path(page) == Path(whole) and root is not None and root.name != code and canonical(code) in _WORDS


def _ends_name(path: Path, code: str) -> bool:
    """Return whether a code is the last part of a file's name behind a hyphen or underscore: ``how_to.md``."""
    return bool(re.fullmatch(rf".*[-_]{code}", path.name.removesuffix(".gz").rpartition(".")[0]))


def summary(notes: Iterable[tuple[Path, str]]) -> list[str]:
    """Return notes about files, each once, with the number of files and the first one.

    >>> summary([(Path("a.md"), "x"), (Path("b.md"), "x")])
    ['2 files, such as a.md: x']
    """
    times: Counter[str] = Counter()
    first: dict[str, Path] = {}
    for path, note in notes:
        times[note] += 1
        first.setdefault(note, path)
    return [
        f"{first[note].name}: {note}" if number == 1 else f"{number:,} files, such as {first[note].name}: {note}"
        for note, number in times.items()
    ]


def _sure(text: str) -> Detection | None:
    """Return what a text looks like if it has enough letters, with its probability rounded down to two digits."""
    some = " ".join(text[: 2 * LOOKED_AT].split())[:LOOKED_AT]
    if sum(3 if letter >= "\u3000" else 1 for letter in some if letter.isalpha()) < _FEWEST:
        return None
    found = identify(some)
    return found._replace(confidence=int(found.confidence * 100) / 100)


def _said(found: Detection) -> str:
    return f"the text looks like {name(found.language)} with a probability of {found.confidence:.2f}"


def _base(code: str) -> str:
    return code.partition("-")[0]
