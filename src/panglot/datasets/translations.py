"""Texts with their translations.

FLORES-200 in 200 languages with the sets built on it, SIB-200 and Belebele, NTREX-128 (WMT 2022), Tatoeba
(arXiv 1812.10464) and LibreOffice's help.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.columns import DisjointSets
from panglot.data.files import files, objects, plain_name, read_text
from panglot.data.language import canonical, joins_sentences
from panglot.data.rows import parquet_batches, parquet_records
from panglot.data.transform import translations, unique, versions
from panglot.datasets import registry
from panglot.datasets.catalog import CARDS, DatasetSpec

# Twi is Akan today, but it is a column of its own. With one code for both, the second would be lost.
_FLORES_SEPARATE = {"twi_Latn": "ak-x-twi"}
# What UTF-8 turns into when it is decoded as Latin-1 or Windows-1252, and control characters, which no text has.
_MOJIBAKE = re.compile("â€|[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[\u0080-\u009f\ufffd]")


def read_sib200(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``sib-200.parquet`` (arXiv 2309.07445): one row per sentence and language.

    The columns are ``lang``, ``index_id``, ``split`` and ``text``. The translations of a sentence into all other
    languages are relevant. The passage in its own language is not, because it is the question itself. Wrongly decoded
    sentences (UTF-8 as Latin-1) are left out in their language, and ``metadata`` counts them.

    Half of Belebele's passages consist of sentences of this set. A model trained on it must not be tested on those.
    """
    texts: list[Text] = []
    broken = 0
    codes: dict[str, str] = {}

    def wanted(raw: str) -> bool:
        return spec.wants(codes.get(raw) or codes.setdefault(raw, _code_of(raw)))

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
    return translations(spec.name, texts, {**spec.metadata, "left out, wrongly decoded": str(broken)})


def _code_of(raw: str) -> str:
    """Return the canonical code of a language as FLORES writes it."""
    return _FLORES_SEPARATE.get(raw) or canonical(raw)


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
        code = _code_of(path.name.removesuffix(".gz").partition(".")[0])
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
    return translations(spec.name, texts, spec.metadata)


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
    collection = versions(spec.name, grouped, pool, spec.metadata)
    # They get their own groups back, since two questions about one passage are two.
    groups = pa.array([text.group for text in questions], pa.string())
    place = collection.questions.schema.get_field_index("group")
    return replace(collection, questions=collection.questions.set_column(place, "group", groups))


_SHORTEST, _LONGEST = 3, 5
# More than 250 of the 1,997 rows of its Dzongkha hold the text of other rows.
_FAULTY = {"dz"}


