"""The texts of the starter collection: complete, in their language, with equal numbers, and found by the encoder."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest

from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import STARTER_PARTS, find

LANGUAGES = ("ar", "bn", "de", "en", "es", "fi", "hi", "id", "ja", "ru", "sw", "zh")
Fact = dict[str, str]


@pytest.fixture(scope="module")
def facts() -> dict[str, list[Fact]]:
    folder = find(CARDS["starter"])
    assert folder is not None
    return {
        language: [json.loads(line) for line in (folder / f"{language}.jsonl").read_text("utf-8").splitlines()]
        for language in LANGUAGES
    }


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))


def test_every_fact_is_there_in_every_language(facts: dict[str, list[Fact]]) -> None:
    expected = [(fact["group"], fact["subject"], fact["split"]) for fact in facts["en"]]
    assert len(expected) == len({group for group, _, _ in expected}) >= 100
    for language in LANGUAGES:
        assert [(fact["group"], fact["subject"], fact["split"]) for fact in facts[language]] == expected
    sizes = Counter(split for _, _, split in expected)
    assert min(sizes[split] for split in STARTER_PARTS) >= 12


def test_subjects_have_confusable_facts_and_stay_in_one_part(facts: dict[str, list[Fact]]) -> None:
    parts: dict[str, set[str]] = {}
    for fact in facts["en"]:
        parts.setdefault(fact["subject"], set()).add(fact["split"])
    assert all(len(found) == 1 for found in parts.values())
    assert len(parts) >= 20
    assert min(Counter(fact["subject"] for fact in facts["en"]).values()) >= 3


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("side", ["question", "passage"])
def test_texts_are_distinct_and_numbers_agree(facts: dict[str, list[Fact]], language: str, side: str) -> None:
    texts = [fact[side] for fact in facts[language]]
    assert len(set(texts)) == len(texts)
    for fact, english in zip(facts[language], facts["en"], strict=True):
        assert numbers(fact[side]) == numbers(english[side]), fact["group"]


def test_every_passage_is_in_its_language(facts: dict[str, list[Fact]]) -> None:
    langid = pytest.importorskip("py3langid.langid")
    known = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    known.set_languages(list(LANGUAGES))
    wrong = [
        fact["group"]
        for language in LANGUAGES
        for fact in facts[language]
        if known.classify(fact["passage"])[0] != language
    ]
    assert not wrong


@pytest.mark.slow
def test_the_encoder_finds_the_translations(facts: dict[str, list[Fact]]) -> None:
    import panglot

    encoder = panglot.load("bundled")
    vectors = {
        language: encoder.encode([fact["passage"] for fact in facts[language]], "passage") for language in LANGUAGES
    }
    for language in LANGUAGES:
        nearest = np.argmax(vectors[language] @ vectors["en"].T, axis=1)
        assert np.mean(nearest == np.arange(len(nearest))) >= (0.85 if language == "sw" else 0.95), language
