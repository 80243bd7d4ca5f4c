"""Tasks of mteb itself load their data from files in the layout of their repositories, and are measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from panglot.cli.evaluate import evaluate_command
from panglot.datasets.registry import read

pytest.importorskip("mteb")
Rows = list[dict[str, Any]]

PASSAGES = {
    "eng_Latn": ("Lake Saimaa lies in the south of Finland.", "The hill near the village has no name."),
    "deu_Latn": ("Der Saimaa liegt im Süden von Finnland.", "Der Hügel beim Dorf hat keinen Namen."),
}
QUESTIONS = {
    "eng_Latn": ("Where does Lake Saimaa lie?", "In which country is the lake?", "What is the hill near it called?"),
    "deu_Latn": ("Wo liegt der See Saimaa?", "In welchem Land ist der See?", "Wie heißt der Hügel in der Nähe?"),
}
ABOUT = (0, 0, 1)  # The passage of each question. Belebele asks up to two questions about a passage.


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take repositories from folders below the current one, which `datasets` looks at before it asks the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


def repository(name: str, configs: dict[str, dict[str, Rows]], pattern: str) -> None:
    """Write a repository: a README.md with its configurations, and a file of JSON lines for each split."""
    head = ["---", "configs:"]
    for config, splits in configs.items():
        head += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            file = Path(name) / pattern.format(config=config, split=split)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
            head += [f"  - split: {split}", f"    path: {file.relative_to(name)}"]
    (Path(name) / "README.md").write_text("\n".join([*head, "---", ""]), "utf-8")


@pytest.mark.filterwarnings("ignore:mteb.BelebeleRetrieval. mteb does not say")
def test_belebele_is_measured_by_its_name(small_model: Any) -> None:
    configs = {
        code: {"test": [
            {
                "link": f"https://example.org/{about}", "question_number": number,
                "flores_passage": PASSAGES[code][about], "question": question, "correct_answer_num": "1",
                **{f"mc_answer{each}": "…" for each in range(1, 5)},
                "dialect": code, "ds": "2023-05-03",
            }
            for number, (question, about) in enumerate(zip(QUESTIONS[code], ABOUT, strict=True))
        ]}
        for code in PASSAGES
    }  # fmt: skip
    repository("mteb/belebele", configs, "data/{config}.jsonl")
    arguments = [small_model, "mteb:BelebeleRetrieval", "--languages", "de,en", "--draws", "0", "--json", "-"]
    done = CliRunner().invoke(evaluate_command, list(map(str, arguments)), catch_exceptions=False)
    found = json.loads(done.stdout)["datasets"]["mteb:BelebeleRetrieval"]
    assert found["pool"] == {"de": 2, "en": 2}
    assert found["multilingual"]["rank_distance"] is not None
    read_again = read("mteb:BelebeleRetrieval", languages=["de", "en"])
    assert sorted(read_again.passages["text"].to_pylist()) == sorted(
        text for both in PASSAGES.values() for text in both
    )
    assert read_again.questions.num_rows == 6
    # Every question is answered in both languages.
    assert len(read_again.pairs[0]) == 12
    assert read_again.metadata["test_only"] == "yes"


def test_mlqa_is_read_from_the_layout_of_most_tasks() -> None:
    codes = {"eng_Latn": "eng", "deu_Latn": "deu"}
    configs: dict[str, dict[str, Rows]] = {}
    for asked, first in codes.items():
        for held, second in codes.items():
            questions = [{"_id": f"q{at}", "text": text} for at, text in enumerate(QUESTIONS[asked])]
            corpus = [{"_id": f"p{at}", "text": text, "title": ""} for at, text in enumerate(PASSAGES[held])]
            judged = [{"query-id": f"q{at}", "corpus-id": f"p{about}", "score": 1} for at, about in enumerate(ABOUT)]
            for kind, rows in (("queries", questions), ("corpus", corpus), ("qrels", judged)):
                configs[f"{first}-{second}-{kind}"] = dict.fromkeys(("validation", "test"), rows)
    repository("mteb/MLQARetrieval", configs, "{config}/{split}.jsonl")
    with pytest.warns(RuntimeWarning, match="mteb does not say which side is in which language"):
        found = read("mteb:MLQARetrieval:validation", languages=["de", "en"])
    assert (found.questions.num_rows, found.passages.num_rows, len(found.pairs[0])) == (6, 4, 12)
    assert found.metadata["part"] == "validation"
    groups = found.passages["group"].to_pylist()
    assert len(set(groups)) == 2
    assert all(groups)
