"""Several models on the same questions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.evaluation.bootstrap import PerQuestion, holm
from panglot.evaluation.compare import compare_questions
from panglot.evaluation.evaluate import compare
from panglot.evaluation.figures import measure

from .made import Table, parallel, unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.evaluation.exact_scores import Doubles


def models(**noise: float) -> tuple[list[Table], object]:
    questions, passages, collection = parallel(groups=40, noise=0.3)
    generator = np.random.default_rng(7)
    return [
        Table(name, questions, unit(passages + much * generator.standard_normal(passages.shape)), collection)
        for name, much in noise.items()
    ], collection


def test_a_model_is_best_only_where_its_lead_is_real(tmp_path: Path) -> None:
    encoders, collection = models(good=0.0, bad=0.4)
    found = compare(encoders, test=collection, draws=200, permutations=2000)  # type: ignore[arg-type]
    assert repr(found).startswith("Comparison(Evaluation(")
    assert len(repr(found)) < 1000
    figures = found.figures["datasets"]["made"]
    clear = figures["multilingual.mAP"]
    assert clear["best"] == "good"
    (difference,) = clear["differences"]
    assert difference["difference"] == pytest.approx(clear["values"]["good"] - clear["values"]["bad"])
    assert difference["interval"][0] <= difference["difference"] <= difference["interval"][1]
    assert difference["p"] < 0.01
    assert figures["multilingual.rank_distance"]["best"] == "good"  # lower is better there
    assert (
        figures["multilingual.rank_distance"]["values"]["good"] < figures["multilingual.rank_distance"]["values"]["bad"]
    )
    assert figures["multilingual.self_preference@10"]["best"] is None  # a fact, not a comparison
    found.to_json(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["models"] == ["good", "bad"]
    assert set(found.figures["evaluations"]) == {"good", "bad"}


def test_equal_models_have_no_best_and_p_of_one() -> None:
    encoders, collection = models(a=0.0, b=0.0, c=1.0)
    found = compare(encoders, test=collection, draws=50, permutations=500)  # type: ignore[arg-type]
    contest = found.figures["datasets"]["made"]["monolingual.mAP"]
    assert contest["best"] is None
    assert contest["differences"][0] | {"interval": None} == {
        "a": "a", "b": "b", "difference": 0.0, "interval": None, "p": 1.0, "p_corrected": 1.0,
    }  # fmt: skip
    p = [each["p"] for each in contest["differences"]]
    # Against the third model, whose p-values are as small as 500 patterns allow, the correction is by 3 and by 2.
    assert p[1:] == [pytest.approx(1 / 501)] * 2
    assert [each["p_corrected"] for each in contest["differences"]] == holm(p) == [1.0, 3 * p[1], 3 * p[2]]


def questions_of(*values: Sequence[float] | Doubles, groups: Sequence[int] | None = None) -> list[PerQuestion]:
    """Models with these values of one figure, for questions in one language."""
    number = len(values[0])
    group = np.arange(number) if groups is None else np.array(groups)
    return [
        PerQuestion(group, np.zeros(number, np.int64), ("en",), {"monolingual.mAP": np.array(each)}) for each in values
    ]


def test_a_constant_lead_has_an_interval_of_no_width() -> None:
    """The interval of a difference is paired: both models see the same draws of questions."""
    one = np.linspace(0, 0.9, 10)
    a, b = questions_of(one + 0.1, one)
    (difference,) = compare_questions({"a": a, "b": b})["monolingual.mAP"]["differences"]
    assert difference["interval"] == pytest.approx([0.1, 0.1])


def test_translations_of_a_question_are_drawn_together_and_add_no_evidence() -> None:
    generator = np.random.default_rng(0)
    values = generator.random(20), generator.random(20)
    once = dict(zip("ab", questions_of(*values), strict=True))
    thrice = dict(zip("ab", questions_of(*(np.tile(each, 3) for each in values), groups=[*range(20)] * 3), strict=True))
    expected, found = (compare_questions(models)["monolingual.mAP"]["differences"][0] for models in (once, thrice))
    assert found["interval"] == pytest.approx(expected["interval"])
    assert found["p"] == expected["p"]


def test_a_figure_that_cannot_be_measured_is_no_contest() -> None:
    questions, passages, collection = parallel(languages=("en",))
    per_question = measure(questions, passages, collection, draws=0).per_question
    assert not [name for name in compare_questions({"a": per_question, "b": per_question}) if name.startswith("cross")]


def test_what_a_user_can_get_wrong() -> None:
    encoders, collection = models(a=0.0, b=0.0)
    with pytest.raises(PanglotError, match="expected two or more models, got 1"):
        compare(encoders[:1], test=collection)  # type: ignore[arg-type]
    with pytest.raises(PanglotError, match="two models have the name a"):
        compare([encoders[0], encoders[0]], test=collection, draws=0)  # type: ignore[arg-type]
