"""TyDi QA's dev questions over pools enlarged by passages that answer none of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from panglot.corpus import ntrex, sib200, tydiqa
from panglot.corpus._folder import files, plain_name
from panglot.corpus._squad import paragraphs
from panglot.corpus.collection import TEXTS, Collection, Text
from panglot.corpus.language import canonical
from panglot.corpus.overlap import Texts

NEAR = 0.5
_SHARE = 4


def read(
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
    dev = tydiqa.read(folder, part="dev")
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
    train = tydiqa.read(folder, part="train")
    yield from (("train", Text(*row.values())) for row in train.passages.to_pylist())
    for path in files(others["squad2-en-fi"], "train.*.json"):
        language = canonical(plain_name(path).split(".")[-1])
        for paragraph in paragraphs(path):
            article = f"d{paragraph.article:03d}"
            if language in languages and drawn(article):
                identity = f"{article}-p{paragraph.number:03d}"
                yield "squad", Text(identity, language, identity, paragraph.context)
    news = ntrex.read(others["ntrex-128"], part="test", candidates="passage", languages=languages)
    yield from (("ntrex", Text(*row.values())) for row in news.passages.to_pylist())
    sentences = sib200.read(others["sib-200"], part="test", languages=languages)
    yield from (("sib", Text(*row.values())) for row in sentences.passages.to_pylist())
