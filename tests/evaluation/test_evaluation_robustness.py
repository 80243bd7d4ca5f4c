"""Changed questions, and what they cost an encoder of letter trigrams."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.augment.lexicons import Lexicon
from panglot.cli.evaluate import evaluate_command
from panglot.data.collection import Collection, Text
from panglot.evaluation.evaluate import evaluate
from panglot.evaluation.figures import SETTINGS
from panglot.evaluation.robustness import cut, mixed, typos
from panglot.report import to_html, to_markdown

from .made import unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from panglot.encoders.protocol import Side, Vectors

WORDS = {
    "en": ["river", "mountain", "village", "bridge", "winter", "summer", "captain", "harbour", "castle", "island",
           "forest", "market"],
    "de": ["Fluss", "Gebirge", "Dorf", "Brücke", "Eis", "Sommer", "Kapitän", "Hafen", "Schloss", "Insel", "Wälder",
           "Markt"],
    "zh": [chr(0x4E00 + 37 * row) + chr(0x5000 + 53 * row) for row in range(12)],
}  # fmt: skip


class Trigrams:
    """Counts of letter trigrams, in 256 cells."""

    name, fingerprint = "trigrams", "trigrams-1"

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        del side, ids
        counts = np.full((len(texts), 256), 1e-3)
        for row, text in enumerate(texts):
            for place in range(len(text)):
                counts[row, zlib.crc32(text[place : place + 3].encode()) % 256] += 1
        return unit(counts)


def collection() -> Collection:
    generator = np.random.default_rng(0)
    questions, passages, judged = list[Text](), list[Text](), list[tuple[str, str, int]]()
    for group in range(60):
        chosen = generator.integers(0, 12, 5)
        for code, words in WORDS.items():
            found = [words[row] for row in chosen]
            questions.append(Text(f"q{group}-{code}", code, f"q{group}", " ".join(found[1:4])))
            passages.append(Text(f"p{group}-{code}", code, f"p{group}", " ".join(found)))
            judged += [(f"q{group}-{code}", f"p{group}-{other}", 1) for other in WORDS]
    return Collection.build("made", questions, passages, judged)


@pytest.mark.parametrize(
    "text", ["Where does Lake Saimaa lie?", "東京はどこにありますか", "मुंबई कहाँ स्थित है और क्यों", "to be or"]
)
def test_typos_swap_neighbours_in_words(text: str) -> None:
    seen = {typos(text, "en", seed) for seed in range(50)}
    assert typos(text, "en", 3) == typos(text, "en", 3)
    for changed in seen:
        assert sorted(changed) == sorted(text)
        for before, after in zip(text.split(" "), changed.split(" "), strict=True):
            assert before[0] == after[0]
            assert before == after or len(before) > 2
    assert (text in seen) == (text == "to be or")


def test_cut_keeps_two_thirds_of_the_letters_with_their_marks() -> None:
    assert cut("abcdefghi", "en", 0) == "abcdef"
    assert cut("a", "en", 0) == "a"
    hindi = "कहाँ है"
    assert hindi.startswith(cut(hindi, "hi", 0))
    assert cut("e\u0301" * 3, "fr", 0) == "e\u0301" * 2


def test_only_english_questions_are_mixed() -> None:
    lexicon = Lexicon.of({"fi": {"lake": "järvi"}})
    asked = "Where is lake lake lake lake lake lake?"
    changed = mixed(asked, "en", 0, lexicon=lexicon)
    assert 0 < changed.count("järvi") < 6
    assert changed.replace("järvi", "lake") == asked
    assert mixed(asked, "de", 0, lexicon=lexicon) == asked


def test_the_loss_is_that_of_asking_the_changed_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside an evaluation of the changed questions alone. Chinese has no capitals, and its words are too short."""
    monkeypatch.delenv("PANGLOT_DATA", raising=False)
    made = collection()
    found = evaluate(Trigrams(), made, robust=True, draws=200, data_dir=tmp_path).figures["datasets"]["made"]
    latin = made.select(["de", "en"]).questions.num_rows
    assert {name: each["questions"] for name, each in found["robustness"].items()} == {
        "lower": 60, "capitals": latin, "typos": latin, "cut": 180,
    }  # fmt: skip
    texts = made.questions["text"].to_pylist()
    for name, change in (("capitals", str.upper), ("cut", lambda text: cut(text, "", 0))):
        asked = np.array([change(text) != text for text in texts])
        table = made.questions.set_column(3, "text", [[change(text) for text in texts]])
        kept = [each.keep(asked, np.ones(len(texts), bool)) for each in (made, replace(made, questions=table))]
        sides = [evaluate(Trigrams(), each, draws=0).figures["datasets"]["made"] for each in kept]
        for key in ("monolingual", "multilingual", "rank_distance"):
            before, after = (
                side["multilingual"][key] if key == "rank_distance" else side[key]["mAP"] for side in sides
            )
            entry = found["robustness"][name][key]
            assert (entry["before"], entry["after"]) == pytest.approx((before, after))
            low, high = entry["interval"]
            assert low < entry["difference"] < high
            assert entry["difference"] == pytest.approx(after - before)
    assert found["robustness"]["capitals"]["monolingual"]["difference"] < -0.2
    assert {"questions in mixed languages"} == {each["what"] for each in found["not_measured"]}


def test_one_question_group_has_no_interval() -> None:
    made = collection()
    first = np.array([group == "q0" for group in made.questions["group"].to_pylist()])
    alone = made.keep(first, np.ones(made.passages.num_rows, bool))
    found = evaluate(Trigrams(), alone, robust=True, draws=50).figures
    entry = found["datasets"]["made"]["robustness"]["capitals"]
    assert all(entry[key]["interval"] is None for key in (*SETTINGS, "rank_distance"))
    assert not any("[" in line for line in to_markdown(found).splitlines() if "| capitals" in line)


def test_reports_have_a_row_for_each_change() -> None:
    figures = evaluate(Trigrams(), collection(), robust=True, draws=20).figures
    markdown, page = to_markdown(figures), to_html(figures)
    entry = figures["datasets"]["made"]["robustness"]["typos"]["monolingual"]
    shown = f"−{-entry['difference']:.3f}".replace("0.", ".")
    assert any("typos" in line and "120" in line and shown in line for line in markdown.splitlines())
    assert "Robustness" in page
    assert shown in page
    without: dict[str, Any] = {**figures, "datasets": {"made": {**figures["datasets"]["made"], "robustness": {}}}}
    assert "Robustness" not in to_markdown(without) + to_html(without)


def test_the_command_asks_again(tmp_path: Path) -> None:
    made = collection()
    made.save(tmp_path / "made")
    questions, passages = made.questions.to_pydict(), made.passages.to_pydict()
    np.savez(
        tmp_path / "v.npz",
        questions=Trigrams().encode(questions["text"], "question"), question_ids=np.array(questions["id"]),
        passages=Trigrams().encode(passages["text"], "passage"), passage_ids=np.array(passages["id"]),
    )  # fmt: skip
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"q0-en": {"p0-en": 1.0}}), "utf-8")
    for arguments, problem in (
        ([f"vectors:{tmp_path / 'v.npz'}", str(tmp_path / "made")], "none of changed ones"),
        (["--run", str(run), str(tmp_path / "made")], "--robust does nothing for a run"),
    ):
        done = CliRunner().invoke(evaluate_command, [*arguments, "--robust", "--draws", "0"])
        assert isinstance(done.exception, PanglotError)
        assert problem in str(done.exception)
