"""Which questions and pools are compared, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.probe.pools import ParallelQuestions, choose_languages

from .made import crossed


def uneven() -> Collection:
    """Three groups in both languages, one more question in English only, and a much larger pool in German."""
    texts = [Text(f"p{g}-{x}", x, f"p{g}", f"text {g} {x}") for x in ("en", "de") for g in (2, 1, 0)]
    texts += [Text(f"extra{g}", "de", f"extra{g}", f"nur {g}") for g in range(20)]
    questions = [Text(f"q{g}-{x}", x, f"q{g}", f"question {g} {x}") for x in ("en", "de") for g in range(3)]
    questions += [Text("q9-en", "en", "q9", "only English"), Text("q0-second", "en", "q0", "again")]
    judged = [(f"q{g}-{x}", f"p{g}-{y}", 1) for g in range(3) for x in ("en", "de") for y in ("en", "de")]
    judged += [("q9-en", "p0-en", 1), ("q0-second", "p1-en", 1), ("q0-en", "p2-en", 0)]
    return Collection.build("uneven", questions, texts, judged)


def test_pools_of_unlike_size_are_cut_to_common_groups() -> None:
    found = ParallelQuestions.of(uneven(), "en", "de")
    assert found
    assert found.pools == "common"
    assert [len(rows) for rows in found.passages] == [3, 3]
    whole = ParallelQuestions.of(uneven(), "en", "de", "whole")
    assert whole
    assert [len(rows) for rows in whole.passages] == [3, 23]
    same = ParallelQuestions.of(crossed()[2], "en", "de")
    assert same
    assert same.pools == "whole"


def test_pools_go_by_id_and_questions_by_group() -> None:
    collection = uneven()
    found = ParallelQuestions.of(collection, "en", "de")
    assert found
    ids = collection.passages["id"].to_pylist()
    assert [ids[row] for row in found.passages[0]] == ["p0-en", "p1-en", "p2-en"]
    assert found.groups == ("q0", "q1", "q2")
    texts = collection.questions["text"].to_pylist()
    assert [texts[row] for row in found.questions[0]] == [f"question {g} en" for g in range(3)]
    for question, position in found.relevant:
        assert (question.tolist(), position.tolist()) == ([0, 1, 2], [0, 1, 2])


def test_languages_are_chosen_or_refused() -> None:
    collection = crossed()[2]
    assert choose_languages(collection, None) == ("en", ["de", "th"])
    assert choose_languages(collection, ["tha", "th"]) == ("en", ["th"])
    for wanted, says in ((["fr"], "has no fr"), (["en"], "compared with"), (["nonsense!"], "unknown language")):
        with pytest.raises(PanglotError, match=says):
            choose_languages(collection, wanted)
    with pytest.raises(PanglotError, match="no English"):
        choose_languages(collection.select(["de", "th"]), None)
    with pytest.raises(PanglotError, match="beside English"):
        choose_languages(collection.select(["en"]), None)


def test_k_is_no_larger_than_what_is_irrelevant() -> None:
    found = ParallelQuestions.of(crossed(groups=8)[2], "en", "de")
    assert found
    found.check_depth(7)
    with pytest.raises(PanglotError, match="pool of 8"):
        found.check_depth(8)


def test_nothing_in_common_is_none() -> None:
    collection = crossed()[2]
    left, right = (np.array(table["language"].to_pylist()) for table in (collection.questions, collection.passages))
    apart = collection.keep(left != "th", right != "de")
    assert ParallelQuestions.of(apart, "en", "de") is None
    assert ParallelQuestions.of(apart, "en", "th") is None
