"""Runs for other tools, and runs of other systems."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.cli.evaluate import evaluate_command
from panglot.data.collection import Collection, Text
from panglot.data.formats.trec import read_qrels, read_ranked, write_qrels, write_run
from panglot.encoders.sentence_transformer import Reranker
from panglot.evaluation.evaluate import compare, evaluate, evaluate_run
from panglot.evaluation.ranks import rank, trec_qrels, trec_run
from panglot.evaluation.runs import rerank

from .made import Table, parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.evaluation.exact_scores import Doubles

MEASURES = ("mAP", "MRR", "R@1", "R@10", "P@5", "Success@3", "nDCG@10", "nDCG")
THEIRS = ("AP", "RR", "R@1", "R@10", "P@5", "Success@3", "nDCG@10", "nDCG")


def _tied(seed: int, *, same_ids: bool = False) -> tuple[np.ndarray, np.ndarray, Collection]:
    """Vectors of few values, so that most scores tie, grades 1 to 3, and questions without a relevant passage.

    Other tools order ties by falling id (trec_eval issue 22, pytrec_eval issue 56, ir_measures issue 18).
    """
    generator = np.random.default_rng(seed)
    _, _, made = parallel(groups=8, passages=12, seed=seed)
    name = "x{}".format if same_ids else "q{}".format
    questions = [Text(name(row), each["language"], each["group"], each["text"])
                 for row, each in enumerate(made.questions.to_pylist())]  # fmt: skip
    passages = [Text(f"x{row}", each["language"], each["group"], each["text"])
                for row, each in enumerate(made.passages.to_pylist())]  # fmt: skip
    judged = [
        (questions[q].id, passages[p].id, int(generator.integers(0, 4)))
        for q in range(len(questions)) for p in generator.choice(len(passages), 5, replace=False) if q % 7
    ]  # fmt: skip
    vectors = [generator.integers(1, 3, (len(texts), 3)).astype(np.float32) for texts in (questions, passages)]
    return vectors[0], vectors[1], Collection.build("tied", questions, passages, judged)


def _theirs(run: Path, qrels: Path) -> dict[str, float]:
    measures = [ir_measures.parse_measure(name) for name in THEIRS]
    found = ir_measures.calc_aggregate(
        measures, list(ir_measures.read_trec_qrels(str(qrels))), list(ir_measures.read_trec_run(str(run)))
    )
    by_name = {str(measure): value for measure, value in found.items()}
    return {ours: by_name[theirs] for ours, theirs in zip(MEASURES, THEIRS, strict=True)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("same_ids", [False, True])
def test_other_tools_get_the_figures_of_tied_rankings(tmp_path: Path, seed: int, *, same_ids: bool) -> None:
    questions, passages, collection = _tied(seed, same_ids=same_ids)
    encoder = Table("made", questions, passages, collection)
    figures = evaluate(
        encoder, collection, measures=MEASURES, draws=0, trec_run=tmp_path / "x.run", trec_depth=0
    ).figures["datasets"]["tied"]  # fmt: skip
    # Each text of the pool of one language, by each language of questions.
    for code in collection.languages:
        mono = _theirs(tmp_path / f"x.mono.{code}.run", tmp_path / f"x.mono.{code}.qrels")
        for name in MEASURES:
            assert mono[name] == pytest.approx(figures["monolingual"]["by_language"][code][name], abs=1e-6)
    cross = [
        _theirs(tmp_path / f"x.cross.{code}.run", tmp_path / f"x.cross.{code}.qrels") for code in ["de", "en", "zh"]
    ]
    assert all(0 < each["nDCG"] < 1 for each in cross)
    run, judged = read_ranked(tmp_path / "x.run")[0], read_qrels(tmp_path / "x.qrels")
    assert not set(judged) & set(collection.passages["id"].to_pylist())
    theirs = pytrec_eval.RelevanceEvaluator(judged, {"map", "ndcg_cut_10"}).evaluate(run)
    languages = dict(zip(run, collection.questions["language"].to_pylist(), strict=True))
    for measure, name in (("map", "mAP"), ("ndcg_cut_10", "nDCG@10")):
        by_language: dict[str, list[float]] = {code: [] for code in collection.languages}
        for question, values in theirs.items():
            by_language[languages[question]].append(values[measure])
        mean = np.mean([np.mean(values) for values in by_language.values()])
        assert mean == pytest.approx(figures["multilingual"][name], abs=1e-6)
    for scores in run.values():
        order = [np.float32(score) for score in scores.values()]
        assert all(after < before for before, after in pairwise(order))
    # The file read back gives every figure again, with the bias.
    again = evaluate_run(tmp_path / "x.run", collection, measures=MEASURES, draws=0).figures["datasets"]["tied"]
    for setting in ("monolingual", "crosslingual", "multilingual"):
        assert again[setting] == figures[setting]
    assert again["run"]["notes"] == []


def test_an_incomplete_run_says_what_it_lacks(tmp_path: Path) -> None:
    questions, passages, collection = parallel()
    whole = evaluate(Table("made", questions, passages, collection), collection, draws=0)
    run = trec_run(whole.measured["made"].ranks, collection, 10)
    del run["q0-de"]
    write_run(tmp_path / "a.run", run, name="bm25")
    lines: list[str] = []
    found = evaluate_run(tmp_path / "a.run", collection, draws=0, measures=MEASURES, progress=lines.append)
    figures = found.figures["datasets"]["made"]
    assert found.figures["model"]["name"] == "bm25"
    assert figures["run"]["notes"] == [line.removeprefix("note: ") for line in lines[1:]]
    assert figures["run"]["notes"][0] == "the run lacks 1 of 36 questions, which count as not answered"
    assert "relevant passages are not in the run and count as not found" in figures["run"]["notes"][1]
    write_qrels(tmp_path / "a.qrels", trec_qrels(collection))
    theirs = _theirs(tmp_path / "a.run", tmp_path / "a.qrels")
    for name in MEASURES:
        assert figures["multilingual"][name] == pytest.approx(theirs[name], abs=1e-9)
    # What is not listed is the last of the pool for rank distance, and a question without any is left out.
    assert figures["multilingual"]["max_rank"] == pytest.approx(np.mean([
        max(list(run[q]).index(p) + 1 if p in run.get(q, {}) else 60 for p in judged)
        for q, judged in trec_qrels(collection).items()
    ]))  # fmt: skip
    distances = found.measured["made"].per_question.values["multilingual.rank_distance"]
    answered = [any(p in run.get(q, {}) for p in judged) for q, judged in trec_qrels(collection).items()]
    assert 0 < sum(answered) < len(answered)
    assert np.isfinite(distances).tolist() == answered
    shares = figures["multilingual"]["language_share@10"]
    assert sum(shares["de"].values()) == pytest.approx(1)
    assert figures["not_measured"][-1] == {"what": "geometry", "why": "a run has no vectors"}


def test_ranks_that_disagree_and_equal_scores_are_counted(tmp_path: Path) -> None:
    _, _, collection = parallel()
    (tmp_path / "a.run").write_text(
        "q0-de Q0 p0-de 1 0.5 x\nq0-de Q0 p1-de 2 0.9 x\nq1-de Q0 p0-de 0 3 x\nq1-de Q0 p1-de 0 3 x\n"
        "q1-de Q0 p2-de 0 4 x\n"
    )  # fmt: skip
    notes = evaluate_run(tmp_path / "a.run", collection, draws=0).figures["datasets"]["made"]["run"]["notes"]
    assert notes[-2:] == [
        "1 questions have equal scores, which are ordered by passage id",
        "the ranks of 1 questions disagree with their scores, and the scores count",
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem", "line"),
    [
        # Counted twice, measures exceed 1 (llama_index issue 22683).
        ("a.run", "q0-de Q0 p0-de 1 2 x\nq0-de Q0 p0-de 2 1 x\n", "come twice, first in line 1", 2),
        ("a.run", "q0-de Q0 p0-de 1 nan x\n", "expected a finite number, got 'nan'", 1),
        ("a.run", "q0-de Q0 p0-de 1 inf x\n", "expected a finite number, got 'inf'", 1),
        ("a.run", "q0-de Q0 p0-de 1 2\n", "expected 6 columns, got 5", 1),
        ("a.run", "q0-de Q0 p0-de 1 2 x\nq0-de Q0 nowhere 2 1 x\n", "made has no passage 'nowhere'", 2),
        ("a.run", "nobody Q0 p0-de 1 2 x\n", "made has no question 'nobody'", 1),
        ("a.json", '{"q0-de": {"p0-de": 1, "p0-de": 2}}', "'p0-de' comes twice", None),
        ("a.json", '{"q0-de": {"p0-de": NaN}}', "must be a finite number, got nan", None),
        ("a.json", '{"q0-de": {"p0-de": "high"}}', "must be a finite number, got 'high'", None),
        ("a.json", '{"q0-de": ["p0-de"]}', "this is not a run", None),
        ("a.json", "[1]", "this is not a run", None),
        ("a.json", f'{{"q0-de": {{"p0-de": {"1" * 5000}}}}}', "cannot be read: Exceeds the limit", None),
        ("a.json", "{", "not JSON", 1),
    ],
)
def test_a_broken_run_is_an_error(tmp_path: Path, name: str, text: str, problem: str, line: int | None) -> None:
    _, _, collection = parallel()
    (tmp_path / name).write_text(text)
    with pytest.raises(PanglotError, match=problem) as caught:
        evaluate_run(tmp_path / name, collection, draws=0)
    assert (caught.value.file, caught.value.line) == (tmp_path / name, line)
    assert caught.value.hint


def test_json_and_predictions_of_mteb_are_read(tmp_path: Path) -> None:
    questions, passages, collection = parallel()
    found = evaluate(Table("made", questions, passages, collection), collection, draws=0)
    run = trec_run(found.measured["made"].ranks, collection)
    forms: list[Any] = [run, {"mteb_model_meta": {"model_name": "x", "revision": None}, "default": {"test": run}}]
    for form in forms:
        (tmp_path / "scores.json").write_text(json.dumps(form))
        again = evaluate_run(tmp_path / "scores.json", collection, draws=0)
        assert again.figures["model"]["name"] == "scores"
        assert again.measured["made"].figures["multilingual"] == found.measured["made"].figures["multilingual"]


def test_the_command_measures_a_run(tmp_path: Path) -> None:
    questions, passages, collection = parallel(groups=20)
    collection.save(tmp_path / "made")
    found = evaluate(Table("made", questions, passages, collection), collection, draws=0, trec_run=tmp_path / "a.run")
    arguments = ["--run", str(tmp_path / "a.run"), str(tmp_path / "made"), "--draws", "5", "--languages", "de,zh"]
    done = CliRunner().invoke(evaluate_command, [*arguments, "--json", "-"], catch_exceptions=False)
    figures = json.loads(done.stdout)["datasets"]["made"]
    assert figures["languages"] == ["de", "zh"]
    part = collection.select(["de", "zh"])
    kept = [vectors[np.isin(table["language"].to_pylist(), ["de", "zh"])]
            for vectors, table in ((questions, collection.questions), (passages, collection.passages))]  # fmt: skip
    expected = evaluate(Table("made", kept[0], kept[1], part), part, draws=0).figures["datasets"]["made"]
    assert figures["multilingual"]["mAP"] == pytest.approx(expected["multilingual"]["mAP"])
    assert figures["monolingual"]["mAP"] == pytest.approx(found.measured["made"].figures["monolingual"]["mAP"], abs=0.2)
    shown = CliRunner().invoke(evaluate_command, [*arguments, "--report", str(tmp_path / "a.html")])
    assert shown.exit_code == 0, shown.exception
    assert "mAP" in shown.stdout
    both = CliRunner().invoke(evaluate_command, ["bundled", *arguments])
    assert isinstance(both.exception, PanglotError)
    assert CliRunner().invoke(evaluate_command, []).exit_code == 2


class Prefers:
    """A cross-encoder for which a passage in the question's language is better than any other."""

    name = fingerprint = "prefers"

    def scores(self, query: str, documents: Sequence[str]) -> Doubles:
        return np.array([float(query.rsplit(maxsplit=1)[-1] == each.split()[-1]) for each in documents])


