"""Retrieval tasks of mteb, with tasks made here in the layout that mteb loads its own into."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from mteb_made import made, split
from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.datasets.mteb_tasks import read_task
from panglot.datasets.registry import read

mteb = pytest.importorskip("mteb")

ENGLISH = {"lake": "Lake Saimaa lies in the south of Finland.", "hill": "The hill near the village has no name."}
GERMAN = {"lake": "Der Saimaa liegt im Süden von Finnland.", "hill": "Der Hügel beim Dorf hat keinen Namen."}
ASKED = {"en": {"q1": "Where does Lake Saimaa lie?", "q2": "What is the hill near the village called?"},
         "de": {"q1": "Wo liegt der Saimaa?", "q2": "Wie heißt der Hügel beim Dorf?"}}  # fmt: skip
TEXTS = {"en": ENGLISH, "de": GERMAN}
CODES = {"en": "eng-Latn", "de": "deu-Latn"}


def pairs() -> dict[str, dict[str, Any]]:
    """Every pair of languages, called by its question's language first. Each counts its passages from 0."""
    return {
        f"{x}-{y}": split(ASKED[x], {f"{n}": text for n, text in enumerate(TEXTS[y].values())},
                          {"q1": {"0": 2}, "q2": {"1": 1}})
        for x in ("en", "de") for y in ("en", "de")
    }  # fmt: skip


def texts(collection: Collection) -> dict[str, set[tuple[str, str]]]:
    """The texts that answer each question, with their languages."""
    found: dict[str, set[tuple[str, str]]] = {}
    for question, passage in zip(*(rows.tolist() for rows in collection.pairs), strict=True):
        asked, held = collection.questions.slice(question, 1), collection.passages.slice(passage, 1)
        entry = held["language"][0].as_py(), held["text"][0].as_py()
        found.setdefault(asked["text"][0].as_py(), set()).add(entry)
    return found


@pytest.mark.parametrize("swapped", [False, True])
def test_pairs_of_languages_become_one_parallel_collection(swapped: bool) -> None:
    """Whether a task names the question's language of a pair first or last, as MLQA does, is seen in its text."""
    order = {f"{x}-{y}": [CODES[y], CODES[x]] if swapped else [CODES[x], CODES[y]] for x in CODES for y in CODES}
    with pytest.warns(RuntimeWarning, match=r"questions of the subset (en-de are in en|de-en are in de)"):
        found = read_task(made(order, pairs())())
    assert (found.questions.num_rows, found.passages.num_rows, found.name) == (4, 4, "mteb:MadeRetrieval")
    both = {("en", ENGLISH["lake"]), ("de", GERMAN["lake"])}
    assert texts(found)["Wo liegt der Saimaa?"] == texts(found)["Where does Lake Saimaa lie?"] == both
    for table in (found.questions, found.passages):
        rows = table.to_pylist()
        groups = {row["group"]: {each["language"] for each in rows if each["group"] == row["group"]} for row in rows}
        assert list(groups.values()) == [{"de", "en"}] * 2
        assert all(groups)
    assert sorted(found.qrels["relevance"].to_pylist()) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert (found.metadata["licence"], found.metadata["test_only"]) == ("cc0-1.0", "yes")


def test_equal_ids_of_languages_without_pairs_mean_nothing() -> None:
    """As in MIRACL, where each language counts its own questions and passages from 0."""
    data = {code: split(ASKED[code], TEXTS[code], {"q1": {"lake": 1}}) for code in CODES}
    found = read_task(made({code: [CODES[code]] for code in CODES}, data)())
    # Questions that nobody judged are no questions of the task.
    assert found.questions["id"].to_pylist() == ["en/q1", "de/q1"]
    assert found.passages["id"].to_pylist() == ["en/lake", "en/hill", "de/lake", "de/hill"]
    assert set(found.questions["group"].to_pylist()) | set(found.passages["group"].to_pylist()) == {""}
    assert texts(found)["Wo liegt der Saimaa?"] == {("de", GERMAN["lake"])}


