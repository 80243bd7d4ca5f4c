"""``panglot probe``, from the question to the file of pairs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

import panglot
from panglot._errors import PanglotError
from panglot.batching import TrainingTable
from panglot.cli.diagnose import probe_command
from panglot.probe import probe

from .made import Hashed, crossed, save_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Encoder, Side, Vectors

WEAK = {("th", 2), ("th", 5), ("de", 5), ("en", 6), ("th", 6), ("en", 7)}


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """Vectors and a collection in which th is weak in 2 and 5, de in 5, and English itself fails in 6 and 7."""
    questions, passages, collection = crossed(weak=WEAK)
    collection.save(tmp_path / "crossed")
    return save_vectors(str(tmp_path / "made.npz"), questions, passages, collection), str(tmp_path / "crossed")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(probe_command, [str(a) for a in arguments], catch_exceptions=False)


def test_the_known_weak_pairs_are_found(places: tuple[str, str]) -> None:
    found = json.loads(run(*places, "--k", 1, "--json", "-").stdout)
    assert {(pair["language"], pair["group"]) for pair in found["weak"]} == {("th", "g2"), ("th", "g5"), ("de", "g5")}
    th = found["languages"]["th"]
    assert (th["asked_in_both"], th["answered_in_english"], th["only_in_english"]) == (8, 6, 2)
    assert (th["only_in_the_other"], th["answered_in_both"]) == (1, 4)
    assert found["by"]["language"]["th"]["weak"] == 2
    assert found["by"]["all"]["all"]["questions"] == 12
    first = next(pair for pair in found["weak"] if (pair["group"], pair["language"]) == ("g5", "th"))
    assert first["passage"] == "It is 5 said in the th."
    assert first["instead"] == {"language": "th", "text": "It is 6 said in the th."}
    assert (first["rank_in_english"], first["rank"] > 1, first["margin"]) == (1, True, -1.0)
    assert {each["what"] for each in found["not_measured"]} == {"tokens per word", "changes"}
    assert found["search"] is None


def test_one_language_and_a_larger_k(places: tuple[str, str]) -> None:
    found = json.loads(run(*places, "--language", "tha", "--k", 1, "--json", "-").stdout)
    assert {pair["language"] for pair in found["weak"]} == {"th"}
    # Among scores of 0 the id decides: g5's passage comes after g6's and those of g0 to g4.
    assert json.loads(run(*places, "--k", 7, "--json", "-").stdout)["weak"] == []


def test_the_pairs_are_a_training_source(places: tuple[str, str], tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    done = run(*places, "--k", 1, "--output", output)
    assert "Weak by language" in done.stdout
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [(row["group"], row["language"]) for row in rows] == [
        ("g5", "en"), ("g5", "de"), ("g5", "th"), ("g2", "en"), ("g2", "th"),
    ]  # fmt: skip
    collection = panglot.read(output)
    assert collection.languages == ("de", "en", "th")
    trainable = TrainingTable.from_collection(collection)
    assert trainable.rows == 2
    assert (trainable.question >= 0).sum() == len(rows)


def test_no_weak_pair_is_said_and_leaves_an_empty_file(places: tuple[str, str], tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    output.write_text("of an earlier run")
    done = run(*places, "--k", 7, "--output", output)
    assert done.exit_code == 0
    assert "No weak pair" in done.stdout
    assert output.read_text() == ""


def test_a_test_set_says_so(places: tuple[str, str], tmp_path: Path) -> None:
    questions, passages, collection = crossed(weak=WEAK)
    held = panglot.Collection("held", collection.questions, collection.passages, collection.qrels, {"test_only": "yes"})
    held.save(tmp_path / "held")
    del questions, passages
    done = run(places[0], tmp_path / "held", "--k", 1, "--output", tmp_path / "pairs.jsonl")
    assert "never train on them" in done.stderr
    assert json.loads((tmp_path / "pairs.jsonl").read_text("utf-8").splitlines()[0])["test_only"] == "yes"


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--language", "fr"), "has no fr"), (("--k", 8), "pool of 8"), (("--language", "en"), "compared with")],
)
def test_what_cannot_be_is_a_panglot_error(places: tuple[str, str], options: tuple[object, ...], says: str) -> None:
    with pytest.raises(PanglotError, match=says):
        run(*places, *options)


def test_sets_that_are_not_parallel_say_so(data_dir: Path) -> None:
    with pytest.raises(PanglotError, match="is not parallel"):
        probe(Hashed(), "tydiqa-goldp", languages=["fi", "sw"], data_dir=data_dir)


def found_by(encoder: Hashed, **options: Any) -> Any:
    collection = crossed(groups=30, languages=("en", "de"))[2]
    return probe(encoder, collection, k=3, limit=6, lexicons={}, **options).figures


def test_the_search_keeps_to_its_budget_and_repeats(tmp_path: Path) -> None:
    encoder = Hashed()
    found = found_by(encoder, budget=150, start="random")
    search = found["search"]
    assert 0 < search["texts"] <= search["texts_at_most"] <= 150
    assert search["questions"] < search["questions_wanted"] == 6
    collection = crossed(groups=30, languages=("en", "de"))[2]
    given = {*collection.questions["text"].to_pylist(), *collection.passages["text"].to_pylist()}
    assert len(encoder.asked - given) == search["texts"]
    assert found_by(Hashed(), budget=150, start="random")["search"] == search
    assert found_by(Hashed(), budget=150, start="random", seed=1)["search"] != search
    assert found_by(Hashed(), budget=0)["search"]["questions"] == 0
    assert found_by(Hashed(), depth=0)["search"] is None
    del tmp_path


class Aware(Hashed):
    """An encoder that moves the vectors of each language, as a correction does."""

    by_language = True

    def __init__(self) -> None:
        super().__init__()
        self.base = Hashed()
        self.languages: dict[str, set[str]] = {}

    def over(self, base: Encoder) -> Aware:
        del base
        return self

    def encode(
        self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:  # fmt: skip
        assert languages is not None, "the language of a changed question must not be detected"
        for text, code in zip(texts, languages, strict=True):
            self.languages.setdefault(text, set()).add(code)
        moved = super().encode(texts, side, ids=ids) + 0.2 * np.array([self._word(code) for code in languages])
        return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def test_changed_questions_keep_the_language_of_their_question() -> None:
    encoder = Aware()
    found = found_by(encoder, budget=150, start="random")["search"]
    assert found["texts"]
    changed = {text: codes for text, codes in encoder.languages.items() if text.startswith(("what", "WHAT"))}
    assert {code for codes in changed.values() for code in codes} == {"en", "de"}
    assert all(codes == {"de" if " in de" in text.lower() else "en"} for text, codes in changed.items())


def test_what_the_search_reports_is_true(tmp_path: Path) -> None:
    encoder = Hashed()
    collection = crossed(groups=30, languages=("en", "de"))[2]
    result = probe(encoder, collection, k=3, limit=12, lexicons={"de": {"what": ("What",)}})
    made = [each for each in result.figures["search"]["found"] if each["weak"] and each["changes"]]
    assert made
    for language, question, passage, rank in (
        ("de", "question", "passage", "rank"), ("en", "question_in_english", "passage_in_english", "rank_in_english"),
    ):  # fmt: skip
        pool = [row["text"] for row in collection.passages.to_pylist() if row["language"] == language]
        for each in made:
            scores = encoder.encode(pool, "passage") @ encoder.encode([each[question]], "question")[0]
            assert 1 + int((scores > scores[pool.index(each[passage])] + 1e-6).sum()) == each[rank]
    result.write_pairs(tmp_path / "pairs.jsonl")
    back = panglot.read(tmp_path / "pairs.jsonl")
    assert {each["question"] for each in made} <= set(back.questions["text"].to_pylist())
    assert np.all(TrainingTable.from_collection(back).passage[:, back.languages.index("en")] >= 0)
    json.dumps(result.figures, allow_nan=False)


def test_a_real_model_on_real_text(tmp_path: Path) -> None:
    lines: list[str] = []
    result = probe(
        "bundled", "starter:test", languages=["sw"], k=1, limit=2, depth=1, distractors=1, budget=60, lexicons={},
        progress=lines.append,
    )  # fmt: skip
    figures = result.figures
    assert figures["languages"]["sw"]["asked_in_both"] == figures["languages"]["sw"]["pools"][0]
    assert "tokens per word" in figures["by"]
    assert figures["search"]["texts"] <= 60
    assert any("at most" in line for line in lines)
    result.write_pairs(tmp_path / "pairs.jsonl")
    assert len(figures["weak"]) + len(figures["search"]["found"]) > 0
    assert panglot.read(tmp_path / "pairs.jsonl").languages == ("en", "sw")


def test_the_effect_on_translations_of_one_question_has_no_interval() -> None:
    collection = crossed(groups=8)[2]
    first = np.array([group == "g0" for group in collection.questions["group"].to_pylist()])
    one = collection.keep(first, np.ones(collection.passages.num_rows, np.bool_))
    changes, many = (
        probe(Hashed(), each, k=7, start="random", lexicons={}, depth=1).figures["search"]["changes"]
        for each in (one, collection)
    )
    assert max(each["questions"] for each in changes.values()) == 2
    assert all(each["score_interval"] is None for each in changes.values())
    assert any(each["score_interval"] for each in many.values())