def read_ntrex(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``ntrex-128.parquet``: columns ``doc``, ``line`` and one per language, a row per sentence.

    With ``sentence`` as candidates, the translations of a sentence into all other languages are relevant. The passage
    in its own language is not, because it is the question itself. With ``passage``, each document is cut into
    stretches of 3 to 5 sentences (:func:`stretches`): the first sentence asks, and the others are the passage,
    relevant in every language including the question's own, so that all three settings can be measured. A quarter of
    the documents, drawn by the digest of their names, is the part ``test``.

    Without a choice of languages, sentences come from all columns, and passages from one column per language
    (:func:`distinct`) except Dzongkha, whose column is faulty.
    """
    table = _table(files(folder, "*.parquet")[0], "doc", "line")
    documents, lines = (table[column].to_pylist() for column in ("doc", "line"))
    columns = {canonical(column): column for column in table.column_names if column not in {"doc", "line"}}
    sentences = spec.candidates == "sentence"
    wanted = spec.languages or (tuple(columns) if sentences else set(distinct(columns)) - _FAULTY)
    rows = [row for row, document in enumerate(documents) if one_of(document, 4) == (spec.part == "test")]
    questions: list[Text] = []
    passages: list[Text] = []
    cuts = [(row,) for row in rows] if sentences else list(stretches(documents, rows))
    for code in sorted(set(wanted) & columns.keys()):
        column = [(text or "").strip() for text in table[columns[code]].to_pylist()]
        between = "" if joins_sentences(code) else " "
        for cut in cuts:
            texts = [column[row] for row in cut]
            if all(texts):
                label = f"{documents[cut[0]]}-{lines[cut[0]]}"
                questions.append(Text(f"{code}:{label}", code, label, texts[0]))
                passages.append(Text(f"{code}:{label}", code, label, between.join(texts[1:])))
    if sentences:
        return translations(spec.name, questions, spec.metadata)
    return versions(spec.name, questions, passages, spec.metadata)


def stretches(documents: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the rows of each stretch of 3 to 5 sentences of one document, as equal in length as possible.

    Documents of fewer than 3 sentences yield nothing. ``documents`` has the document of each row. ``rows`` are those
    to cut up, rising.

    >>> list(stretches("aaaaaaabb", range(9)))
    [(0, 1, 2, 3), (4, 5, 6)]
    """
    by_document: dict[str, list[int]] = {}
    for row in rows:
        by_document.setdefault(documents[row], []).append(row)
    for found in by_document.values():
        if len(found) >= _SHORTEST:
            parts = max(1, (len(found) + 2) // ((_SHORTEST + _LONGEST) // 2))
            ends = [-(-len(found) * part // parts) for part in range(parts + 1)]
            yield from (tuple(found[start:end]) for start, end in pairwise(ends))


def distinct(codes: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Return one code per language: variants are dropped if the language itself is there.

    NTREX's English of Britain, India and the United States mostly equals its English, and ``es-x-ref2`` is a second
    reference in Spanish.

    >>> distinct(["en", "en-GB", "zh", "zh-Hant", "gsw-u-sd-chbe"])
    ('en', 'zh', 'gsw-u-sd-chbe')
    """
    return tuple(code for code in codes if code.partition("-")[0] not in set(codes) - {code})


def one_of(name: str, number: int) -> bool:
    """Return whether a thing is in the share 1 / ``number`` that the digest of its name draws."""
    return hashlib.sha256(name.encode()).digest()[0] % number == 0


# One language today, but two files of the publisher, each with its own pool.
_SEPARATE = {"kzj": "dtp-x-kzj"}


def names(languages: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the names under which the pairs of Tatoeba are read, ``tatoeba-112:de`` and so on.

    :func:`panglot.evaluate` takes them. ``R@1`` in ``crosslingual`` is then the accuracy that LASER and MTEB report,
    and its ``matrix`` has both directions. Languages that the set does not have are skipped. Without ``languages``,
    the names of all pairs are returned.

    >>> names(["de", "en", "no", "fo"])
    ('tatoeba-112:de', 'tatoeba-112:fo')
    """
    card = CARDS["tatoeba-112"]
    known = [code for code in card.languages if code != "en"]
    return tuple(f"{card.name}:{code}" for code in known if languages is None or code in set(languages))


def _tatoeba_code(raw: str) -> str:
    return _SEPARATE.get(raw) or canonical(raw)


def read_tatoeba(folder: Path, spec: DatasetSpec) -> Collection:
    """Read one pair of languages from ``tatoeba-112.parquet``: columns ``lang``, ``eng``, ``text``.

    Each language has English sentences of its own, up to 1,000, and LASER's accuracy is defined within them. So a pair
    is a collection of its own, whose English pool is the English of that pair alone. A sentence's translation is
    relevant in both directions. Only the cross-lingual setting is meaningful: in the pool of both languages, the best
    passage for a question is the question itself.
    """
    language = spec.part
    texts: list[Text] = []
    for path in files(folder, "*.parquet"):
        of_pair = "lang", lambda raw: _tatoeba_code(raw) == language
        for row in parquet_records(path, ("lang", "eng", "text"), only=of_pair):
            label = f"{language}-{len(texts) // 2:04d}"
            for code, side in ((language, "text"), ("en", "eng")):
                texts.append(Text(f"{code}:{label}", code, label, str(row[side] or "").strip()))
    if not texts:
        raise PanglotError(f"Tatoeba-112 has no {language}", field="languages", hint="see `panglot data list`")
    return translations(spec.name, texts, spec.metadata)


def read_libreoffice(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``libreoffice-help.parquet``: a section's title asks, its parts answer.

    Long sections come in parts that share the title (``…/2``). Each part is a passage group of its own, and all parts
    of a section answer its title. A passage is relevant in every language that has it. A fifth of the pages, drawn by
    the digest of their paths, is the part ``test``.
    """
    questions: dict[tuple[str, str], Text] = {}
    passages: list[Text] = []
    by_section: dict[str, list[str]] = {}
    for path in files(folder, "*.parquet"):
        for row in parquet_records(path, ("group", "lang", "title", "text")):
            # The only English here is en-US. Other sets call it `en`, and the two must count as one language.
            language, group = canonical("en" if row["lang"] == "en-US" else str(row["lang"])), str(row["group"])
            if spec.part != "all" and one_of(group.partition("#")[0], 5) != (spec.part == "test"):
                continue
            section = section_of(group)
            label = f"{language}:{section}"
            questions.setdefault((language, section), Text(label, language, section, str(row["title"])))
            passages.append(Text(f"{language}:{group}", language, group, str(row["text"])))
            by_section.setdefault(section, []).append(passages[-1].id)
    qrels = ((question.id, passage, 1) for question in questions.values() for passage in by_section[question.group])
    return Collection.build(spec.name, questions.values(), passages, qrels, spec.metadata)


def section_of(group: str) -> str:
    """Return the section to which a part belongs.

    >>> section_of("swriter/guide/x#hd_id1/2"), section_of("swriter/guide/x#hd_id1")
    ('swriter/guide/x#hd_id1', 'swriter/guide/x#hd_id1')
    """
    page, mark, anchor = group.partition("#")
    return page + mark + anchor.partition("/")[0]


#: Sets with a text and its English per row, the longest texts first. A language is measured on the first that has it.
SETS = ("ntrex-128", "sib-200", "tatoeba-112")
_COLUMNS = {"ntrex-128": ("eng",), "sib-200": ("lang", "index_id", "text"), "tatoeba-112": ("lang", "text", "eng")}

Sentences = list[tuple[str, str]]


def parallel_texts(name: str, data_dir: str | Path | None = None) -> Iterator[tuple[str, Sentences]]:
    """Yield each language of one of :data:`SETS` with its sentences ``(text, English)``, none of them empty.

    Yields nothing if the set is not available. All parts are read, because counting tokens is neither training nor
    testing.
    """
    folder = registry.find(CARDS[name], data_dir)
    for path in files(folder, "*.parquet") if folder else ():
        cells = _table(path, *_COLUMNS[name]).to_pydict()
        rows: Iterable[tuple[str, str | None, str | None]]
        if name == "ntrex-128":
            columns = {canonical(column): texts for column, texts in cells.items() if column not in {"doc", "line"}}
            rows = ((code, *pair) for code, texts in columns.items() for pair in zip(texts, cells["eng"], strict=True))
        elif name == "sib-200":
            every = zip(cells["lang"], cells["index_id"], cells["text"], strict=True)
            sound = [(code, row, text) for code, row, text in every if text and not is_mojibake(text)]
            english = {row: text for code, row, text in sound if code == "eng_Latn"}
            rows = ((_code_of(code), text, english.get(row)) for code, row, text in sound)
        else:
            codes = map(_tatoeba_code, cells["lang"])
            rows = zip(codes, cells["text"], cells["eng"], strict=True)
        found: dict[str, Sentences] = {}
        for code, text, other in rows:
            if text and other:
                found.setdefault(code, []).append((text, other))
        yield from found.items()


def _table(path: Path, *needed: str) -> pa.Table:
    """Return a Parquet file with all its columns, among them those that are needed."""
    batches = list(parquet_batches(path, needed, None))
    return pa.Table.from_batches(batches) if batches else pa.table({name: pa.array([], pa.string()) for name in needed})
