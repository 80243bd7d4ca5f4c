"""A suite of several forms: read from its file, held out of training, and scored as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.datasets.decontaminate import decontaminate
from panglot.datasets.suite import read_suite
from panglot.evaluation.bootstrap import PerQuestion
from panglot.evaluation.compare import scoreboard
from panglot.evaluation.evaluate import compare, evaluate

from .made import Table, unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _pages() -> Collection:
    """Twelve titles and pages in two languages, three of each document."""
    labels = [f"doc{number // 3}#{number}" for number in range(12)]
    titles = [Text(f"{x}:{label}", x, label, f"{x} title {label}") for x in ("de", "en") for label in labels]
    pages = [Text(f"{x}:{label}", x, label, f"{x} page {label} {label * 9}") for x in ("de", "en") for label in labels]
    pairs = [(f"{x}:{label}", f"{y}:{label}", 1) for label in labels for x in ("de", "en") for y in ("de", "en")]
    return Collection.build("pages", titles, pages, pairs)


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    _pages().save(tmp_path / "pages")
    file = tmp_path / "suite.toml"
    file.write_text(
        f"""
        seed = 3
        [forms.whole]
        on = ["{tmp_path}/pages"]
        languages = ["en"]
        [forms.held]
        on = ["{tmp_path}/pages"]
        share = 0.3
        together = '^[^#]+'
        """
    )
    return file


def test_forms_are_read_with_their_languages_and_whole_documents(suite_file: Path) -> None:
    found = read_suite(suite_file).read()
    assert list(found["whole"].languages) == ["en"]
    assert found["whole"].questions.num_rows == 12
    documents = {label.partition("#")[0] for label in found["held"].questions["group"].to_pylist()}
    # Three tenths of 24 questions are one document of three pages in two languages.
    assert len(documents) == 1
    assert found["held"].questions.num_rows == found["held"].passages.num_rows == 6
    assert {each.name for each in found.values()} == {"whole", "held"}


def test_another_seed_holds_out_another_part(suite_file: Path) -> None:
    suite = read_suite(suite_file)
    held = suite.forms[1]
    drawn = {tuple(replace(held, seed=seed).read().questions["group"].to_pylist()) for seed in range(8)}
    assert len(drawn) > 1


def test_training_leaves_out_what_a_suite_holds(suite_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(suite_file.parent / "cache"))
    file = suite_file.with_name("held.toml")
    file.write_text("seed = 3\n[forms.held]" + suite_file.read_text().partition("[forms.held]")[2])
    held = set(read_suite(file).read()["held"].questions["group"].to_pylist())
    for _ in range(2):  # The second time, what was found is remembered.
        left = decontaminate(_pages(), [str(file)])
        assert (
            set(left.collection.questions["group"].to_pylist()) == set(_pages().questions["group"].to_pylist()) - held
        )
        assert left.compared == ("held",)


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ("seed = 1", "forms", "needs forms"),
        ("[forms]\na = 1", "forms.a", "a table"),
        ("[forms.a]\non = []", "forms.a.on", "missing"),
        ('[forms.a]\non = "starter"\nshare = 0', "forms.a.share", "above 0 and at most 1 is expected, got 0"),
        ('[forms.a]\non = ["starter", "starter"]', "forms.a.on", "'starter' is listed twice"),
        ("forms = 3", "forms", "needs forms"),
        ('seed = "x"\n[forms.a]\non = "starter"', "seed", "whole number of 0 or more is expected, got 'x'"),
        ('[forms.a]\non = "starter"\nshare = nan', "forms.a.share", "got nan"),
        ('[forms.a]\non = "starter"\nlanguages = 3', "forms.a.languages", "a list of strings is expected, got 3"),
        ('[forms.a]\non = "starter"\ntogether = 3', "forms.a.together", "regular expression"),
        ('[forms.a]\non = "starter"\nrows = -1', "forms.a.rows", "whole number"),
        ('[forms.a]\non = "starter"\ntogether = "("', "forms.a.together", "regular expression"),
        ('[forms.a]\non = "starter"\nshares = 0.1', "forms.a", "'shares' is unknown"),
        ("form = 1", None, "'form' is unknown"),
        ('[forms.a]\non = "starter"\n[forms', None, "suite"),
    ],
)
def test_a_broken_suite_names_the_field(tmp_path: Path, text: str, field: str | None, problem: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(text)
    with pytest.raises(PanglotError, match=problem) as error:
        read_suite(file)
    assert error.value.field == field
    assert str(file) in str(error.value)


def _model(**forms: dict[str, list[float]]) -> dict[str, PerQuestion]:
    """A model with these values of mAP by form and setting, one question group each."""
    return {
        form: PerQuestion(
            np.arange(len(next(iter(by_setting.values())))),
            np.zeros(len(next(iter(by_setting.values()))), np.int64),
            ("en",),
            {f"{setting}.mAP": np.array(values) for setting, values in by_setting.items()},
        )
        for form, by_setting in forms.items()
    }


def test_forms_and_settings_weigh_equally_however_many_questions_they_have() -> None:
    start = _model(
        a={"monolingual": [0.8, 0.6], "multilingual": [0.1, 0.3]},
        b={"monolingual": [0.5] * 9},
    )
    better = _model(
        a={"monolingual": [0.7, 0.6], "multilingual": [0.5, 0.5]},
        b={"monolingual": [0.6] * 9},
    )
    found = scoreboard({"start": start, "better": better}, "mAP", draws=200, seed=0)
    assert found["forms"]["a"]["monolingual"] == pytest.approx({"start": 0.7, "better": 0.65})
    assert found["scores"]["start"]["score"] == pytest.approx(((0.7 + 0.2) / 2 + 0.5) / 2)
    assert found["scores"]["start"]["monolingual"] == pytest.approx(0.6)
    assert found["scores"]["better"]["score"] == pytest.approx(((0.65 + 0.5) / 2 + 0.6) / 2)
    change = found["differences"]["better"]
    assert change["score"] == pytest.approx(found["scores"]["better"]["score"] - found["scores"]["start"]["score"])
    assert change["lowest"]["form"] == "a"
    assert change["lowest"]["difference"] == pytest.approx(-0.05)
    # The groups of a are drawn in pairs: both, or twice the one with the change −.1, or twice the one with 0.
    assert change["lowest"]["interval"] == pytest.approx([-0.1, 0])
    assert change["to"] == "start"
    assert "start" not in found["differences"]


def test_the_pool_counts_as_within_a_language_where_no_other_language_has_answers() -> None:
    start = _model(
        own={"monolingual": [0.8], "multilingual": [0.8]},
        any={"monolingual": [0.8], "crosslingual": [0.6], "multilingual": [0.3]},
    )
    other = _model(
        own={"monolingual": [0.9], "multilingual": [0.7]},
        any={"monolingual": [0.79], "crosslingual": [0.5], "multilingual": [0.1]},
    )
    change = scoreboard({"start": start, "other": other}, "mAP", draws=0, seed=0)["differences"]["other"]
    assert change["lowest"] == {
        "form": "own", "setting": "multilingual", "difference": pytest.approx(-0.1), "interval": None,
    }  # fmt: skip


def test_a_form_with_one_question_group_gives_no_interval() -> None:
    models = {name: _model(a={"monolingual": [value]}, b={"monolingual": [0.2, value]})
              for name, value in (("start", 0.4), ("other", 0.3))}  # fmt: skip
    found = scoreboard(models, "mAP", draws=100, seed=0)
    assert found["scores"]["start"]["interval"] is None
    assert found["differences"]["other"]["interval"] is None
    assert found["differences"]["other"]["lowest"]["interval"] is None
    wider = scoreboard({name: {"b": each["b"]} for name, each in models.items()}, "mAP", draws=100, seed=0)
    assert wider["scores"]["start"]["interval"] == pytest.approx([0.2, 0.4])


def test_without_draws_there_are_scores_without_intervals() -> None:
    found = scoreboard({"one": _model(a={"monolingual": [0.5, 1.0]})}, "mAP", draws=0, seed=0)
    assert found["scores"]["one"] == {"score": 0.75, "interval": None, "monolingual": 0.75}


def test_evaluate_and_compare_measure_a_suite(suite_file: Path) -> None:
    whole = _pages()
    vectors = unit(np.random.default_rng(0).standard_normal((24, 8)))
    encoder, other = (Table(name, vectors, vectors[::step], whole) for name, step in (("same", 1), ("turned", -1)))
    found = compare([encoder, other], test=str(suite_file), draws=20, permutations=50)
    (board,) = found.figures["suites"].values()
    assert list(board["forms"]) == ["whole", "held"]
    assert board["scores"]["same"]["monolingual"] == 1.0
    assert board["differences"]["turned"]["score"] < 0
    alone = evaluate(encoder, suite_file, draws=20)
    (own,) = alone.figures["suites"].values()
    assert own["scores"]["same"] == board["scores"]["same"]
    assert "suites" not in evaluate(encoder, whole, draws=0).figures


@pytest.mark.slow
def test_the_command_prints_one_table_for_the_suite(
    suite_file: Path, small_model: Path, succeeds: Callable[..., str]
) -> None:
    printed = succeeds("compare", small_model, "bundled", "--suite", suite_file, "--draws", "50",
                      "--permutations", "50", "--report", suite_file.parent / "r.html")  # fmt: skip
    assert "to model. Within a language, lowest in held: " in " ".join(printed.split())
    assert "score" in (suite_file.parent / "r.html").read_text()
