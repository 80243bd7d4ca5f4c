"""TyDi QA, gold passages (arXiv 2003.05002)."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import TEXTS, Collection, Text
from panglot.data.files import files, numbered_lines, objects, parse_json, plain_name
from panglot.data.formats import squad
from panglot.data.formats.squad import paragraphs
from panglot.data.language import canonical
from panglot.data.overlap import Texts
from panglot.datasets import flores, translations

_NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id",
    "korean": "ko", "russian": "ru", "swahili": "sw", "telugu": "te",
}  # fmt: skip
_FILE = re.compile(r"tydiqa\.goldp\.(\w+)\.(?:dev|train)|([a-z]+)_tydiqa_train|tydiqa-goldp-dev-([a-z]+)")


def read_tydiqa(
    folder: Path,
    *,
    name: str = "tydiqa-goldp",
    part: str = "dev",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read the ``dev`` or the ``train`` part: distinct gold passages as a pool, one question each or more.

    The languages are not parallel: every question and every passage is a group of its own. For training rows
    the files in ``train-orig-ids`` are preferred, for XTREME's copies in ``train`` have ids that repeat.
    Marks of bold type, left over in some contexts (mostly a lone ``</b>``), are taken out.

    Raises:
        PanglotError: A file is broken or missing.
    """
    place = folder / part
    if part == "train" and (folder / "train-orig-ids").is_dir():
        place = folder / "train-orig-ids"
    found: list[tuple[Path, str]] = []
    for path in files(place, "*tydiqa*.json"):
        match = _FILE.fullmatch(plain_name(path))
        if match is None:
            raise PanglotError("not a name of TyDi QA", file=path, hint="call it tydiqa.goldp.XX.dev.json")
        code = next(group for group in match.groups() if group)
        found.append((path, canonical(_NAMES.get(code, code))))
    return squad.collect(
        name,
        found,
        candidates=candidates,
        context=context,
        clean=lambda text: text.replace("<b>", "").replace("</b>", ""),
        about={**(about or {}), "part": part},
    )


NEAR = 0.5
_SHARE = 4


