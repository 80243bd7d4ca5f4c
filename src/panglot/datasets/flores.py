"""Sentences of FLORES-200 in 200 languages, and the sets built on them: SIB-200 and Belebele."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.columns import DisjointSets
from panglot.data.files import files, objects, parquet_records, plain_name, read_text
from panglot.data.formats.parallel import translations, versions
from panglot.data.language import canonical
from panglot.datasets.questions import unique
from panglot.datasets.registry import DatasetSpec

# Twi is Akan today, but it is a column of its own. With one code for both, the second would be lost.
_SEPARATE = {"twi_Latn": "ak-x-twi"}
# What UTF-8 turns into when it is decoded as Latin-1 or Windows-1252, and control characters, which no text has.
_MOJIBAKE = re.compile("â€|[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[\u0080-\u009f\ufffd]")


def read_sib200(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``sib-200.parquet`` (arXiv 2309.07445): one row per sentence and language.

    The columns are ``lang``, ``index_id``, ``split`` and ``text``. The translations of a sentence into all other
    languages are relevant. The passage in its own language is not, because it is the question itself. Wrongly decoded
    sentences (UTF-8 as Latin-1) are left out in their language, and ``about`` counts them.

    Half of Belebele's passages consist of sentences of this set. A model trained on it must not be tested on those.
    """
    texts: list[Text] = []
    broken = 0
    codes: dict[str, str] = {}

    def wanted(raw: str) -> bool:
        return spec.wants(codes.get(raw) or codes.setdefault(raw, code_of(raw)))

    for path in files(folder, "*.parquet"):
        for row in parquet_records(path, ("lang", "index_id", "split", "text"), only=("lang", wanted)):
            code, text = codes[str(row["lang"])], str(row["text"] or "").strip()
            if row["split"] != spec.part or not text:
                continue
            if is_mojibake(text):
                broken += 1
                continue
            label = str(row["index_id"])
            texts.append(Text(f"{code}:{label}", code, label, text))
    texts.sort(key=lambda text: (text.language, int(text.group)))
    return translations(spec.name, texts, {**spec.about, "left out, wrongly decoded": str(broken)})


def code_of(raw: str) -> str:
    """Return the canonical code of a language as FLORES writes it."""
    return _SEPARATE.get(raw) or canonical(raw)


def is_mojibake(text: str) -> bool:
    """Return whether ``text`` has letters that come from a wrong decoding.

    >>> [is_mojibake(text) for text in ("BarÃ§a", "7â€“2", "Ãnduni sʋl", "à « côté »")]
    [True, True, False, False]
    """
    return _MOJIBAKE.search(text) is not None


def read_flores(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``devtest/xxx_Scrp.devtest`` or ``dev/xxx_Scrp.dev``: one sentence per line, tied by line.

    As in SIB-200, the answers to a sentence are its translations, never the sentence itself.
    """
    texts: list[Text] = []
    lines = 0
    for path in files(folder, f"**/{spec.part}/*.{spec.part}"):
        code = code_of(path.name.removesuffix(".gz").partition(".")[0])
        if not spec.wants(code):
            continue
        found = read_text(path).removesuffix("\n").split("\n")
        if lines and len(found) != lines:
            problem = f"the other languages have {lines} lines, got {len(found)}"
            raise PanglotError(problem, file=path, hint="download the file again")
        lines = len(found)
        lines_of = enumerate(map(str.strip, found), 1)
        texts += [Text(f"{code}:{number}", code, str(number), line) for number, line in lines_of if line]
    texts.sort(key=lambda text: (text.language, int(text.group)))
    return translations(spec.name, texts, spec.about)


def read_belebele(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``xxx_Scrp.jsonl``: lines with ``link``, ``question_number``, ``flores_passage`` and ``question``.

    ``link`` and ``question_number`` tie the languages. Several passages may share a link, so repeats of both are
    numbered in the file's order. Questions about one passage share it in every language. The answer choices are not
    read. Passages are sentences of FLORES: if this is a test set, do not train on ``sib-200`` or ``flores-200``.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    ties = DisjointSets[str]()
    for path in files(folder, "**/*.jsonl"):
        language = canonical(plain_name(path))
        if not spec.wants(language):
            continue
        times = Counter[str]()
        for _, entry in objects(path, "link", "question_number", "flores_passage", "question"):
            key = unique(f"{entry['link']}#{entry['question_number']}", times)
            questions.append(Text(f"{language}:{key}", language, key, str(entry["question"]).strip()))
            passage = str(entry["flores_passage"]).strip()
            # The first question about a passage names it. If a language has another order, this ties the two names.
            ties.join((passages.setdefault((language, passage), key), key))
    # `versions` answers a question with the passages of its group, so questions borrow their passage's group there.
    grouped = [text._replace(group=ties.first(text.group)) for text in questions]
    pool = [Text(f"{language}:{key}", language, ties.first(key), text) for (language, text), key in passages.items()]
    collection = versions(spec.name, grouped, pool, spec.about)
    # They get their own groups back, since two questions about one passage are two.
    groups = pa.array([text.group for text in questions], pa.string())
    place = collection.questions.schema.get_field_index("group")
    return replace(collection, questions=collection.questions.set_column(place, "group", groups))
