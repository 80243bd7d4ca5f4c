"""From an encoder to the dictionary of figures, and what cannot be measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ir_measures
import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.formats import trec
from panglot.datasets import registry
from panglot.evaluation.evaluate import evaluate
from panglot.evaluation.figures import SETTINGS, headline, measure
from panglot.evaluation.ranks import trec_qrels, trec_run

from .made import Table, parallel, unit

if TYPE_CHECKING:
    from pathlib import Path


def small(
    questions: list[tuple[str, str, str]], passages: list[tuple[str, str, str]], pairs: list[tuple[str, str]]
) -> dict[str, Any]:
    collection = Collection.build(
        "small",
        [Text(*each, f"text of {each[0]}") for each in questions],
        [Text(*each, f"text of {each[0]}") for each in passages],
        [(q, p, 1) for q, p in pairs],
    )
    generator = np.random.default_rng(0)
    asked, held = (unit(generator.standard_normal((len(side), 8))) for side in (questions, passages))
    figures = measure(asked, held, collection, draws=20).figures
    json.dumps(figures, allow_nan=False)
    return figures


def reasons(figures: dict[str, Any]) -> dict[str, str]:
    return {item["what"]: item["why"] for item in figures["not_measured"]}


def test_three_settings_by_their_definition() -> None:
    questions, passages, collection = parallel()
    figures = measure(questions, passages, collection, draws=50).figures
    scores = questions.astype(np.float64) @ passages.astype(np.float64).T
    asked, held = collection.question_language, collection.passage_language
    relevant = np.zeros(scores.shape, bool)
    relevant[collection.pairs] = True

    def average(q: np.intp, pool: np.ndarray) -> float:
        order = np.flatnonzero(pool)[np.argsort(-scores[q, pool])]
        places = np.flatnonzero(relevant[q, order]) + 1
        return float(np.mean(np.arange(1, len(places) + 1) / places))

    matrix = np.array(
        [[np.mean([average(q, held == y) for q in np.flatnonzero(asked == x)]) for y in range(3)] for x in range(3)]
    )
    multi = np.mean([np.mean([average(q, held >= 0) for q in np.flatnonzero(asked == x)]) for x in range(3)])
    assert figures["monolingual"]["mAP"] == pytest.approx(matrix.trace() / 3)
    assert figures["crosslingual"]["mAP"] == pytest.approx((matrix.sum() - matrix.trace()) / 6)
    assert figures["multilingual"]["mAP"] == pytest.approx(multi)
    assert figures["crosslingual"]["matrix"]["mAP"]["de"]["zh"] == pytest.approx(matrix[0, 2])
    assert figures["crosslingual"]["matrix"]["mAP"]["zh"]["zh"] == pytest.approx(matrix[2, 2])
    for setting in ("monolingual", "crosslingual", "multilingual"):
        low, high = figures[setting]["interval"]["mAP"]
        assert low <= figures[setting]["mAP"] <= high
        assert figures[setting]["left_out"] == 0
    multilingual = figures["multilingual"]
    assert multilingual["rank_distance_share"] == pytest.approx(multilingual["rank_distance"] / 59)
    assert sum(multilingual["language_share@10"]["de"].values()) == pytest.approx(1)
    assert headline(questions, passages, collection)["multilingual.mAP"] == pytest.approx(multi)


def test_languages_weigh_equally_whatever_their_number_of_questions() -> None:
    questions, passages, collection = parallel()
    keep = np.ones(len(questions), bool)
    keep[collection.question_language == 0] = False
    keep[0] = True
    part = collection.keep(keep, np.ones(len(passages), bool))
    figures = measure(questions[keep], passages, part, draws=0).figures
    by_language = figures["monolingual"]["by_language"]
    assert by_language["de"]["questions"] == 1
    assert figures["monolingual"]["mAP"] == pytest.approx(np.mean([each["mAP"] for each in by_language.values()]))


def test_each_distinct_text_is_encoded_once() -> None:
    questions, passages, collection = parallel()
    texts = ["same"] * 10 + collection.passages["text"].to_pylist()[10:]
    table = collection.passages.set_column(3, "text", [texts])
    collection = Collection("made", collection.questions, table, collection.qrels)
    encoder = Table("table", questions, passages, collection)
    evaluate(encoder, collection, draws=10)
    assert encoder.asked == [36, 51]


def test_dictionary_is_json_and_the_same_twice(tmp_path: Path) -> None:
    questions, passages, collection = parallel()
    first, second = (evaluate(Table("table", questions, passages, collection), collection, seed=4) for _ in range(2))
    first.to_json(tmp_path / "figures.json")
    read = json.loads((tmp_path / "figures.json").read_text())
    assert read == first.figures
    assert read["model"] == {"name": "table", "fingerprint": "table-1", "dimension": 16}
    for each in (first, second):
        each.figures["datasets"]["made"].pop("seconds")
    assert first.figures["datasets"] == second.figures["datasets"]
    assert "mono" in repr(first)
    assert "questions" in repr(first.per_question["made"])


def test_questions_without_an_answer_in_a_pool_are_left_out_and_counted() -> None:
    figures = small(
        [("a", "en", "1"), ("b", "en", "2"), ("c", "de", "1")],
        [("p", "en", "p"), ("r", "de", "p")],
        [("a", "p"), ("a", "r"), ("c", "p")],
    )
    assert figures["monolingual"]["left_out"] == 2
    assert figures["crosslingual"]["left_out"] == 1
    assert figures["multilingual"]["left_out"] == 1
    assert figures["monolingual"]["mAP"] == figures["monolingual"]["by_language"]["en"]["mAP"]
    assert set(figures["monolingual"]["by_language"]) == {"en"}


def test_sets_that_are_not_parallel_have_pools_of_one_language_and_the_mixed_pool() -> None:
    figures = small([("a", "en", ""), ("b", "fi", "")], [("p", "en", ""), ("r", "fi", "")], [("a", "p"), ("b", "r")])
    assert figures["monolingual"]["mAP"] == 1
    assert figures["crosslingual"] is None
    assert figures["multilingual"]["mAP"] > 0
    assert figures["multilingual"]["rank_distance"] is None
    assert figures["multilingual"]["self_preference@10"] == 1
    why = reasons(figures)
    assert "no passage in another language" in why["crosslingual"]
    assert "own language only" in why["rank_distance"]
    assert "no question group" in why["rank_correlation"]
    assert "no group has versions" in why["translation_cosine"]


def test_one_language_only() -> None:
    figures = small([("a", "en", "1"), ("b", "en", "2")], [("p", "en", ""), ("r", "en", "")], [("a", "p"), ("b", "r")])
    assert figures["crosslingual"] is None
    assert figures["multilingual"] is None
    assert figures["geometry"] is None
    assert set(reasons(figures)) == {"crosslingual", "multilingual", "geometry"}


def test_questions_in_other_languages_than_the_passages() -> None:
    figures = small([("a", "fi", "1"), ("b", "ja", "1")], [("p", "en", ""), ("r", "en", "")], [("a", "p"), ("b", "r")])
    assert figures["monolingual"] is None
    assert figures["crosslingual"]["mAP"] > 0
    assert "own language" in reasons(figures)["monolingual"]


def test_nothing_relevant_at_all() -> None:
    figures = small([("a", "en", "1")], [("p", "en", ""), ("r", "de", "")], [])
    assert [figures[setting] for setting in SETTINGS] == [None, None, None]


def test_one_group_has_no_interval() -> None:
    figures = small([("a", "en", "1"), ("b", "de", "1")], [("p", "en", ""), ("r", "de", "")], [("a", "p"), ("b", "r")])
    assert "interval" not in figures["monolingual"]
    assert "one question group" in reasons(figures)["interval"]


def test_an_interval_needs_two_groups_with_a_value() -> None:
    questions = [("a", "en", "1"), ("b", "de", "2"), ("c", "en", "3")]
    passages = [("p", "en", "x"), ("r", "de", "x"), ("s", "en", ""), ("t", "de", "")]
    figures = small(questions, passages, [("a", "p"), ("a", "r"), ("b", "s"), ("c", "t")])
    assert set(figures["crosslingual"]["interval"]) >= {"mAP"}
    assert "mAP" in figures["multilingual"]["interval"]
    # Only question a has an answer in its own language, and answers in two languages.
    assert "interval" not in figures["monolingual"]
    assert figures["multilingual"]["rank_distance"] is not None
    assert "rank_distance" not in figures["multilingual"]["interval"]
    alone = small(questions, passages, [("a", "p"), ("a", "r")])
    assert "mAP" not in alone["multilingual"]["interval"]
    assert "only one question group has" in reasons(alone)["interval"]


def test_runs_and_judgements_written_and_read_back_give_the_same_figures(tmp_path: Path) -> None:
    questions, passages, collection = parallel()
    found = measure(questions, passages, collection, draws=0)
    trec.write_run(tmp_path / "run", trec_run(found.ranks, collection))
    trec.write_qrels(tmp_path / "qrels", trec_qrels(collection))
    aggregated = ir_measures.calc_aggregate(
        [ir_measures.parse_measure("AP"), ir_measures.parse_measure("nDCG@10")],
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    theirs = {str(measure): value for measure, value in aggregated.items()}
    assert found.figures["multilingual"]["mAP"] == pytest.approx(theirs["AP"], abs=1e-9)
    assert found.figures["multilingual"]["nDCG@10"] == pytest.approx(theirs["nDCG@10"], abs=1e-9)
    assert trec.read_ranked(tmp_path / "run")[0] == trec_run(found.ranks, collection)


def test_what_a_user_can_get_wrong() -> None:
    questions, passages, collection = parallel()
    encoder = Table("table", questions, passages, collection)
    with pytest.raises(PanglotError, match="two data sets"):
        evaluate(encoder, [collection, collection])
    with pytest.raises(PanglotError, match="at least one data set"):
        evaluate(encoder, [])
    with pytest.raises(PanglotError, match="at least one measure"):
        evaluate(encoder, collection, measures=[])
    with pytest.raises(PanglotError, match="F1"):
        evaluate(encoder, collection, measures=["F1"])
    with pytest.raises(PanglotError, match="no questions"):
        evaluate(encoder, collection, languages=["sw"])
    with pytest.raises(PanglotError, match="no data set has text in fr, sw"):
        evaluate(encoder, collection, languages=["en", "deu", "fr", "sw"])


def test_one_text_is_a_list_with_commas() -> None:
    questions, passages, collection = parallel()
    encoder = Table("table", questions, passages, collection)
    listed = evaluate(encoder, collection, languages=["de", "en"], measures=["mAP", "R@1"], draws=0)
    text = evaluate(encoder, collection, languages="de, eng", measures="mAP,R@1", draws=0)
    for each in (listed, text):
        each.figures["datasets"]["made"].pop("seconds")
    assert text.figures["datasets"] == listed.figures["datasets"]
    assert registry.read("starter:dev", languages="en,fi").languages == ("en", "fi")