@pytest.mark.parametrize("depth", [3, 12, 60])
def test_a_cross_encoder_reorders_the_first_of_each_pool(depth: int, cross_encoder: Path) -> None:
    """Rank every pool in the plainest way, reorder its first passages, and find the relevant ones there."""
    questions, passages, collection = parallel(groups=6)
    scorer = Reranker(cross_encoder)
    before = rank(questions, passages, collection)
    after, pairs = rerank(before, questions, passages, collection, scorer, depth)
    texts, ids = collection.passages["text"].to_pylist(), collection.passages["id"].to_pylist()
    asked, language = collection.questions["text"].to_pylist(), collection.passage_language
    products = (questions.astype(np.float64) @ passages.astype(np.float64).T).astype(np.float32)
    scores = [scorer.scores(question, texts) for question in asked]

    def reordered(row: int, pool: Sequence[int]) -> list[int]:
        order = sorted(pool, key=lambda each: (-products[row, each], ids[each]))
        return sorted(order[:depth], key=lambda each: -scores[row][each]) + order[depth:]

    for pair, (row, passage) in enumerate(zip(after.question.tolist(), after.passage.tolist(), strict=True)):
        own = np.flatnonzero(language == language[passage]).tolist()
        assert after.rank_in_language[pair] == reordered(row, own).index(passage) + 1
        assert after.rank_in_pool[pair] == reordered(row, range(len(texts))).index(passage) + 1
    for row in range(len(asked)):
        assert after.top[row, :depth].tolist() == reordered(row, range(len(texts)))[:depth]
    assert (after.rank_in_pool != before.rank_in_pool).any()
    # A pool of one language is scored only if a relevant passage is among its first.
    assert len(asked) * depth <= pairs <= len(asked) * len(texts)


