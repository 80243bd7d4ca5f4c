"""A model of panglot in mteb, beside panglot's own figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import panglot
from mteb_made import made, split
from panglot.datasets.mteb_tasks import read_task
from panglot.evaluation.evaluate import evaluate

from .made import Table, parallel

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Side

mteb = pytest.importorskip("mteb")
CODES = {"de": "deu-Latn", "en": "eng-Latn"}


def task_of(collection: panglot.Collection, grades: dict[int, int]) -> Any:
    """Each language of a collection as a subset of a task of mteb."""
    sides = [table.to_pylist() for table in (collection.questions, collection.passages)]
    data: dict[str, dict[str, Any]] = {}
    for code in collection.languages:
        texts = [{row["id"]: row["text"] for row in rows if row["language"] == code} for rows in sides]
        judged: dict[str, dict[str, int]] = {}
        for row, pair in enumerate(zip(*(rows.tolist() for rows in collection.pairs), strict=True)):
            question, passage = (rows[place]["id"] for rows, place in zip(sides, pair, strict=True))
            if question in texts[0] and passage in texts[1]:
                judged.setdefault(question, {})[passage] = grades.get(row % 3, 1)
        data[code] = split(texts[0], texts[1], judged)
    return made({code: [CODES[code]] for code in collection.languages}, data)()


def scores(model: Any, task: Any) -> dict[str, dict[str, float]]:
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False).task_results[0]
    return {each["hf_subset"]: each for each in result.scores["test"]}


def test_both_find_the_same_ndcg_on_the_same_task() -> None:
    questions, passages, collection = parallel(("de", "en"), groups=40, passages=120, noise=2.0)
    encoder = Table("vectors", questions, passages, collection)
    task = task_of(collection, {0: 3})
    theirs = scores(panglot.mteb_model(encoder), task)
    found = evaluate(encoder, read_task(task), draws=0, measures=["nDCG@10", "mAP@100", "R@10"])
    ours = found.figures["datasets"]["mteb:MadeRetrieval"]["monolingual"]["by_language"]
    for code in ("de", "en"):
        assert 0.05 < ours[code]["nDCG@10"] < 0.95
        for measure, name in (("nDCG@10", "ndcg_at_10"), ("mAP@100", "map_at_100"), ("R@10", "recall_at_10")):
            assert theirs[code][name] == pytest.approx(ours[code][measure], abs=1e-5)


def test_a_model_by_its_name_gets_the_prompts_of_each_side(small_model: Path) -> None:
    model = panglot.mteb_model(small_model)
    encoder = panglot.load(small_model)
    metadata = task_of(parallel(("de", "en"))[2], {}).metadata
    batches = [{"text": ["where is lake?", "mountain"]}, {"text": ["where is lake?"]}]
    texts = [text for batch in batches for text in batch["text"]]

    def encode(kind: Any) -> Any:
        return model.encode(batches, task_metadata=metadata, hf_split="test", hf_subset="de", prompt_type=kind)

    prompts: Any = import_module("mteb.types").PromptType
    sides: list[tuple[Any, Side]] = [(prompts.query, "question"), (prompts.document, "passage"), (None, "question")]
    for kind, side in sides:
        np.testing.assert_allclose(encode(kind), encoder.encode(texts, side), atol=1e-3)
    assert model.mteb_model_meta.name == "panglot/model"
    assert model.mteb_model_meta.revision == encoder.fingerprint
    a = encode(None)
    np.testing.assert_allclose(model.similarity(a, a), a @ a.T, atol=1e-6)
    np.testing.assert_allclose(model.similarity_pairwise(a, a), np.ones(3), atol=1e-5)
