"""Reading figures: what is there, what is missing, which lead is real."""

from __future__ import annotations

import pytest
import sample_figures
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.report import to_html, to_markdown
from panglot.report.contents import missing, summary, verdicts
from panglot.report.dataset_tables import differences
from panglot.report.evaluations import Dataset, Results, matrix, mean_by_passage, mean_by_question, read_results
from panglot.report.labels import bias_measures, format_number, format_p, percent, retrieval_measures
from panglot.report.tables import around, ticks


def only(results: Results) -> Dataset:
    (dataset,) = results.datasets
    return dataset


def test_an_evaluation_and_a_comparison_are_read_into_one_shape() -> None:
    one, many = read_results(sample_figures.figures()), read_results(sample_figures.comparison())
    assert one.models == ("bundled",)
    assert not one.compared
    assert many.models == tuple(sample_figures.KINDS)
    assert many.compared
    for results in (one, many):
        names = [(c.setting, c.measure.key) for c in only(results).headline]
        assert names[:3] == [(s, "mAP") for s in ("monolingual", "crosslingual", "multilingual")]
        assert names[3] == ("multilingual", "rank_distance")
    mono = only(many).headline[0].estimates["runs/hybrid"]
    assert (mono.value, mono.interval) == (0.809, (0.798, 0.82))


def test_reports_say_what_p_is_corrected_for() -> None:
    many = sample_figures.comparison()
    two = {**many, "models": many["models"][:2], "datasets": {"xquad-r": {
        name: {**found, "differences": found["differences"][:1]} for name, found in many["datasets"]["xquad-r"].items()
    }}}  # fmt: skip
    says = "p is corrected for the pairs of models, not for the measures"
    for figures, told, bold in ((many, says, "the others, corrected"), (two, "p is not corrected", "the other (p")):
        table = differences(only(read_results(figures)))
        assert table is not None
        assert table.title.startswith(f"Differences between models; {told}")
        assert table.title in to_markdown(figures)
        page = to_html(figures)
        assert table.title in page
        assert f"separates it from {bold}" in page.replace("&lt;", "<")


@pytest.mark.parametrize("given", [{}, {"datasets": None}, {"datasets": []}, {"evaluations": {}}])
def test_what_is_not_figures_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(PanglotError, match="not figures"):
        read_results(given)


def test_best_is_what_the_comparison_says_and_nothing_else() -> None:
    dataset = only(read_results(sample_figures.comparison()))
    assert [comparison.best for comparison in dataset.headline] == [None, None, "runs/hybrid", None]
    best, even = verdicts(dataset)
    assert best == "Best: runs/hybrid in Multilingual mAP."
    assert even.endswith("Monolingual mAP, Cross-lingual mAP, Rank distance.")


def test_a_best_model_without_a_value_is_not_believed() -> None:
    comparison = sample_figures.comparison()
    comparison["datasets"]["xquad-r"]["multilingual.mAP"]["best"] = "runs/unknown"
    assert only(read_results(comparison)).headline[2].best is None


def test_intervals_of_a_comparison_come_from_the_evaluations_where_it_has_none() -> None:
    comparison = sample_figures.comparison()
    for contest in comparison["datasets"]["xquad-r"].values():
        del contest["intervals"]
    found = only(read_results(comparison)).headline[0].estimates["bundled"]
    assert found.interval == (0.789, 0.811)


def test_a_setting_that_is_null_keeps_its_reason() -> None:
    dataset = only(read_results(sample_figures.not_parallel()))
    assert dataset.headline[1].estimates == {}
    assert dataset.why_not("crosslingual") == "no passage in another language answers a question"
    assert missing(dataset) == [
        "Cross-lingual not measured: no passage in another language answers a question.",
        "Rank distance not measured: a question has relevant passages in one language only.",
    ]
    assert matrix(dataset, "bundled") == {}


def test_a_reason_of_one_model_names_it() -> None:
    comparison = sample_figures.comparison()
    part = comparison["evaluations"]["runs/mono"]["datasets"]["xquad-r"]
    part["not_measured"] = [{"what": "geometry", "why": "no vectors"}]
    assert missing(only(read_results(comparison))) == ["Geometry not measured for runs/mono: no vectors."]


def test_intervals_over_few_question_groups_are_told() -> None:
    figures = sample_figures.figures()
    figures["datasets"]["xquad-r"]["groups"] = 19
    (sentence,) = missing(only(read_results(figures)))
    assert sentence.startswith("Intervals are too narrow with 19 question groups: of 95 % intervals over 10 groups,")
    figures["datasets"]["xquad-r"]["groups"] = 20
    assert missing(only(read_results(figures))) == []
    figures["datasets"]["xquad-r"]["groups"] = 19
    for setting in ("monolingual", "crosslingual", "multilingual"):
        del figures["datasets"]["xquad-r"][setting]["interval"]
    assert missing(only(read_results(figures))) == []