def test_equal_scores_of_a_cross_encoder_change_nothing() -> None:
    questions, passages, collection = parallel(groups=6)
    before = rank(questions, passages, collection)
    same = Prefers()
    same.scores = lambda _query, documents: np.zeros(len(documents))  # type: ignore[method-assign]
    after, _ = rerank(before, questions, passages, collection, same)
    for name in ("rank_in_pool", "rank_in_language", "top"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    same.scores = lambda _query, documents: np.full(len(documents), np.nan)  # type: ignore[method-assign]
    with pytest.raises(PanglotError, match="not a finite number"):
        rerank(before, questions, passages, collection, same)


def test_the_preference_of_a_cross_encoder_is_seen_beside_that_of_the_model() -> None:
    questions, passages, collection = parallel(groups=20)
    encoder = Table("model", questions, passages, collection)
    found = compare([encoder], test=collection, reranker=Prefers(), draws=50, permutations=200)
    assert found.figures["models"] == ["model", "model + prefers"]
    evaluations = found.figures["evaluations"]
    before, after = (evaluations[name]["datasets"]["made"] for name in found.figures["models"])
    assert before == evaluate(encoder, collection, draws=50).figures["datasets"]["made"] | {
        "seconds": before["seconds"]
    }
    assert after["multilingual"]["self_preference@10"] == 3  # all of the first ten, and a third of the pool
    assert before["multilingual"]["self_preference@10"] < 2
    assert after["multilingual"]["rank_distance"] > before["multilingual"]["rank_distance"]
    # Within a language, its scores are equal.
    assert after["monolingual"] == before["monolingual"]
    change = found.figures["datasets"]["made"]["multilingual.self_preference@10"]["differences"][0]
    assert change["interval"][0] <= change["difference"] <= change["interval"][1] < 0
    assert after["reranked"]["depth"] == 50
    assert after["geometry"] is None
    assert {"what": "geometry", "why": "a cross-encoder has no vectors"} in after["not_measured"]


def test_the_command_measures_a_cross_encoder(tmp_path: Path, cross_encoder: Path) -> None:
    questions, passages, collection = parallel(groups=8)
    collection.save(tmp_path / "made")
    asked, given = (np.array(table["id"].to_pylist()) for table in (collection.questions, collection.passages))
    np.savez(tmp_path / "v.npz", questions=questions, passages=passages, question_ids=asked, passage_ids=given)
    arguments = [f"vectors:{tmp_path / 'v.npz'}", str(tmp_path / "made"), "--draws", "20"]
    arguments += ["--reranker", str(cross_encoder)]
    files = {name: str(tmp_path / name) for name in ("f.json", "f.html", "misses.jsonl")}
    more = [
        "--rerank-depth",
        "5",
        "--json",
        files["f.json"],
        "--report",
        files["f.html"],
        "--misses",
        files["misses.jsonl"],
    ]
    done = CliRunner().invoke(evaluate_command, arguments + more, catch_exceptions=False)
    assert done.exit_code == 0
    figures = json.loads(Path(files["f.json"]).read_text("utf-8"))
    second = figures["models"][1]
    assert second == f"{figures['models'][0]} + {cross_encoder.name}"
    assert figures["settings"]["rerank_depth"] == 5
    after = figures["evaluations"][second]["datasets"]["made"]
    assert after["reranked"] == {"depth": 5, "pairs": after["reranked"]["pairs"]}
    wrong = 1 - after["multilingual"]["R@1"] * 3  # each question has three relevant passages
    assert len(Path(files["misses.jsonl"]).read_text("utf-8").splitlines()) == round(wrong * 24)
    assert cross_encoder.name in Path(files["f.html"]).read_text("utf-8")
    for option in (["--robust"], ["--trec-depth", "5"], ["--trec-run", str(tmp_path / "x.run")]):
        with pytest.raises(PanglotError, match="of the model alone"):
            CliRunner().invoke(evaluate_command, arguments + option, catch_exceptions=False)
    for option, needed in (("--trec-depth", "--trec-run"), ("--rerank-depth", "--reranker")):
        with pytest.raises(PanglotError, match=f"{option} does nothing without {needed}"):
            CliRunner().invoke(evaluate_command, ["bundled", "xquad-r", option, "5"], catch_exceptions=False)
