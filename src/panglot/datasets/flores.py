"""FLORES-200: the same sentences in 204 languages (arXiv 2207.04672)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import files, objects, plain_name, read_text
from panglot.data.formats.parallel import translations, versions
from panglot.data.keys import DisjointSets
from panglot.data.language import canonical
from panglot.data.rows import records

# One code of today, but columns of their own: the second of the two would be lost.
_APART = {"twi_Latn": "ak-x-twi"}
# What UTF-8 becomes when it is read as Latin-1 or Windows-1252, in the ways that occur here; controls that no text has.
_MOJIBAKE = re.compile("â€|[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[\u0080-\u009f\ufffd]")


def read_sib200(
    folder: Path,
    *,
    name: str = "sib-200",
    part: str = "train",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``sib-200.parquet``: columns ``lang``, ``index_id``, ``split``, ``text``, a row a sentence and language.

    A sentence's translations in all other languages are relevant, its own language's passage is not, for it is the
    question itself. Sentences that were decoded wrongly (UTF-8 as Latin-1) are left out in their language;
    ``about`` counts them. Sentences of FLORES are also half of Belebele's passages: what is trained on this set must
    not be measured on those.

    Args:
        folder: Where the file lies.
        name: What tables call it.
        part: ``train``, ``dev`` or ``test``; a sentence is in the same part in all languages.
        languages: Canonical codes of the languages to read; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or lacks a column, or has none of the languages.
    """
    texts: list[Text] = []
    broken = 0
    codes: dict[str, str] = {}

    def wanted(raw: str) -> bool:
        code = codes.get(raw) or codes.setdefault(raw, code_of(raw))
        return not languages or code in languages

    for path in files(folder, "*.parquet"):
        for row in records(path, ("lang", "index_id", "split", "text"), only=("lang", wanted)):
            code, text = codes[str(row["lang"])], str(row["text"] or "").strip()
            if row["split"] != part or not text:
                continue
            if is_mojibake(text):
                broken += 1
                continue
            label = str(row["index_id"])
            texts.append(Text(f"{code}:{label}", code, label, text))
    texts.sort(key=lambda text: (text.language, int(text.group)))
    facts = {**(about or {}), "part": part, "candidates": "sentence", "left out, wrongly decoded": str(broken)}
    return translations(name, texts, facts)


def code_of(raw: str) -> str:
    """Return the canonical code of a value of the column ``lang``."""
    return _APART.get(raw) or canonical(raw)


def is_mojibake(text: str) -> bool:
    """Tell whether ``text`` holds letters that come of a wrong decoding.

    >>> [is_mojibake(text) for text in ("BarÃ§a", "7â€“2", "Ãnduni sʋl", "à « côté »")]
    [True, True, False, False]
    """
    return _MOJIBAKE.search(text) is not None


def read_flores(
    folder: Path,
    *,
    name: str = "flores-200",
    part: str = "devtest",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``devtest/xxx_Scrp.devtest`` or ``dev/xxx_Scrp.dev``: a sentence a line, tied by line.

    As in SIB-200, a sentence finds its translations, never itself.

    Raises:
        PanglotError: A file is missing, has another number of lines, or there is none of the languages.
    """
    texts: list[Text] = []
    lines = 0
    for path in files(folder, f"**/{part}/*.{part}"):
        raw = path.name.removesuffix(".gz").partition(".")[0]
        code = _APART.get(raw) or canonical(raw)
        if languages and code not in languages:
            continue
        found = read_text(path).removesuffix("\n").split("\n")
        if lines and len(found) != lines:
            problem = f"{len(found)} lines, not {lines} as in the other languages"
            raise PanglotError(problem, file=path, hint="fetch it again")
        lines = len(found)
        texts += [
            Text(f"{code}:{number}", code, str(number), line.strip())
            for number, line in enumerate(found, 1)
            if line.strip()
        ]
    texts.sort(key=lambda text: (text.language, int(text.group)))
    return translations(name, texts, {**(about or {}), "part": part, "candidates": "sentence"})


def read_belebele(
    folder: Path, *, name: str = "belebele", languages: Sequence[str] = (), about: Mapping[str, str] | None = None
) -> Collection:
    """Read ``xxx_Scrp.jsonl``: lines with ``link``, ``question_number``, ``flores_passage`` and ``question``.

    ``link`` and ``question_number`` tie the languages; several passages may have one link, so that repeats of both
    count in the file's order. Questions about one passage share it, in every language. The choices are not read.
    Passages are sentences of FLORES: no training on ``sib-200`` or ``flores-200`` where this is a test.

    Args:
        folder: Where they lie, in any folders below.
        name: What tables call it.
        languages: Canonical codes; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing, or there is none of the languages.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    asked: dict[str, set[str]] = defaultdict(set)
    ties = DisjointSets[str]()
    for path in files(folder, "**/*.jsonl"):
        language = canonical(plain_name(path))
        if languages and language not in languages:
            continue
        times = Counter[str]()
        for _, entry in objects(path, "link", "question_number", "flores_passage", "question"):
            plain = f"{entry['link']}#{entry['question_number']}"
            times[plain] += 1
            key = plain if times[plain] == 1 else f"{plain}~{times[plain]}"
            questions.append(Text(f"{language}:{key}", language, key, str(entry["question"]).strip()))
            passage = str(entry["flores_passage"]).strip()
            # A passage is known by the first question about it; a language with another order ties the two.
            ties.join((passages.setdefault((language, passage), key), key))
            asked[language].add(key)
    # `versions` answers a question by the passages of its group: give each question its passage's group there.
    grouped = [text._replace(group=ties.first(text.group)) for text in questions]
    pool = [Text(f"{language}:{key}", language, ties.first(key), text) for (language, text), key in passages.items()]
    found = versions(name, grouped, pool, {**(about or {}), "candidates": "passage"})
    return _own_groups(found, questions)


def _own_groups(collection: Collection, questions: Sequence[Text]) -> Collection:
    """Return the collection with its questions' own groups: two questions about one passage are two."""
    import dataclasses

    import pyarrow as pa

    column = pa.array([text.group for text in questions], pa.string())
    place = collection.questions.schema.get_field_index("group")
    return dataclasses.replace(collection, questions=collection.questions.set_column(place, "group", column))
