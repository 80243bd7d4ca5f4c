"""TyDi QA (arXiv 2003.05002): gold passages, larger pools, translated questions, the primary task, and XOR-TyDi."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text, text_table
from panglot.data.files import files, objects, plain_name, read_json, read_text
from panglot.data.formats.squad import paragraphs
from panglot.data.language import canonical
from panglot.data.overlap import Texts
from panglot.data.transform import unique
from panglot.datasets.catalog import CARDS, DatasetSpec
from panglot.datasets.squad_family import collect, match_name
from panglot.datasets.translations import one_of

#: How TyDi QA spells its languages.
NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id", "japanese": "ja",
    "korean": "ko", "russian": "ru", "swahili": "sw", "telugu": "te", "thai": "th",
}  # fmt: skip
_FILE = re.compile(r"tydiqa\.goldp\.(\w+)\.(?:dev|train)|([a-z]+)_tydiqa_train|tydiqa-goldp-dev-([a-z]+)")


def read_tydiqa(folder: Path, spec: DatasetSpec) -> Collection:
    """Read the ``dev`` or the ``train`` part: distinct gold passages as the pool, one or more questions each.

    The languages are not parallel, so every question and every passage is a group of its own. Marks of bold type that
    are left in some contexts (mostly a lone ``</b>``) are removed.
    """
    place = folder / spec.part
    # XTREME's copies in `train` have ids that repeat.
    if spec.part == "train" and (folder / "train-orig-ids").is_dir():
        place = folder / "train-orig-ids"
    found: list[tuple[Path, str]] = []
    for path in files(place, "*tydiqa*.json"):
        match = match_name(path, _FILE, "TyDi QA", "tydiqa.goldp.XX.dev.json")
        code = next(group for group in match.groups() if group)
        found.append((path, canonical(NAMES.get(code, code))))
    return collect(spec, found, clean=lambda text: text.replace("<b>", "").replace("</b>", ""))


#: Share of n-grams in common with a gold passage from which on a distractor is left out.
NEAR = 0.5


def read_tydiqa_large(folder: Path, spec: DatasetSpec) -> Collection:
    """Read the dev part of TyDi QA, and add distractors to the pools of its nine languages.

    They are, in this order: the passages of TyDi QA's train part (en, ko, sw), the paragraphs of a quarter of the
    articles of ``squad2-en-fi``, and the test parts of ``ntrex-128`` (as passages) and ``sib-200``,
    which must not be trained on anyway. Distractors are left out, and counted in ``metadata``, if they equal a gold
    passage of their language or an earlier distractor, or share half of their n-grams with a gold passage. Nobody
    judged the distractors: one may answer a question by chance.
    """
    dev = CARDS["tydiqa-goldp"].read(folder, part="dev")
    left_out: Counter[str] = Counter()
    added: Counter[str] = Counter()
    pool: list[Text] = []
    offered: dict[str, dict[str, Text]] = {code: {} for code in dev.languages}
    for source, text in _distractors(folder, spec, dev.languages):
        known = offered[text.language]
        if text.text in known:
            left_out["repeated"] += 1
        else:
            known[text.text] = Text(f"{text.language}-{source}-{text.id}", text.language, f"{source}-{text.id}", "")
    for code, found in offered.items():
        gold = dev.passages.filter(pa.array(dev.passage_language == dev.languages.index(code)))
        texts = list(found)
        matches = Texts(texts).matches(Texts(gold["text"].to_pylist()))
        near = np.zeros(len(texts), bool)
        near[matches.first[matches.share >= NEAR]] = True
        left_out["like a gold passage"] += int(near.sum())
        kept = [found[text]._replace(text=text) for text, like in zip(texts, near, strict=True) if not like]
        # A distractor has no translations, so each is a group of its own.
        pool += [text._replace(group=text.id) for text in kept]
        added[code] = len(kept)
    passages = pa.concat_tables([dev.passages, text_table(pool)])
    metadata = {
        **dev.metadata,
        **spec.metadata,
        "distractors": ", ".join(f"{code} {added[code]:,}" for code in dev.languages),
        **{f"left out, {reason}": str(number) for reason, number in left_out.items()},
    }
    return Collection(spec.name, dev.questions, passages, dev.qrels, metadata)


def _distractors(folder: Path, spec: DatasetSpec, languages: tuple[str, ...]) -> Iterator[tuple[str, Text]]:
    """Yield ``(source, text)``. Ids differ within a source and language."""
    train = CARDS["tydiqa-goldp"].read(folder, part="train")
    yield from (("train", Text(*row.values())) for row in train.passages.to_pylist())
    for path in files(spec.folders["squad2-en-fi"], "train.*.json"):
        language = canonical(plain_name(path).split(".")[-1])
        for paragraph in paragraphs(path):
            article = f"d{paragraph.article:03d}"
            if language in languages and one_of(article, 4):
                identity = f"{article}-p{paragraph.number:03d}"
                yield "squad", Text(identity, language, identity, paragraph.context)
    for source, name, candidates in (("ntrex", "ntrex-128", "passage"), ("sib", "sib-200", "sentence")):
        options = {"part": "test", "candidates": candidates, "languages": languages}
        other = CARDS[name].read(spec.folders[name], **options)
        yield from ((source, Text(*row.values())) for row in other.passages.to_pylist())


def shipped() -> Path:
    """Return the folder of the translations that come with panglot.

    ``questions.jsonl`` has lines ``{"id", "en", "ca", "es", "pt"}``. ``engines.json`` names the engine, its version
    and the date for each language.
    """
    return Path(str(resources.files("panglot.datasets"))) / "tydiqa_translations"


def read_tydiqa_mt(folder: Path, spec: DatasetSpec) -> Collection:
    """Read the English questions of TyDi QA's dev part, their gold passages, and translations of the questions.

    A translation has its question's group and its question's answers. No translation was left out for its quality.
    ``metadata["machine-translated"]`` names the languages with engine and version.
    """
    place = shipped()
    options = {"part": "dev", "candidates": spec.candidates, "context": spec.context}
    english = CARDS["tydiqa-goldp"].read(folder, **options).select(["en"])
    questions = [Text(**row) for row in english.questions.to_pylist()]
    passages = [Text(**row) for row in english.passages.to_pylist()]
    found = _translations(place / "questions.jsonl")
    answers: dict[int, list[tuple[str, int]]] = {}
    for row in english.qrels.to_pylist():
        answers.setdefault(row["question"], []).append((passages[row["passage"]].id, row["relevance"]))
    rows = list(questions)
    judged = [(question.id, *answer) for row, question in enumerate(questions) for answer in answers.get(row, [])]
    for row, question in enumerate(questions):
        versions = found.get(question.id, {})
        if versions.get("en") != question.text:
            problem = f"the translations do not belong to the question {question.id!r} in {folder}"
            hint = "get the dev part of TyDi QA's gold passage task, version 1.1"
            raise PanglotError(problem, file=place / "questions.jsonl", hint=hint)
        for code in sorted(set(versions) - {"en"}):
            label = f"{code}{question.id.removeprefix('en')}"
            rows.append(Text(label, code, question.group, versions[code]))
            judged += [(label, *answer) for answer in answers.get(row, [])]
    engines = cast("dict[str, dict[str, str]]", read_json(place / "engines.json"))
    made = "; ".join(f"{code}: {each['engine']} {each['version']}, {each['date']}" for code, each in engines.items())
    metadata = {**english.metadata, **spec.metadata, "part": "dev", "machine-translated": made}
    return Collection.build(spec.name, rows, passages, judged, metadata)


def _translations(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line, values in objects(path, "id"):
        if not all(isinstance(value, str) and value for value in values.values()):
            raise PanglotError("expected an object of texts", file=path, line=line, hint='write {"id", "en", …}')
        found[values.pop("id")] = values
    return found


def read_tydiqa_primary(folder: Path, spec: DatasetSpec) -> Collection:
    """Read the primary task, ``tydiqa-v1.0-dev.jsonl`` or ``…-train.jsonl``, with all passages of all articles.

    Positions of candidates count bytes of UTF-8. As in the publisher's scorer, a question has an answer if at least
    two of its three annotators, or its only one, found a passage. All passages that they found are relevant.
    Questions without an answer are left out, but their articles are kept. Equal passages are one.
    """
    questions: list[Text] = []
    passages: dict[tuple[str, str], str] = {}
    qrels: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    needed = ("language", "document_plaintext", "question_text", "passage_answer_candidates")
    for path in files(folder, f"tydiqa-v1.0-{spec.part}.jsonl"):
        for line, entry in objects(path, *needed):
            spelled = str(entry["language"])
            language = canonical(NAMES.get(spelled, spelled))
            if not spec.wants(language):
                continue
            try:
                texts, found = _candidates(entry), _found(entry)
                labels = [
                    passages.setdefault((language, text), f"{language}:{len(passages):07d}") if text else ""
                    for text in texts
                ]
                relevant = [labels[place] for place in sorted(found) if labels[place]]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                problem, hint = f"a candidate or an annotation is broken ({error!r})", "download the file again"
                raise PanglotError(problem, file=path, line=line, hint=hint) from error
            if not relevant:
                left_out += 1
                continue
            label = unique(f"{language}:{entry.get('example_id', line)}", times)
            questions.append(Text(label, language, label, str(entry["question_text"]).strip()))
            qrels += [(label, passage, 1) for passage in dict.fromkeys(relevant)]
    pool = [Text(label, language, label, text) for (language, text), label in passages.items()]
    metadata = {**spec.metadata, "left out, unanswerable": str(left_out)}
    return Collection.build(spec.name, questions, pool, qrels, metadata)


def _candidates(entry: dict[str, Any]) -> list[str]:
    article = str(entry["document_plaintext"]).encode()
    spans = [(c["plaintext_start_byte"], c["plaintext_end_byte"]) for c in entry["passage_answer_candidates"]]
    return [article[start:end].decode().strip() for start, end in spans]


def _found(entry: dict[str, Any]) -> set[int]:
    """Return the positions of the candidates that answer."""
    places = [int(one["passage_answer"]["candidate_index"]) for one in entry.get("annotations") or ()]
    marked = [place for place in places if place >= 0]
    return set(marked) if len(marked) >= min(2, len(places)) else set()


def read_xor_tydi(folder: Path, spec: DatasetSpec) -> Collection:
    """Read XOR-TyDi's ``xor_dev_retrieve_eng_span*.jsonl`` or ``xor_train_…``: questions with short English answers.

    The files have no passages, so the distinct answers form the pool. The languages are not parallel. ``yes`` and
    ``no`` answer many questions and identify none. Questions without another answer are left out and counted in
    ``metadata``.
    """
    questions: list[Text] = []
    answers: dict[str, str] = {}
    qrels: list[tuple[str, str, int]] = []
    times = Counter[str]()
    left_out = 0
    for path in files(folder, f"xor_{spec.part}_retrieve_eng_span*.jsonl"):
        for _, entry in objects(path, "id", "question", "answers", "lang"):
            language = canonical(str(entry["lang"]))
            found = [text for text in dict.fromkeys(str(a).strip() for a in entry["answers"]) if text]
            found = [text for text in found if text.casefold() not in ("yes", "no")]
            if not found:
                left_out += 1
                continue
            label = unique(f"{language}:{entry['id']}", times)
            questions.append(Text(label, language, label, str(entry["question"]).strip()))
            qrels += [(label, answers.setdefault(text, f"en:answer-{len(answers)}"), 1) for text in found]
    passages = [Text(label, "en", label, text) for text, label in answers.items()]
    metadata = {**spec.metadata, "left out, yes or no": str(left_out)}
    return Collection.build(spec.name, questions, passages, qrels, metadata)


def read_xor_questions(folder: Path, spec: DatasetSpec) -> Collection:
    """Read ``question-translation/xx-en/{xx,en}.txt``: each question finds its translation.

    A line is a group with a question and a passage in both languages. Only the passage in the other language is
    relevant, because the one in the same language is the question itself. Lines with an empty side, repeated pairs
    and, if its file is there, the questions of XOR-TyDi's dev part are left out and counted in ``metadata``.
    """
    dev = set(_dev_questions(folder))
    questions: list[Text] = []
    passages: list[Text] = []
    qrels: list[tuple[str, str, int]] = []
    left_out = {"empty": 0, "repeated": 0, "in dev": 0}
    for path in files(folder / "question-translation", "*-en/en.txt"):
        code = path.parent.name.removesuffix("-en")
        language = canonical(code)
        other = files(path.parent, f"{code}.txt")[0]
        # The last line end of a file begins no line.
        sides = [read_text(side).removesuffix("\n").split("\n") for side in (other, path)]
        if len(sides[0]) != len(sides[1]):
            problem = f"{path.name} has {len(sides[1])} lines, got {len(sides[0])}"
            raise PanglotError(problem, file=other, hint="download both files again")
        seen: set[tuple[str, str]] = set()
        for number, pair in enumerate(zip(*sides, strict=True), 1):
            foreign, english = pair[0].strip(), pair[1].strip()
            if not foreign or not english:
                left_out["empty"] += bool(foreign or english)
            elif (language, foreign) in dev:
                left_out["in dev"] += 1
            elif (foreign, english) in seen:
                left_out["repeated"] += 1
            else:
                seen.add((foreign, english))
                group = f"{language}-{number:05d}"
                versions = ((language, foreign), ("en", english))
                texts = [Text(f"{code}:{group}", code, group, text) for code, text in versions]
                questions += texts
                passages += texts
                qrels += [(texts[0].id, texts[1].id, 1), (texts[1].id, texts[0].id, 1)]
    metadata = {**spec.metadata, **{f"left out, {reason}": str(number) for reason, number in left_out.items()}}
    return Collection.build(spec.name, questions, passages, qrels, metadata)


def _dev_questions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(language, question)`` of XOR-TyDi's dev part, nothing if its file is not there."""
    for path in sorted(folder.glob("xor_dev*.jsonl*")):
        for _, entry in objects(path, "lang", "question"):
            yield canonical(entry["lang"]), entry["question"].strip()