def test_questions_that_were_left_out_are_told() -> None:
    figures = sample_figures.figures()
    figures["datasets"]["xquad-r"]["monolingual"]["left_out"] = 12
    dataset = only(read_results(figures))
    assert missing(dataset) == ["Monolingual excludes 12 questions that have no relevant passage there."]
    assert "left_out" not in [measure.key for measure in dataset.retrieval()]


def test_without_map_the_first_measure_leads() -> None:
    figures = sample_figures.figures()
    part = figures["datasets"]["xquad-r"]
    for setting in ("monolingual", "crosslingual", "multilingual"):
        del part[setting]["mAP"]
    assert only(read_results(figures)).headline[0].measure.key == "MRR"


def test_reports_say_what_a_measure_means() -> None:
    figures = sample_figures.figures()
    meaning = "Mean average precision: how early all relevant passages come. 1 is perfect."
    found = only(read_results(figures)).headline[0]
    assert found.measure.key == "mAP"
    assert found.meaning.endswith(meaning)
    assert meaning in to_html(figures)


def test_the_matrix_has_monolingual_figures_on_its_diagonal_and_means_without_it() -> None:
    figures = sample_figures.figures()
    dataset = only(read_results(figures))
    cells = matrix(dataset, "bundled")
    mono = figures["datasets"]["xquad-r"]["monolingual"]["by_language"]
    assert all(cells[x][x] == mono[x]["mAP"] for x in sample_figures.POOL)
    others = [value for y, value in cells["th"].items() if y != "th"]
    assert mean_by_question(cells)["th"] == pytest.approx(sum(others) / 10)
    column = [row["th"] for x, row in cells.items() if x != "th"]
    assert mean_by_passage(cells)["th"] == pytest.approx(sum(column) / 10)


def test_measures_are_told_apart() -> None:
    keys = ["mAP", "R@10", "complete@100", "rank_distance", "complete@20", "pool_size", "PEER@20"]
    assert [m.key for m in bias_measures(keys)] == ["rank_distance", "complete@20", "complete@100", "PEER@20"]
    assert [m.key for m in retrieval_measures(keys)] == ["mAP", "R@10"]


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["score", "rank", "count", "percent", "times"]))
def test_every_number_can_be_formatted(value: float, kind: str) -> None:
    text = format_number(value, kind)  # pyright: ignore[reportArgumentType]
    assert text
    assert "-" not in text
    assert not text.startswith("−") or any(digit in text for digit in "123456789∞")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_scale_holds_its_values_and_its_ticks(values: list[float]) -> None:
    scale = around(values)
    assert scale.low - 1e-9 <= min(values)
    assert max(values) <= scale.high + 1e-9
    assert all(scale.low - 1e-9 <= at <= scale.high + 1e-9 for at in ticks(scale))
    assert len(ticks(scale)) <= 11


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_number(0.9996), ".9996"), (format_number(0.99996), ".99996"), (format_number(1 - 1e-12), "1.000"),
        (format_number(0.0004), ".0004"), (format_number(1e-12), ".000"), (format_number(0), ".000"),
        (format_number(-0.0003, sign=True), "−.0003"), (format_number(-1e-7, sign=True), ".000"),
        (format_number(-0.04, "rank", sign=True), "0.0"), (format_number(1e-7, sign=True), ".000"),
        (percent(0.996), "99.6%"), (percent(0.0004), "0.04%"), (percent(1), "100%"), (percent(1.004), "100.4%"),
        (format_p(0.0496), "< .050"), (format_p(0.0494), ".049"), (format_p(0.05), ".050"), (format_p(0.9996), ".9996"),
    ],
)  # fmt: skip
def test_nothing_looks_like_none_or_all_or_significant_that_is_not(shown: str, expected: str) -> None:
    assert shown == expected


def test_languages_without_passages_are_not_in_the_pool() -> None:
    figures = sample_figures.figures()
    found = figures["datasets"]["xquad-r"]
    assert f"With all {len(found['languages'])} languages in one pool" in summary(only(read_results(figures)))
    found["languages"] = [*found["languages"], "fi"]
    found["pool"] = {**found["pool"], "fi": 0}
    assert f"With all {len(found['languages']) - 1} languages in one pool" in summary(only(read_results(figures)))