def read_tydiqa_large(
    folder: Path,
    others: Mapping[str, Path],
    *,
    name: str = "tydiqa-goldp-large",
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read the dev part of TyDi QA, and put distractors into the pools of its nine languages.

    They are, in this order: the passages of TyDi QA's train part (en, ko, sw); the paragraphs of a quarter of the
    articles of ``squad2-en-fi`` (:func:`drawn`); the test parts of ``ntrex-128`` (its passages) and of ``sib-200``,
    in all nine languages, which must not be trained on anyway. Left out, and counted in ``about``: distractors that
    are equal to a gold passage of their language or an earlier distractor, and those that share half of their n-grams
    with a gold passage. No one has judged the distractors: one may answer a question by chance.

    Args:
        folder: TyDi QA's.
        others: The folders of ``squad2-en-fi``, ``ntrex-128`` and ``sib-200``.
        name: What tables call it.
        about: What else is known about it.

    Raises:
        PanglotError: A file is broken or missing.
    """
    dev = read_tydiqa(folder, part="dev")
    left_out: Counter[str] = Counter()
    added: Counter[str] = Counter()
    pool: list[Text] = []
    offered: dict[str, dict[str, Text]] = {code: {} for code in dev.languages}
    for source, text in _distractors(folder, others, dev.languages):
        mine = offered[text.language]
        if text.text in mine:
            left_out["repeated"] += 1
        else:
            mine[text.text] = Text(f"{text.language}-{source}-{text.id}", text.language, f"{source}-{text.id}", "")
    for code, found in offered.items():
        gold = dev.passages.filter(pa.array(dev.passage_language == dev.languages.index(code)))
        texts = list(found)
        matches = Texts(texts).matches(Texts(gold["text"].to_pylist()))
        near = np.zeros(len(texts), bool)
        near[matches.first[matches.share >= NEAR]] = True
        left_out["like a gold passage"] += int(near.sum())
        kept = [found[text]._replace(text=text) for text, like in zip(texts, near, strict=True) if not like]
        # A distractor is nobody's translation: each is a group of its own.
        pool += [text._replace(group=text.id) for text in kept]
        added[code] = len(kept)
    passages = pa.concat_tables(
        [dev.passages, pa.table([pa.array(column, pa.string()) for column in zip(*pool, strict=True)], schema=TEXTS)]
    )
    facts = {
        **dev.about,
        **(about or {}),
        "distractors": ", ".join(f"{code} {added[code]:,}" for code in dev.languages),
        **{f"left out, {why}": str(number) for why, number in left_out.items()},
    }
    return Collection(name, dev.questions, passages, dev.relevance, facts)


def drawn(article: str) -> bool:
    """Tell whether an article of ``squad2-en-fi``, such as ``d007``, is in the quarter that serves as distractors."""
    return hashlib.sha256(article.encode()).digest()[0] % _SHARE == 0


def _distractors(folder: Path, others: Mapping[str, Path], languages: tuple[str, ...]) -> Iterator[tuple[str, Text]]:
    """Yield ``(source, text)``; ids differ within a source and language."""
    train = read_tydiqa(folder, part="train")
    yield from (("train", Text(*row.values())) for row in train.passages.to_pylist())
    for path in files(others["squad2-en-fi"], "train.*.json"):
        language = canonical(plain_name(path).split(".")[-1])
        for paragraph in paragraphs(path):
            article = f"d{paragraph.article:03d}"
            if language in languages and drawn(article):
                identity = f"{article}-p{paragraph.number:03d}"
                yield "squad", Text(identity, language, identity, paragraph.context)
    news = translations.read_ntrex(others["ntrex-128"], part="test", candidates="passage", languages=languages)
    yield from (("ntrex", Text(*row.values())) for row in news.passages.to_pylist())
    sentences = flores.read_sib200(others["sib-200"], part="test", languages=languages)
    yield from (("sib", Text(*row.values())) for row in sentences.passages.to_pylist())


def shipped() -> Path:
    """Return the folder of the translations that come with panglot.

    ``questions.jsonl`` has lines ``{"id", "en", "ca", "es", "pt"}``; ``engines.json`` says who made them, and when.
    """
    return Path(str(resources.files("panglot.datasets"))) / "tydiqa_translations"


def read_tydiqa_mt(
    folder: Path,
    *,
    name: str = "tydiqa-goldp-mt",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
    place: Path | None = None,
) -> Collection:
    """Read the English questions of TyDi QA's dev part, their gold passages, and the questions' translations.

    A translation is in its question's group and has its question's answers. None was left out for its quality.
    ``about["machine-translated"]`` names the languages with engine and version.

    Args:
        folder: TyDi QA's.
        name: What tables call it.
        candidates: ``paragraph`` or ``sentence``.
        context: With sentences, put their paragraph behind each.
        about: What else is known about it.
        place: A folder of translations other than that of :func:`shipped`.

    Raises:
        PanglotError: A file is broken or missing, or the translations are of other questions.
    """
    place = place or shipped()
    english = read_tydiqa(folder, part="dev", candidates=candidates, context=context).select(["en"])
    questions = [Text(**row) for row in english.questions.to_pylist()]
    found = _translations(place / "questions.jsonl")
    answers: dict[int, list[tuple[str, int]]] = {}
    passages = [Text(**row) for row in english.passages.to_pylist()]
    for row in english.relevance.to_pylist():
        answers.setdefault(row["question"], []).append((passages[row["passage"]].id, row["grade"]))
    rows = list(questions)
    judged = [(question.id, *answer) for row, question in enumerate(questions) for answer in answers.get(row, [])]
    for row, question in enumerate(questions):
        versions = found.get(question.id, {})
        if versions.get("en") != question.text:
            raise PanglotError(
                f"the translations are not of the question {question.id!r} in {folder}",
                file=place / "questions.jsonl",
                hint="get the dev part of TyDi QA's gold passage task, version 1.1",
            )
        for code in sorted(set(versions) - {"en"}):
            label = f"{code}{question.id.removeprefix('en')}"
            rows.append(Text(label, code, question.group, versions[code]))
            judged += [(label, *answer) for answer in answers.get(row, [])]
    facts = {**english.about, **(about or {}), "part": "dev", "machine-translated": _made_by(place / "engines.json")}
    return Collection.build(name, rows, passages, judged, facts)


def _translations(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line, text in numbered_lines(path):
        values = parse_json(text, path, line)
        if not isinstance(values, dict) or not all(isinstance(value, str) and value for value in values.values()):
            raise PanglotError("not an object of texts", file=path, line=line, hint='write {"id", "en", …}')
        versions = cast("dict[str, str]", values)
        found[versions.pop("id", "")] = versions
    return found


def _made_by(path: Path) -> str:
    engines = cast("dict[str, dict[str, str]]", parse_json(path.read_text("utf-8"), path, 1))
    return "; ".join(f"{code}: {each['engine']} {each['version']}, {each['date']}" for code, each in engines.items())


_PRIMARY_NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id", "japanese": "ja",
    "korean": "ko", "russian": "ru", "swahili": "sw", "telugu": "te", "thai": "th",
}  # fmt: skip


def read_tydiqa_primary(
    folder: Path,
    *,
    name: str = "tydiqa-primary",
    part: str = "dev",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``tydiqa-v1.0-dev.jsonl`` or ``…-train.jsonl``: all passages of all articles are the pool.

    Where candidates lie is counted in bytes of UTF-8. As in the publisher's scorer, a question has an answer if at
    least two of its three annotators, or its only one, found a passage; those that they found are relevant.
    Questions without an answer are left out, their articles stay. Equal passages are one.

    Args:
        folder: Where they lie.
        name: What tables call it.
        part: ``dev`` or ``train``.
        languages: Canonical codes; empty: all.
        about: What else is known about it.

    Raises:
        PanglotError: A line is broken or a file missing.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    relevance: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    for path in files(folder, f"tydiqa-v1.0-{part}.jsonl"):
        for line, entry in objects(
            path, "language", "document_plaintext", "question_text", "passage_answer_candidates"
        ):
            spelled = str(entry["language"])
            language = canonical(_PRIMARY_NAMES.get(spelled, spelled))
            if languages and language not in languages:
                continue
            try:
                texts, found = _candidates(entry), _found(entry)
                labels = [
                    passages.setdefault((language, text), f"{language}:{len(passages):07d}") if text else ""
                    for text in texts
                ]
                relevant = [labels[place] for place in sorted(found) if labels[place]]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                problem, hint = f"a candidate or an annotation is broken ({error!r})", "fetch the file again"
                raise PanglotError(problem, file=path, line=line, hint=hint) from error
            if not relevant:
                left_out += 1
                continue
            label = f"{language}:{entry.get('example_id', line)}"
            times[label] += 1
            label += f"~{times[label]}" if times[label] > 1 else ""
            questions.append(Text(label, language, label, str(entry["question_text"]).strip()))
            relevance += [(label, passage, 1) for passage in dict.fromkeys(relevant)]
    pool = [Text(label, language, label, text) for (language, text), label in passages.items()]
    facts = {**(about or {}), "part": part, "candidates": "passage", "left out, unanswerable": str(left_out)}
    return Collection.build(name, questions, pool, relevance, facts)


def _candidates(entry: dict[str, Any]) -> list[str]:
    article = str(entry["document_plaintext"]).encode()
    spans = [(c["plaintext_start_byte"], c["plaintext_end_byte"]) for c in entry["passage_answer_candidates"]]
    return [article[start:end].decode().strip() for start, end in spans]


def _found(entry: dict[str, Any]) -> set[int]:
    """Return the places of the candidates that answer."""
    places = [int(one["passage_answer"]["candidate_index"]) for one in entry.get("annotations") or ()]
    marked = [place for place in places if place >= 0]
    return set(marked) if len(marked) >= min(2, len(places)) else set()