def test_titles_instructions_repeats_and_judgements_without_a_passage() -> None:
    from datasets import Dataset

    corpus = Dataset.from_list([
        {"id": "a", "title": "Saimaa", "text": "A lake."}, {"id": "b", "title": "", "text": " Saimaa A lake."},
        {"id": "c", "title": None, "text": "A hill."},
    ])  # fmt: skip
    queries = Dataset.from_list([{"id": "q", "text": "Where?", "instruction": "Name a place."}])
    data = split({}, {}, {"q": {"a": 1, "gone": 1}}, corpus=corpus, queries=queries)
    with pytest.warns(RuntimeWarning, match="1 judgements name a passage that is not in the corpus"):
        found = read_task(made(["eng-Latn"], {"default": data})())
    assert found.questions["text"].to_pylist() == ["Where? Name a place."]
    assert found.passages["text"].to_pylist() == ["Saimaa A lake.", "Saimaa A lake.", "A hill."]
    # The ids of a task with one subset stay, so that runs of other systems fit.
    assert found.passages["id"].to_pylist() == ["a", "b", "c"]
    assert found.pairs[1].tolist() == [0]


def test_names_languages_and_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {code: split(ASKED[code], TEXTS[code], {"q1": {"lake": 1}}) for code in CODES}
    kind = made({code: [CODES[code]] for code in CODES}, data)
    monkeypatch.setitem(import_module("mteb.get_tasks")._TASKS_REGISTRY, "MadeRetrieval", kind)
    assert read("mteb:MadeRetrieval").languages == ("de", "en")
    assert read("mteb:MadeRetrieval:test", languages=["de"]).passages["id"].to_pylist() == ["lake", "hill"]
    for name, languages, problem in (
        ("mteb:MadeRetrival", None, "mteb has no task 'MadeRetrival'. Fix: Did you mean: 'MadeRetrieval'"),
        ("mteb:MadeRetrieval:dev", None, "does not measure the split 'dev'"),
        ("mteb:MadeRetrieval", ["fi"], "no subset of mteb:MadeRetrieval is in these languages"),
        ("mteb:STS22.v2", None, "of type STS"),
    ):
        with pytest.raises(PanglotError, match=problem):
            read(name, languages=languages)


def test_what_cannot_be_read_is_refused() -> None:
    given = split(ASKED["en"], ENGLISH, {"q1": {"lake": 1}}, top_ranked={"q1": ["hill", "lake"]})
    with pytest.raises(PanglotError, match="ranks a few given passages"):
        read_task(made(["eng-Latn"], {"default": given})())
    mixed = split(ASKED["en"], ENGLISH, {"q1": {"lake": 1}})
    three = ["eng-Latn", "deu-Latn", "fra-Latn"]
    with pytest.raises(PanglotError, match="default have several languages each"):
        read_task(made(three, {"default": mixed})())
    with pytest.warns(RuntimeWarning, match="without the subsets that mixed have several languages"):
        found = read_task(made({"en": three[:1], "mixed": three}, {"en": mixed, "mixed": mixed})())
    assert found.passages["id"].to_pylist() == ["lake", "hill"]
    silent = split({"q": "1?"}, {"p": "2"}, {"q": {"p": 1}})
    with pytest.raises(PanglotError, match="show which languages are those of the questions"):
        read_task(made({"x": [CODES["en"], CODES["de"]]}, {"x": silent})())


@pytest.mark.filterwarnings("ignore:mteb.MadeRetrieval. mteb does not say")
def test_the_command_measures_a_task(monkeypatch: pytest.MonkeyPatch, small_model: Any) -> None:
    from panglot.cli.evaluate import evaluate_command

    order = {f"{x}-{y}": [CODES[x], CODES[y]] for x in CODES for y in CODES}
    monkeypatch.setitem(import_module("mteb.get_tasks")._TASKS_REGISTRY, "MadeRetrieval", made(order, pairs()))
    arguments = [str(small_model), "mteb:MadeRetrieval", "--draws", "0", "--json", "-"]
    done = CliRunner().invoke(evaluate_command, arguments, catch_exceptions=False)
    found = json.loads(done.stdout)["datasets"]["mteb:MadeRetrieval"]
    assert found["pool"] == {"de": 2, "en": 2}
    assert found["multilingual"]["rank_distance"] is not None
